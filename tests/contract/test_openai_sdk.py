"""The official OpenAI SDK against the real daemon, over TCP and over the Unix socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.daemon import Daemon, Stage
from tests.sim.scripts import answer, calls, cut_after, error_first, status

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "read_file",
            "description": "Read a file.",
            "parameters": {
                "type": "object",
                "properties": {"path": {"type": "string"}},
                "required": ["path"],
            },
        },
    }
]
TALK: list[Any] = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    quick = {"first_byte_s": 1.0, "stall_s": 1.0}
    with Stage(manifest=quick, llama_swap={**quick, "fallback_model": "gemma-small"}) as stage:
        yield stage


@pytest.fixture
def stage(standing: Stage) -> Stage:
    standing.clean()
    return standing


def over_tcp(daemon: Daemon) -> OpenAI:
    return OpenAI(base_url=f"{daemon.base_url}/v1", api_key="unused", max_retries=0, timeout=20)


def over_unix(daemon: Daemon) -> OpenAI:
    transport = httpx2.HTTPTransport(uds=str(daemon.socket_path))
    client = httpx2.Client(transport=transport)
    return OpenAI(base_url="http://brainrouter/v1", api_key="unused", max_retries=0, http_client=client)


@pytest.fixture(params=["tcp", "unix"])
def client(stage: Stage, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    make = {"tcp": over_tcp, "unix": over_unix}[request.param]
    with make(stage.daemon) as client:
        yield client


@pytest.mark.parametrize("model", ["auto", "local", "cloud", "brainrouter/auto", "qwen-coder"])
def test_a_whole_answer(client: OpenAI, model: str) -> None:
    found = client.chat.completions.create(model=model, messages=TALK)
    assert found.choices[0].message.content == "Hello from the sim."
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert found.usage.completion_tokens == 7


@pytest.mark.parametrize("model", ["auto", "local", "cloud"])
def test_a_streamed_answer(client: OpenAI, model: str) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model=model, messages=TALK, stream=True, stream_options=options)
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello from the sim."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 12


def test_the_decision_can_be_read_from_the_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="local", messages=TALK)
    assert raw.headers["x-brainrouter-decision"] == "local"
    assert raw.headers["x-brainrouter-reason"] == "asked for local"
    assert raw.headers["x-brainrouter-model"] == "gemma-small"


@pytest.mark.parametrize("model", ["cloud", "local"])
def test_tool_calls_whole_and_streamed(client: OpenAI, stage: Stage, model: str) -> None:
    for sim in (stage.manifest, stage.llama_swap):
        sim.script(calls(("read_file", {"path": "a"}), ("read_file", {"path": "ü"}), piece_chars=3))
    whole = client.chat.completions.create(model=model, messages=TALK, tools=TOOLS)
    asked = [call.function for call in whole.choices[0].message.tool_calls or [] if call.type == "function"]
    assert [json.loads(function.arguments)["path"] for function in asked] == ["a", "ü"]
    assert whole.choices[0].finish_reason == "tool_calls"
    with client.chat.completions.stream(model=model, messages=TALK, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    streamed = [call.function for call in final.choices[0].message.tool_calls or []]
    assert [json.loads(function.arguments)["path"] for function in streamed] == ["a", "ü"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (413, openai.APIStatusError),
        (422, openai.UnprocessableEntityError),
    ],
)
def test_what_the_cloud_refuses_raises_the_class_of_its_status(
    client: OpenAI, stage: Stage, code: int, error: type[openai.APIStatusError], stream: bool
) -> None:
    stage.manifest.script(status(code, {"error": {"message": "no such thing", "param": "x", "code": "y"}}))
    with pytest.raises(error, match="no such thing") as caught:
        client.chat.completions.create(model="cloud", messages=TALK, stream=stream)
    assert (caught.value.status_code, caught.value.param, caught.value.code) == (code, "x", "y")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_when_no_side_is_left_the_class_is_that_of_the_last_failure(
    stage: Stage, code: int, error: type[openai.APIStatusError]
) -> None:
    stage.llama_swap.script(status(code, retry_after="7" if code == 429 else None))
    with over_tcp(stage.daemon) as client, pytest.raises(error) as caught:
        client.chat.completions.create(model="local", messages=TALK)
    assert caught.value.response.headers.get("retry-after") == {429: "7", 503: "5"}.get(code)


def test_a_request_too_long_for_the_window_has_the_code_that_makes_clients_compact(
    client: OpenAI, stage: Stage
) -> None:
    stage.llama_swap.script({"error": "overflow"})
    with pytest.raises(openai.BadRequestError, match="maximum context length is 8192 tokens") as caught:
        client.chat.completions.create(model="local", messages=TALK)
    assert caught.value.code == "context_length_exceeded"


def test_a_bad_request_names_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="local", messages=[{"role": 3}])  # type: ignore[list-item]
    assert caught.value.param == "messages[0].role"


@pytest.mark.parametrize("how", ["reset", "end", "fin", "error", "stall"])
@pytest.mark.parametrize("model", ["cloud", "local"])
def test_a_stream_that_breaks_raises_and_never_just_ends(stage: Stage, model: str, how: str) -> None:
    for sim in (stage.manifest, stage.llama_swap):
        sim.script(cut_after(4, how, text="one two three four five six", gap_s=0.01))
    with over_tcp(stage.daemon) as client:
        stream = client.chat.completions.create(model=model, messages=TALK, stream=True)
        with pytest.raises(openai.APIError) as caught:
            for _ in stream:
                pass
    assert caught.value.message


def test_a_stream_that_fails_before_it_begins_is_answered_by_the_other_side(
    client: OpenAI, stage: Stage
) -> None:
    stage.manifest.script(error_first())
    stream = client.chat.completions.create(model="cloud", messages=TALK, stream=True)
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        == "Hello from the sim."
    )


def test_the_models_are_listed_and_each_can_be_asked_for(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["auto", "local", "cloud"]
    assert [client.models.retrieve(name).id for name in names] == names
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gone")


def test_fields_that_the_sdk_does_not_know_go_through(client: OpenAI, stage: Stage) -> None:
    client.chat.completions.create(
        model="cloud", messages=TALK, extra_body={"future": [1]}, extra_headers={"x-title": "t"}
    )
    sent = stage.manifest.asked()
    assert sent["body"]["future"] == [1]
    assert ["x-title", "t"] in [[name.lower(), value] for name, value in sent["headers"]]


def test_many_at_once_on_one_client(stage: Stage) -> None:
    from concurrent.futures import ThreadPoolExecutor

    stage.llama_swap.script(answer(echo=True))
    with over_tcp(stage.daemon) as client, ThreadPoolExecutor(8) as pool:

        def ask(number: int) -> str | None:
            talk: list[Any] = [{"role": "user", "content": f"number {number}"}]
            return client.chat.completions.create(model="local", messages=talk).choices[0].message.content

        assert list(pool.map(ask, range(40))) == [f"number {number}" for number in range(40)]
