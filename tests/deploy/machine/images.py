"""Stand-ins for the three images, which are not to be had here: the names and tags are the real ones, the inside is
busybox, answering what the services are asked for. They run in the real engine, Docker or Podman, from the shipped compose files.
"""

from __future__ import annotations

import io
import tarfile

from tests.deploy.machine.bare import out_of
from tests.deploy.machine.machine import Machine
from tests.deploy.machine.publisher import NEWEST_CPU

MANIFEST = """#!/bin/sh
# The real one needs these, and its port.
: "${DATABASE_URL:?}" "${BETTER_AUTH_SECRET:?}" "${MANIFEST_ENCRYPTION_KEY:?}"
touch /outside-the-volumes 2>/dev/null && exit 3
# The database by its name.
busybox nslookup postgres >/dev/null || exit 4
exec busybox httpd -f -p "$PORT" -h /www
"""
POSTGRES = '#!/bin/sh\n: "${POSTGRES_PASSWORD:?}"\necho data >/var/lib/postgresql/data/PG_VERSION\nexec sleep 1000000\n'
SWAP = """#!/bin/sh
# The real one reads this file, and the models that it names.
grep -q healthCheckTimeout /app/config.yaml && ls /models >/dev/null || exit 3
exec busybox httpd -f -p 8080 -h /www
"""
PAGES = {
    "manifest": {
        "api/v1/health": '{"status":"healthy"}',
        "api/v1/setup/status": '{"needsSetup":true,"isSelfHosted":true}',
    },
    "llama-swap": {
        "health": "OK",
        "v1/models": '{"object":"list","data":[{"id":"bonsai-8b","object":"model"}]}',
    },
}


def load_images(machine: Machine, manifest: str, engine: str = "docker") -> None:
    """Give the machine's engine the three images under their real names."""
    for reference, entry, pages in (
        (f"docker.io/manifestdotbuild/manifest:{manifest}", MANIFEST, PAGES["manifest"]),
        ("docker.io/library/postgres:16-alpine", POSTGRES, {}),
        (f"ghcr.io/mostlygeek/llama-swap:{NEWEST_CPU}", SWAP, PAGES["llama-swap"]),
    ):
        # Through a folder that both sides see.
        (machine.docker / "image.tar").write_bytes(_tar(entry, pages))
        machine.ok(
            f"{engine} import --change 'ENTRYPOINT [\"/bin/sh\", \"/entry\"]' --change 'ENV PATH=/bin' "
            f"/var/lib/docker/image.tar {reference}"
        )
        (machine.docker / "image.tar").unlink()


def _tar(entry: str, pages: dict[str, str]) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as tar:

        def add(name: str, data: bytes, mode: int = 0o755) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))

        add("bin/busybox", out_of("busybox-static", "bin/busybox").read_bytes())
        for name in ("sh", "sleep", "ls", "grep", "touch"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        add("bin/pg_isready", b"#!/bin/sh\nexit 0\n")
        add("entry", entry.encode())
        for folder in ("tmp", "models", "app", "data", "var/lib/postgresql/data"):
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(made)
        for name, text in pages.items():
            add(f"www/{name}", text.encode(), 0o644)
    return into.getvalue()
