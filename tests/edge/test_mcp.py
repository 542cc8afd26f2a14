"""`brainrouter mcp` as a harness meets it: the official client, and lines that no client would send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.daemon import Daemon, eventually
from tests.repos import make_repo, write
from tests.sim.handle import SimLlamaSwap
from tests.sim.scripts import answer, silence

BRAINROUTER = str(Path(sys.executable).with_name("brainrouter"))
OBJECTS = "STATUS: needs_revision\nFINDING: a.py\nQUOTE: return a - b\nWHY: it subtracts"
TOOLS = ["request_review", "get_session_list", "get_session_details", "resolve_session"]


@pytest.fixture(scope="module")
def model() -> Iterator[SimLlamaSwap]:
    with SimLlamaSwap() as sim:
        yield sim


@pytest.fixture(scope="module")
def daemon(model: SimLlamaSwap) -> Iterator[Daemon]:
    with Daemon(llama_swap=f"{model.url}/v1", config={"review": {"forced_mode": "local"}}) as one:
        repo = make_repo(one.home / "project")
        write(repo, {"a.py": "def add(a, b):\n    return a - b\n"})
        yield one


@contextlib.asynccontextmanager
async def client(daemon: Daemon, *, by_environment: bool = False) -> AsyncGenerator[ClientSession]:
    arguments = ["mcp"] if by_environment else ["mcp", "--socket", str(daemon.socket_path)]
    env = {"PATH": os.environ["PATH"], "HOME": str(daemon.home), "XDG_RUNTIME_DIR": str(daemon.run_dir)}
    server = StdioServerParameters(command=BRAINROUTER, args=arguments, cwd=daemon.home / "project", env=env)
    async with stdio_client(server) as (reading, writing), ClientSession(reading, writing) as session:
        await session.initialize()
        yield session


def said(result: Any) -> Any:
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


def refused(result: Any) -> str:
    assert result.is_error, result.content
    return result.content[0].text


def test_the_official_client_goes_through_a_whole_review(daemon: Daemon, model: SimLlamaSwap):
    model.script(answer(OBJECTS, delay_s=0.2))
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async def go() -> None:
        async with client(daemon, by_environment=True) as session:
            assert [tool.name for tool in (await session.list_tools()).tools] == TOOLS
            asked = {"taskId": "mcp", "summary": "adds add"}  # no cwd: the server's own folder
            found = said(await session.call_tool("request_review", asked, progress_callback=hear))
            assert (found["status"], found["iteration"]) == ("needs_revision", 1)
            listed = said(await session.call_tool("get_session_list", {}))["sessions"]
            assert listed[0]["id"] == found["sessionId"]
            detail = said(await session.call_tool("get_session_details", {"sessionId": found["sessionId"]}))
            assert detail["cwd"] == str(daemon.home / "project")
            resolved = {"sessionId": found["sessionId"], "feedback": "lgtm"}
            assert said(await session.call_tool("resolve_session", resolved))["status"] == "approved"

    asyncio.run(go())
    assert len(heard) >= 2
    assert heard == sorted(heard, key=lambda one: one[0])
    assert any("asking the reviewer" in (message or "") for _, message in heard)


def test_what_goes_wrong_is_a_tool_error_in_words(daemon: Daemon):
    async def go() -> None:
        async with client(daemon) as session:
            missing = await session.call_tool("request_review", {"summary": "s"})
            assert refused(missing) == "taskId: this argument is required"
            wrong = await session.call_tool("request_review", {"taskId": "t", "summary": "s", "cwd": "/etc"})
            assert "outside your home" in refused(wrong)
            typed = await session.call_tool("request_review", {"taskId": 5, "summary": "s"})
            assert "taskId" in refused(typed)
            odd = await session.call_tool("request_review", {"taskId": "t", "summary": "s", "evil": 1})
            assert "no such argument" in refused(odd)
            for bad in ("../../api/restart/x", "", "x" * 5000, 7, None):
                found = await session.call_tool("get_session_details", {"sessionId": bad})
                assert "expected a UUID" in refused(found)
            unknown = "0b1ae26c-3f4e-4a5b-8c6d-7e8f9a0b1c2d"
            assert "no such" in refused(
                await session.call_tool("get_session_details", {"sessionId": unknown})
            )
            assert "no tool" in refused(await session.call_tool("rm", {}))

    asyncio.run(go())


def test_a_daemon_that_is_away_or_dies_is_said_and_its_return_is_noticed(model: SimLlamaSwap):
    model.script(silence())
    with Daemon(llama_swap=f"{model.url}/v1", config={"review": {"forced_mode": "local"}}) as daemon:
        repo = make_repo(daemon.home / "project")
        write(repo, {"a.py": "def add(a, b):\n    return a - b\n"})

        def kill_when_running() -> None:
            eventually(lambda: any(row["running"] for row in daemon.get("/review/api/sessions")["sessions"]))
            assert daemon.child is not None
            daemon.child.kill()
            daemon.child.wait()

        async def go() -> None:
            async with client(daemon) as session:
                killer = threading.Thread(target=kill_when_running)
                killer.start()
                cut = await session.call_tool("request_review", {"taskId": "dies", "summary": "s"})
                killer.join()
                assert "went away" in refused(cut)
                assert "same taskId" in refused(cut)
                away = refused(await session.call_tool("get_session_list", {}))
                assert "not running" in away
                assert str(daemon.socket_path) in away
                model.script(answer(OBJECTS))
                daemon.socket_path.with_suffix(".port").unlink()
                daemon.start()
                again = said(await session.call_tool("request_review", {"taskId": "dies", "summary": "s"}))
                assert (again["status"], again["iteration"]) == ("needs_revision", 1)

        asyncio.run(go())


class Raw:
    """The server with bare pipes."""

    def __init__(self, daemon: Daemon) -> None:
        self.child = subprocess.Popen(
            [BRAINROUTER, "mcp", "--socket", str(daemon.socket_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, cwd=daemon.home / "project",
        )  # fmt: skip
        self.lines: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def stdin(self) -> IO[bytes]:
        assert self.child.stdin is not None
        return self.child.stdin

    def _read(self) -> None:
        assert self.child.stdout is not None
        while line := self.child.stdout.readline():
            self.lines.append(line)

    def send(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def request(self, number: int, method: str, **params: Any) -> None:
        self.send(
            json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"
        )

    def initialize(self) -> None:
        info = {"name": "test", "version": "1"}
        self.request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)
        self.answer(0)
        self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def answer(self, number: int, within_s: float = 20.0) -> Any:
        """The answer to a request, once it is there."""

        def find() -> Any:
            found = [json.loads(line) for line in list(self.lines)]
            return [one for one in found if one.get("id") == number and "method" not in one]

        return eventually(find, within_s)[0]

    def close(self) -> int:
        """End its input; gives the exit code."""
        self.stdin.close()
        code = self.child.wait(20)
        self._finish()
        return code

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()
        with contextlib.suppress(OSError):
            self.stdin.close()
        self._finish()

    def _finish(self) -> None:
        self._reader.join()
        assert self.child.stdout is not None
        self.child.stdout.close()


@pytest.fixture
def raw(daemon: Daemon) -> Iterator[Raw]:
    made = Raw(daemon)
    try:
        yield made
    finally:
        made.kill()


def odd_lines(chance: random.Random) -> Iterator[bytes]:
    """What no client would send, 500 times."""
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_session_list", "arguments": {}},
    }
    whole = json.dumps(call).encode()
    fixed = [
        b"", b" ", b"null", b"[]", b"{}", b"1", b'"x"', b"\xff\xfe", b"\0" * 10, b"{" * 5000, b"[" * 100_000, whole[:-1],
        whole + whole, whole + b" " + whole, b'{"jsonrpc":"1.0","id":1,"method":"ping"}', b'{"jsonrpc":"2.0","id":{}}',
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}', b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}', b"GET / HTTP/1.1\r",
        b'{"jsonrpc":"2.0","result":{},"id":77}', b'{"jsonrpc":"2.0","error":{"code":1,"message":"x"},"id":78}',
        b'"' + b"x" * 10_000_000 + b'"', '{"jsonrpc":"2.0","method":"\u2028\U0001f600"}'.encode(), b"\xef\xbb\xbf" + whole,
    ]  # fmt: skip
    yield from fixed
    methods = [
        "tools/call",
        "tools/list",
        "ping",
        "initialize",
        "resources/list",
        "x",
        "",
        "prompts/get",
        5,
        None,
    ]
    odd: list[Any] = [
        None,
        1,
        "x",
        [],
        {},
        {"name": 5},
        {"name": "rm"},
        {"name": "get_session_list", "arguments": 3},
    ]
    for number in range(500 - len(fixed)):
        line: dict[str, Any] = {"jsonrpc": "2.0", "id": 1000 + number, "method": chance.choice(methods)}
        line["params"] = chance.choice(odd)
        text = bytearray(json.dumps(line).encode())
        for _ in range(chance.randrange(4)):
            text[chance.randrange(len(text))] = chance.randrange(32, 256)
        yield bytes(text)


@pytest.mark.timeout(120)
def test_five_hundred_odd_lines_leave_it_working_and_its_output_clean(raw: Raw):
    raw.initialize()
    for line in odd_lines(random.Random(7)):
        raw.send(line + b"\n")
    raw.request(99_999, "tools/list")
    tools = raw.answer(99_999, 60)["result"]["tools"]
    assert [tool["name"] for tool in tools] == TOOLS
    assert raw.close() == 0
    for line in raw.lines:
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        assert line.endswith(b"\n")


def test_a_line_in_pieces_a_cancelled_call_and_the_end_of_input(raw: Raw, model: SimLlamaSwap):
    raw.initialize()
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_session_list"}}\n'
    for at in range(0, len(call), 7):
        raw.send(call[at : at + 7])
    assert "sessions" in raw.answer(1)["result"]["structuredContent"]
    model.script(silence())
    raw.request(2, "tools/call", name="request_review", arguments={"taskId": "cancelled", "summary": "s"})
    eventually(lambda: model.requests())
    raw.send(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}\n')
    raw.request(3, "ping")
    assert raw.answer(3)["result"] == {}
    assert raw.close() == 0
    model.script(answer(OBJECTS))


def test_it_starts_without_the_parts_of_the_sdk_that_it_does_not_need():
    """They are most of a start that harnesses wait for; the rest is measured in docs/review.md."""
    program = (
        "import sys\n"
        "from brainrouter.edge.mcp.light_import import only_the_server\n"
        "with only_the_server():\n"
        "    import brainrouter.edge.mcp.server\n"
        "print([name for name in ('mcp.client', 'mcp.server.mcpserver', 'httpx', 'typer') if name in sys.modules])\n"
        "import mcp\n"
        "print(mcp.ClientSession.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["[]", "ClientSession"]
