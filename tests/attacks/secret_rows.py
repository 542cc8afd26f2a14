"""A14: keys that must be nowhere but on the wire to the cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.attacks.rig import Fort, asks, fort_of
from tests.daemon import eventually
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.ways import WAYS, Way
from tests.sim.scripts import answer, error_200, error_first, insert, status

OWN = "sk-ant-callers-own-8Kd2mQ7xVb4Ws9"


def echoes(key: str) -> dict[str, dict[str, Any]]:
    """Answers of a cloud that repeats the key it was given, wherever it can."""
    words = f"Incorrect API key provided: {key}. Header was 'Bearer {key}'"
    shapes = {
        f"error {code}": status(code, {"error": {"message": words, "type": "x", "param": key, "code": key}})
        for code in (400, 401, 403, 404, 413, 422, 429, 500, 503)
    }
    return shapes | {
        "plain text": status(500, words),
        "an error as 200": error_200(words),
        "an error as the first event": error_first(words),
        "in the middle": answer("one two three four", cut={"after": 2, "how": "error", "message": words}),
        "in rubbish": insert(2, f"data: {words}\n\n".encode()),
        "in headers": status(400, headers={"x-manifest-model": key, "x-request-id": key, "retry-after": key}),
    }  # fmt: skip


def keys(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon = fort.daemon
    ways = WAYS if trial.whole else WAYS[::3]
    for name, script in echoes(fort.key).items():
        for way in ways:
            _with_keys(fort, script, way, name)
            trial.tried()
    fort.review("keys", fort.repository("keys"), summary=f"uses {fort.key}")
    sent = [request for request in fort.manifest.requests() if request["method"] == "POST"]
    assert any(f"Bearer {fort.key}" in json.dumps(request["headers"]) for request in sent)  # there it belongs
    for request in [*sent, *fort.llama_swap.requests()]:
        trial.hold(
            Promise.LEAK,
            OWN not in json.dumps(request["headers"]),
            f"the caller's own key went on: {request}",
        )
    for request in fort.llama_swap.requests():
        trial.hold(
            Promise.LEAK,
            fort.key not in json.dumps(request["headers"]),
            f"the cloud's key went elsewhere: {request}",
        )
    eventually(lambda: daemon.health()["in_flight"] == 0)
    for place, text in _places(fort):
        for key in (fort.key, OWN):
            at = text.find(key)
            trial.hold(Promise.LEAK, at < 0, f"in {place}: {text[max(0, at - 150) : at + 60]!r}")
    trial.figure("places looked at", len(_places(fort)))


def _with_keys(fort: Fort, script: dict[str, Any], way: Way, name: str) -> None:
    """Ask with keys in header, query and body; what comes back holds none of the cloud's."""
    fort.manifest.script(script)
    body = json.dumps(way.body("cloud", f"{name} my key is {OWN}", user=OWN)).encode()
    headers = [
        ("content-type", "application/json"), ("authorization", f"Bearer {OWN}"), ("x-api-key", OWN),
        ("cookie", f"session={OWN}"), ("x-forwarded-for", OWN),
    ]  # fmt: skip
    found = asks(fort.daemon, "POST", f"{way.path}?api_key={OWN}", [*headers, ("connection", "close")], body)
    told = json.dumps(found.headers) + found.body.decode("utf-8", "replace")
    assert fort.key not in told, (name, str(way), told[:500])
    fort.rested()


def _places(fort: Fort) -> list[tuple[str, str]]:
    """Everywhere that somebody could look."""
    daemon = fort.daemon
    child = daemon.child
    assert child is not None
    pages = ("/health", "/metrics", "/api/routing-events?limit=500", "/api/routing-stats", "/api/inference-status",
             "/api/service-health", "/api/versions", "/api/operations", "/review/api/sessions", "/api/events", "/")  # fmt: skip
    found = [(path, asks(daemon, "GET", path, []).body.decode("utf-8", "replace")) for path in pages]
    found.append(("the log", daemon.log()))
    for file in [
        *daemon.database.parent.iterdir(),
        *(daemon.home / ".config").rglob("*"),
        *daemon.run_dir.iterdir(),
    ]:
        if file.is_file():
            found.append((str(file), file.read_bytes().decode("utf-8", "replace")))
    found.append(("argv", Path(f"/proc/{child.pid}/cmdline").read_text(encoding="utf-8", errors="replace")))
    for line in fort.services.calls():
        found.append(("argv of a child", " ".join(line)))
    return found


ROWS = (
    Row("A14", "keys in headers, queries, prompts; a cloud that repeats its key in every kind of error", "in no answer, log, event, database, page or argv; the caller's own key is not passed on", "quick", keys, 120.0),
)  # fmt: skip
