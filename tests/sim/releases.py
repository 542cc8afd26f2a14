"""A fake of GitHub's releases and of Docker Hub's tags, and the archives to be had there."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.sim.services import NEW

ARCH = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower(), "amd64")


def program(version: str, code: int = 0) -> bytes:
    """A llama-swap that knows only its version."""
    return f"#!/bin/sh\necho 'version: {version} (abc1234), built at 2026-10-01T00:00:00Z'\nexit {code}\n".encode()


def archive(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A .tar.gz of these members."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """The head of one member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


class SimReleases:
    """Serves until closed. `files` by path; `asked` keeps the paths that were asked for."""

    def __init__(self, number: int = 251) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        sim = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sim.asked.append(self.path)
                body = sim.files.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("content-length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.name = f"llama-swap_{number}_{platform.system().lower()}_{ARCH}.tar.gz"
        self.release(
            number, archive([(member("LICENSE"), b"free"), (member("llama-swap"), program(f"v{number}"))])
        )
        for image in (
            "manifestdotbuild/manifest/tags/latest",
            "kyuz0/amd-strix-halo-toolboxes/tags/vulkan-radv",
        ):
            said = {"digest": NEW, "last_updated": "2026-11-02T08:00:00Z"}
            self.files[f"/v2/repositories/{image}"] = json.dumps(said).encode()
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def release(self, number: int, data: bytes, sums: str | None = None) -> None:
        """What the newest release is."""
        sums = sums if sums is not None else f"{hashlib.sha256(data).hexdigest()}  {self.name}\n"
        listed = {self.name: data, f"llama-swap_{number}_checksums.txt": sums.encode()}
        assets = [{"name": name, "browser_download_url": f"{self.url}/files/{name}"} for name in listed]
        said = {"tag_name": f"v{number}", "assets": assets}
        self.files["/repos/mostlygeek/llama-swap/releases/latest"] = json.dumps(said).encode()
        self.files |= {f"/files/{name}": body for name, body in listed.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
