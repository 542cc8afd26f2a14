"""openapi.yaml says what the review routes give: every answer has exactly the fields that are described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.daemon import ROOT, Daemon
from tests.repos import make_repo, write
from tests.sim.handle import SimLlamaSwap
from tests.sim.scripts import answer

SPEC: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
OBJECTS = "STATUS: needs_revision\nFINDING: a.py\nQUOTE: return a - b\nWHY: it subtracts"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with (
        SimLlamaSwap() as model,
        Daemon(llama_swap=f"{model.url}/v1", config={"review": {"forced_mode": "local"}}) as one,
    ):
        model.script(answer(OBJECTS))
        write(make_repo(one.home / "project"), {"a.py": "def add(a, b):\n    return a - b\n"})
        yield one


def fits(value: Any, name: str) -> None:
    """`value` is as the schema of that name says, and has no field that it does not name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": SPEC["components"]}
    errors = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(value)
    ]
    assert errors == []
    assert set(value) == fields(SPEC["components"]["schemas"][name]), name


def fields(schema: dict[str, Any]) -> set[str]:
    found = set(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        name = part.get("$ref", "").rsplit("/", 1)[-1]
        found |= fields(SPEC["components"]["schemas"][name] if name else part)
    return found


def test_every_answer_has_the_fields_that_are_described(daemon: Daemon):
    asked = {"taskId": "shapes", "summary": "adds", "cwd": str(daemon.home / "project")}
    found = daemon.send("POST", "/review/api/request", asked).json()
    fits(found, "ReviewAnswer")
    fits(found["findings"][0], "Finding")
    listed = daemon.get("/review/api/sessions")
    assert set(listed) == {"sessions", "total"}
    fits(listed["sessions"][0], "Session")
    detail = daemon.get(f"/review/api/sessions/{found['sessionId']}")
    fits(detail, "SessionDetail")
    fits(detail["rounds"][0], "Round")
    fits(detail["messages"][0], "ReviewMessage")
    named = {"sessionId": found["sessionId"]}
    fits(daemon.send("POST", "/review/api/continue", named).json(), "SessionDetail")
    fits(daemon.send("POST", "/review/api/request", asked).json(), "ReviewAnswer")
    fits(daemon.send("POST", "/review/api/resolve", {**named, "feedback": "no"}).json(), "Session")
    fits(daemon.send("POST", "/review/api/lgtm", named).json(), "Session")
    path = f"/review/session/{found['sessionId']}/resolve"
    fits(daemon.send("POST", path, {"feedback": "lgtm"}).json(), "Session")
    fits(daemon.get("/api/review-config"), "ReviewConfig")
    fits(daemon.send("POST", "/api/review-config", {"max_iterations": 4}).json(), "ReviewConfig")
    fits(daemon.send("POST", "/api/review-config", {"max_iterations": 0}).json(), "Problem")
