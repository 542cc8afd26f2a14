"""The publishers that install.sh asks, as far as their packages can be had here: one server on the loopback.

/bun/: the real bun, out of its npm package, as the zip of a release with its SHASUMS256.txt.
/models/: a file in pieces (Range), whose sha256 is in X-Linked-ETag, as Hugging Face has it.
/v2/: a registry that lists tags page by page, to who has fetched a token.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import subprocess
import tarfile
import threading
import urllib.parse
import zipfile
from typing import Any

from tests.deploy.machine.bare import CACHE

BUN = "@oven/bun-linux-x64@1.4.5"
MODEL_NAME = "prism-ml_Bonsai-8B-unpacked-Q4_K_M.gguf"
MODEL = b"GGUF" + hashlib.shake_256(b"a model").digest(6_000_000)
TAGS = [
    "cpu", "v9-cpu-b99999", "v249-cpu-b8000", "v250-cpu-b7990", "v250-cpu-b8001", "v250-cpu-b8001-non-root",
    "v251-vulkan-b8002", "unified-vulkan-2026-08-14",
]  # fmt: skip
NEWEST_CPU = "v250-cpu-b8001"


def bun_release() -> bytes:
    """bun-linux-x64.zip as a release has it."""
    kept = CACHE / "bun-linux-x64.zip"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        said = subprocess.run(
            ["npm", "pack", "--silent", BUN], cwd=CACHE, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        packed = CACHE / said.split()[-1]
        with tarfile.open(packed) as tar, zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as made:
            program = tar.extractfile("package/bin/bun")
            assert program is not None
            entry = zipfile.ZipInfo("bun-linux-x64/bun")
            entry.external_attr = 0o755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, program.read())
        packed.unlink()
    return kept.read_bytes()


class Publisher:
    """`with Publisher() as it`: `it.port`; `it.breaks`: after how many bytes the next downloads of the model are cut off."""

    def __init__(self, bun: bytes = b"") -> None:
        self.files = {"/bun/bun-linux-x64.zip": bun, f"/models/{MODEL_NAME}": MODEL}
        sums = f"{hashlib.sha256(bun).hexdigest()}  bun-linux-x64.zip\n{'0' * 64}  bun-darwin-x64.zip\n"
        self.files["/bun/SHASUMS256.txt"] = sums.encode()
        self.breaks: list[int] = []
        self.asked: list[tuple[str, str, str]] = []

    def __enter__(self) -> Publisher:
        handler = type("Bound", (_Handler,), {"publisher": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    publisher: Publisher

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urllib.parse.urlsplit(self.path)
        self.publisher.asked.append((self.command, path.path, self.headers.get("Range", "")))
        if path.path == "/token":
            self._send(200, json.dumps({"token": "anonymous"}).encode())
        elif path.path.startswith("/v2/"):
            self._tags(dict(urllib.parse.parse_qsl(path.query)))
        elif path.path in self.publisher.files:
            self._file(path.path, self.publisher.files[path.path])
        else:
            self._send(404, b"not here")

    def _tags(self, query: dict[str, str]) -> None:
        here = f"http://{self.headers['Host']}"
        if self.headers.get("Authorization") != "Bearer anonymous":
            self._send(
                401, b"{}", {"WWW-Authenticate": f'Bearer realm="{here}/token",service="x",scope="pull"'}
            )
            return
        start = TAGS.index(query["last"]) + 1 if "last" in query else 0
        page = TAGS[start : start + 3]
        more = {"Link": f'</v2/tags/list?n=3&last={page[-1]}>; rel="next"'} if start + 3 < len(TAGS) else {}
        self._send(200, json.dumps({"tags": page}).encode(), more)

    def _file(self, path: str, data: bytes) -> None:
        headers = (
            {"X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"'} if path.startswith("/models/") else {}
        )
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            self._send(416, b"")
            return
        headers |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        cut = (
            self.publisher.breaks.pop(0)
            if self.publisher.breaks and headers and self.command == "GET"
            else None
        )
        self._send(206 if start else 200, data[start:], headers, cut)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(io.BytesIO(body).read(cut if cut is not None else -1))

    def log_message(self, format: str, *args: Any) -> None:
        del format, args
