"""What EmbeddedBackend needs of llama-swap, played by a small program where the real one cannot be had.

It reads the same configuration and the same arguments, starts the model's command in a process group of its own with
a port, answers /running, asks for the key and passes everything else on. `real_llama_swap.py` runs the same tests
against the real program.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def load(path: str) -> dict:
    text = Path(path).read_text(encoding="utf-8")
    text = re.sub(r"\$\{env\.(\w+)\}", lambda found: os.environ[found[1]], text)
    port = json.loads(text)["startPort"]
    return json.loads(text.replace("${PORT}", str(port)))


def answers(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False


class Handler(BaseHTTPRequestHandler):
    settings: dict
    state = "starting"

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {self.settings['apiKeys'][0]}":
            self._say(401, b'{"error":"unauthorized"}')
        elif self.path == "/running":
            name = next(iter(self.settings["models"]))
            self._say(200, json.dumps({"running": [{"model": name, "state": self.state}]}).encode())
        else:
            self._pass_on()

    do_POST = do_GET

    def _pass_on(self) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.settings["startPort"])
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {
            name: self.headers[name] for name in ("Authorization", "Content-Type") if self.headers[name]
        }
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        self._say(answer.status, answer.read(), answer.headers.get("Content-Type", ""))

    def _say(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main(argv: list[str]) -> None:
    Handler.settings = load(argv[argv.index("-config") + 1])
    host, _, port = argv[argv.index("-listen") + 1].partition(":")
    (model,) = Handler.settings["models"].values()
    child = subprocess.Popen(shlex.split(model["cmd"]), start_new_session=True)

    def stop(_number: int, _frame: object) -> None:
        os.killpg(child.pid, signal.SIGTERM)
        os._exit(0)

    def wait_until_it_answers() -> None:
        while not answers(Handler.settings["startPort"]):
            time.sleep(0.05)
        Handler.state = "ready"

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=wait_until_it_answers, daemon=True).start()
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
