"""openapi.yaml against the route table, both ways, and against what a running daemon answers."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from brainrouter import wiring
from brainrouter.config import Loaded, Settings
from brainrouter.http1.client import Client
from tests.daemon import Daemon

ROOT = Path(__file__).resolve().parents[2]
PAGE: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
READS = [path for path, methods in PAGE["paths"].items() if "get" in methods and "{" not in path]
CHAT = {"model": "local", "messages": [{"role": "user", "content": "hi"}]}
POSTS: dict[str, Any] = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": {**CHAT, "max_tokens": 9},
    "/v1/messages/count_tokens": CHAT,
    "/v1/responses": {"model": "local", "input": "hi"},
    "/api/decide": CHAT,
}


def served() -> set[tuple[str, str]]:
    """Method and path of every route, in OpenAPI's way of writing them."""

    async def table() -> list[tuple[str, str]]:
        client, nothing = Client(), Loaded(Settings(), (), frozenset())
        source = wiring.ConfigSource(lambda: nothing, list)
        built = wiring.build(nothing, wiring.Choice(None, None), {"HOME": "/nowhere"}, client, source)
        try:
            return built._app.routes.templates
        finally:
            await client.close()

    return {(method, re.sub(r"[:*](\w+)", r"{\1}", path)) for method, path in asyncio.run(table())}


def test_every_route_is_described_and_nothing_else_is() -> None:
    described = {(method.upper(), path) for path, methods in PAGE["paths"].items() for method in methods}
    assert described == served()


def schema_of(
    path: str, method: str, status: str = "200", kind: str = "application/json"
) -> dict[str, Any] | None:
    responses = PAGE["paths"][path][method]["responses"]
    found = responses.get(status) or responses["default"]
    if "$ref" in found:
        found = PAGE["components"]["responses"][found["$ref"].rsplit("/", 1)[1]]
    schema = found.get("content", {}).get(kind, {}).get("schema")
    return schema and {**schema, "components": PAGE["components"]}


def check(document: Any, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("path", [path for path in READS if schema_of(path, "get")])
def test_what_a_route_answers_has_the_shape_that_is_described(daemon: Daemon, path: str) -> None:
    daemon.send("POST", "/v1/messages", POSTS["/v1/messages"])
    schema = schema_of(path, "get")
    assert schema is not None
    check(daemon.get(path), schema)


@pytest.mark.parametrize("path", POSTS)
def test_an_answer_and_a_refusal_have_the_shapes_that_are_described(daemon: Daemon, path: str) -> None:
    asked = PAGE["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    check(POSTS[path], {**asked, "components": PAGE["components"]})
    answer, refusal = daemon.send("POST", path, POSTS[path]), daemon.send("POST", path, {})
    for reply, status in ((answer, "200"), (refusal, "400")):
        assert reply.status == int(status)
        schema = schema_of(path, "post", status)
        assert schema is not None
        check(reply.json(), schema)


def test_every_reference_leads_somewhere() -> None:
    for reference in re.findall(
        r'\$ref: "#/components/(\w+)/(\w+)"', (ROOT / "openapi.yaml").read_text(encoding="utf-8")
    ):
        assert reference[1] in PAGE["components"][reference[0]]
