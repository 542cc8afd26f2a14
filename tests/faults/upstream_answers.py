"""U12 to U22: upstreams that say no, say it oddly, come back, or never end."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate
from typing import Any

from tests.daemon import Stage
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.rig import (
    SIDES,
    TEXT,
    TOTAL_S,
    cases,
    eventually,
    forget_peak,
    grown_mb,
    honest,
    median_ms,
    metrics,
    patient_stage,
    pid_of,
    posts,
    quiet,
    resident_kb,
    short_tempered,
    sim_of,
    stage_of,
    together,
)
from tests.faults.upstream_rows import before_the_first_byte, stood_in, told
from tests.faults.ways import STREAMS, WAYS, Heard, Way, unique
from tests.sim import play
from tests.sim.answers import Answer
from tests.sim.handle import SimManifest
from tests.sim.scripts import (
    Script,
    answer,
    bomb,
    calls,
    drip,
    early_hints,
    endless,
    redirect,
    sse,
    status,
    wire,
    wrong_length,
)

TOO_LONG = {
    "error": {
        "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}


def rate_limited(trial: Trial) -> None:
    stage = stage_of(trial)
    dates = [formatdate(time.time() + 100, usegmt=True), formatdate(time.time() - 100, usegmt=True)]
    said = ["1", "0", "7.5", *dates, "999999999999", "-5", "soon", "nan", "1e400", None]
    for value in said if trial.whole else [None]:
        for way in trial.some(WAYS):
            stage.clean()
            stage.manifest.script(status(429, retry_after=value))
            stage.llama_swap.script(answer(TEXT))
            heard = way.ask(stage.daemon, "cloud", unique("429"))
            assert (heard.status, heard.text) == (200, TEXT), value
            limited = told(trial, stage, way, status(429, retry_after=value))
            assert limited.status == 429
            assert limited.retry_after is not None
            assert 1 <= limited.retry_after <= 86_400
    quiet(trial, stage.daemon)


def unauthorised(trial: Trial) -> None:
    stage = stage_of(trial)
    echo = {
        "error": {"message": f"wrong key {SimManifest.key}", "type": "auth", "param": None, "code": "M005"}
    }
    for _ in trial.runs(20):
        for code in (401, 403):
            for way in WAYS:
                heard = stood_in(trial, stage, way, status(code, echo), trips=False)
                assert SimManifest.key.encode() not in heard.body
                alone = told(trial, stage, way, status(code, echo))
                assert alone.status == code
                assert SimManifest.key.encode() not in alone.body
    assert SimManifest.key not in json.dumps(stage.daemon.events(500))
    assert SimManifest.key not in stage.daemon.log()


def passed_through(trial: Trial, stage: Stage, way: Way, script: Script, wanted: int) -> Heard:
    """The cloud refuses the request itself: the caller hears it, nobody else is asked, no breaker counts."""
    stage.clean()
    stage.manifest.script(script)
    heard = way.ask(stage.daemon, "cloud", unique("refused"))
    assert heard.status == wanted, f"{way}: {heard}"
    honest(trial, heard)
    assert heard.error is not None
    assert posts(stage.llama_swap) == []
    assert stage.daemon.health()["breakers"] == {}
    trial.tried()
    return heard


def too_long(trial: Trial) -> None:
    stage = stage_of(trial)
    for _ in trial.runs(20):
        for way in WAYS:
            # Codex reads of it in the stream only.
            wanted = 200 if way.stream and way.protocol == "responses" else 400
            heard = passed_through(trial, stage, way, status(400, TOO_LONG), wanted)
            words = json.dumps(heard.error)
            assert "context_length" in words or "prompt is too long" in words, words


def refused_requests(trial: Trial) -> None:
    stage = stage_of(trial)
    for _ in trial.runs(20):
        for code in (404, 413, 422):
            for way in WAYS:
                said = play.error_document(way.protocol, f"sim says {code}")
                heard = passed_through(trial, stage, way, status(code, said), code)
                assert heard.error is not None
                assert heard.error["message"] == f"sim says {code}"


def server_errors(trial: Trial) -> None:
    bodies: dict[str, Any] = {"json": None, "empty": "", "html": "<html><h1>timeout</h1></html>"}
    codes = (500, 502, 503, 504, 529)
    every = {f"{code} {name}": status(code, body) for code in codes for name, body in bodies.items()}
    chosen = every if trial.whole else dict(list(every.items())[::5])
    before_the_first_byte(trial, chosen, 5)


def encoded(trial: Trial) -> None:
    stage = patient_stage(trial)
    pid = pid_of(stage.daemon)
    for way in WAYS:
        for side in SIDES:
            sim_of(stage, side).script(answer(TEXT, gzip=True))
            heard = way.ask(stage.daemon, side, "packed")
            assert heard.text == TEXT
            sent = {name.lower(): value for name, value in posts(sim_of(stage, side))[-1]["headers"]}
            assert sent["accept-encoding"] == "identity"
            trial.tried()
    worst = 0.0
    for way in WAYS if trial.whole else WAYS[:1]:
        for script in (
            bomb(1 << 30 if trial.whole else 1 << 26),
            status(200, {"choices": []}, headers={"content-encoding": "br"}),
        ):
            before = resident_kb(pid)
            forget_peak(pid)
            stood_in(trial, stage, way, script)
            worst = max(worst, grown_mb(pid, before))
    trial.hold(Promise.LEAK, worst < 16, f"{worst} MB more")
    trial.figure("a bomb of 1 GB", worst, "MB more")


def odd_http(trial: Trial) -> None:
    stage = stage_of(trial)
    scripts: dict[str, Script] = {
        "early hints before rubbish": early_hints(),
        "204": wire(b"HTTP/1.1 204 No Content\r\n\r\n", "keep"),
        "a redirect": redirect(f"{stage.llama_swap.url}/steal"),
        "a permanent redirect": redirect(f"{stage.llama_swap.url}/steal", 301),
        "a promise of more": wrong_length(10, then="close"),
        "no HTTP": wire(b"SSH-2.0-OpenSSH_9.9\r\n"),
        "101": wire(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
    }
    for _ in trial.runs(10):
        for name, script in scripts.items():
            for way in trial.some(WAYS, 1):
                stood_in(trial, stage, way, script)
                asked = [request["path"] for request in stage.llama_swap.requests()]
                assert "/steal" not in asked, name
                told(trial, stage, way, script)
    for way in STREAMS:
        for kind in (None, "text/plain"):
            stage.clean()
            stage.manifest.script(answer(TEXT, content_type=kind))
            stage.llama_swap.script(answer(TEXT))
            honest(trial, way.ask(stage.daemon, "cloud", unique("no type")))
            trial.tried()
    body = json.dumps(
        {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": TEXT}}]}
    ).encode()
    for _ in trial.runs(20, 2):
        stage.clean()
        stage.llama_swap.queue(wrong_length(-3, body + b"xyz"), answer(TEXT))
        for _ in range(2):  # bytes too many are not the beginning of the next answer
            heard = WAYS[1].ask(stage.daemon, "local", unique("too many"))
            assert heard.status in (200, 502)
            honest(trial, heard)
            trial.tried()
    quiet(trial, stage.daemon)


TOOL = {"name": "write", "description": "writes", "parameters": {"type": "object", "properties": {"a": {}}}}
CALLS: dict[str, Script] = {
    "two mixed": calls(("write", {"a": "1"}), ("write", {"b": "2"}), interleave=True, piece_chars=3),
    "in escapes": calls(("write", {"a": 'x\\n"\u00e9\U0001f600\\'}), piece_chars=1),
    "no arguments": calls(("write", {})),
    "text before": calls(("write", {"a": [1, 2, {"b": None}]}), text="I write."),
    "reasoning before": calls(
        ("write", {"a": "1"}), ("write", {"a": "2"}), reasoning="hm, hm", piece_chars=2
    ),
}


def tool_calls(trial: Trial) -> None:
    stage = stage_of(trial)
    for _ in trial.runs(20):
        for name, script in CALLS.items():
            for way in WAYS:
                for side in SIDES:
                    sim_of(stage, side).script(script)
                    offered = _offered(way.protocol)
                    heard = way.ask(stage.daemon, side, "use the tool", tools=[offered])
                    wanted = [call["arguments"] for call in script["tool_calls"]]
                    found = [json.loads(text or "{}") for text in _arguments(heard)]
                    assert found == wanted, f"{way} {side} {name}: {heard.body!r}"
                    if way.stream and way.protocol == "messages":
                        _in_order(heard)
                    trial.tried()


def _offered(protocol: str) -> dict[str, Any]:
    if protocol == "messages":
        return {"name": "write", "description": "writes", "input_schema": TOOL["parameters"]}
    return {"type": "function", **TOOL} if protocol == "responses" else {"type": "function", "function": TOOL}


def _arguments(heard: Heard) -> list[str]:
    """The arguments of each call, as this protocol's clients put them together."""
    protocol = heard.way.protocol
    if not heard.streamed:
        body = json.loads(heard.body)
        if protocol == "chat":
            return [call["function"]["arguments"] for call in body["choices"][0]["message"]["tool_calls"]]
        if protocol == "messages":
            return [json.dumps(block["input"]) for block in body["content"] if block["type"] == "tool_use"]
        return [item["arguments"] for item in body["output"] if item["type"] == "function_call"]
    parts: dict[int, str] = {}
    for event in heard.events():
        if event.get("type") == "content_block_start" and event["content_block"]["type"] == "tool_use":
            parts[event["index"]] = ""
        elif event.get("type") == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
            parts[event["index"]] += event["delta"]["partial_json"]
        elif event.get("type") == "response.output_item.done" and event["item"]["type"] == "function_call":
            parts[event["output_index"]] = event["item"]["arguments"]
        for choice in event.get("choices", ()):
            for call in choice["delta"].get("tool_calls") or ():
                more = call.get("function", {}).get("arguments") or ""
                parts[call["index"]] = parts.get(call["index"], "") + more
    return [parts[index] for index in sorted(parts)]


def _in_order(heard: Heard) -> None:
    """Anthropic's grammar: one block at a time, counted from zero, each opened and closed; then the end."""
    kinds = [event for event in heard.events() if event["type"] != "ping"]
    assert kinds[0]["type"] == "message_start"
    assert [event["type"] for event in kinds[-2:]] == ["message_delta", "message_stop"]
    opened: int | None = None
    following = 0
    for event in kinds[1:-2]:
        if event["type"] == "content_block_start":
            assert (opened, event["index"]) == (None, following)
            opened, following = following, following + 1
        else:
            assert event["index"] == opened, kinds
            if event["type"] == "content_block_stop":
                opened = None
    assert opened is None


def restarting(trial: Trial) -> None:
    stage = stage_of(trial)
    stage.llama_swap.script(answer(TEXT))
    for _ in trial.runs(50, 2):  # between requests: what lay in the pool is dead
        together(lambda way: way.ask(stage.daemon, "local", "fill the pool"), WAYS * 2)
        stage.llama_swap.listen("refuse", drop=True)
        stage.llama_swap.listen("open")
        for way in WAYS:
            heard = way.ask(stage.daemon, "local", "after it")
            assert (heard.status, heard.text) == (200, TEXT)
            trial.tried()
    failed, asked = 0, 0
    for _ in trial.runs(5, 0):  # under load: only what was in flight may fail, and says so
        with short_tempered() as fresh:
            fresh.llama_swap.script(answer(TEXT, gap_s=0.002))
            dropper = threading.Timer(0.15, fresh.llama_swap.listen, ("reset",), {"drop": True})
            opener = threading.Timer(0.2, fresh.llama_swap.listen, ("open",))
            dropper.start()
            opener.start()
            heard_all = together(
                lambda way: way.ask(fresh.daemon, "local", "load"),
                (WAYS * 40)[: 200 if trial.whole else 50],
                2,
            )
            for heard in heard_all:
                honest(trial, heard)
                failed += not heard.complete
                asked += 1
                trial.tried()
            dropper.join()
            opener.join()
    trial.figure("requests under load", asked)
    trial.figure("that failed, and said so", failed)


def both_down(trial: Trial) -> None:
    stage = stage_of(trial)
    waits: list[float] = []
    stage.manifest.listen("refuse", drop=True)
    stage.llama_swap.listen("refuse", drop=True)
    for _ in range(4):
        WAYS[0].ask(stage.daemon, "cloud", "until they rest")
    for _ in trial.runs(20):
        for way in WAYS:
            heard = way.ask(stage.daemon, "cloud", unique("both down"))
            assert heard.status == 503
            assert heard.retry_after is not None
            assert 1 <= heard.retry_after <= 60
            honest(trial, heard)
            waits.append(heard.took_s)
            trial.tried()
    phases = {name: state["phase"] for name, state in stage.daemon.health()["breakers"].items()}
    assert phases == {"cloud": "open", "local:gemma-small": "open"}
    assert metrics(stage.daemon)['brainrouter_resting{upstream="cloud"}'] == 1
    trial.figure("503 of a resting side, median", median_ms(waits), "ms")
    one_probe(trial)


def one_probe(trial: Trial) -> None:
    """A side that may be tried again is tried by one request, however many come."""
    stage = stage_of(trial)
    crowd = 200 if trial.whole else 12
    stage.llama_swap.listen("refuse", drop=True)
    stage.manifest.queue(status(429, retry_after="1"))
    WAYS[1].ask(stage.daemon, "cloud", "rest a second")
    assert stage.daemon.health()["breakers"]["cloud"]["phase"] == "open"
    eventually(lambda: stage.daemon.health()["breakers"]["cloud"]["phase"] == "half_open", what="half-open")
    stage.manifest.reset()
    stage.manifest.script(answer(TEXT, gate="probe"))
    statuses: list[int] = []
    crowding = [
        threading.Thread(target=lambda: statuses.append(WAYS[1].ask(stage.daemon, "cloud", "crowd").status))
        for _ in range(crowd)
    ]
    for one in crowding:
        one.start()
    eventually(lambda: len(statuses) == crowd - 1, 20.0, "all but the probe were told")
    assert len(posts(stage.manifest)) == 1
    stage.manifest.release("probe")
    for one in crowding:
        one.join(10)
    assert sorted(statuses)[0] == 200
    assert statuses.count(200) == 1
    assert stage.daemon.health()["breakers"].get("cloud") is None
    trial.tried(crowd)


def never_done(trial: Trial) -> None:
    stage = stage_of(trial)
    over: list[float] = []
    for way in WAYS if trial.whole else (STREAMS[1], WAYS[1]):
        stage.clean()
        stage.manifest.script(endless(0.05, 8) if way.stream else drip(0.05))
        stage.llama_swap.script(answer(TEXT))
        heard = way.ask(stage.daemon, "cloud", unique("never done"))
        if way.stream:
            trial.hold(Promise.FALSE_END, not heard.complete, str(heard.body[-200:]))
            assert heard.error is not None
        else:
            assert heard.text == TEXT
        over.append(heard.took_s - TOTAL_S)
        trial.tried()
    assert max(over) < 2.0
    trial.figure("end after the total budget, worst", max(over) * 1000, "ms")


def ends_only_in_words(trial: Trial) -> None:
    """The answer is whole, its terminal event is there, and the body never ends."""
    stage = patient_stage(trial)
    waits: list[float] = []
    for _ in trial.runs(10):
        for way, side in trial.some(cases(STREAMS)):
            spoken = way.protocol if side == "cloud" else "chat"
            sim_of(stage, side).script(_whole_then_nothing(spoken))
            text = unique("ends in words")
            heard = way.ask(stage.daemon, side, text)
            assert (heard.complete, heard.text) == (True, TEXT)
            waits.append(heard.took_s)
            event = stage.daemon.event(text)
            assert (event["status"], event["error"]) == (200, None)
            trial.tried()
    quiet(trial, stage.daemon)
    assert max(waits) < 3.0
    trial.figure("end of the stream after its terminal event, worst", max(waits) * 1000, "ms")


def never_ending(trial: Trial) -> None:
    never_done(trial)
    ends_only_in_words(trial)


def _whole_then_nothing(protocol: str) -> Script:
    raw = b"".join(
        play.render(event, []) for event in play.events_of(protocol, Answer(TEXT), {"stream": True})
    )
    return sse(raw, length=len(raw) + 100, framing="length")


ROWS = (
    Row(
        "U12", "429 with Retry-After: seconds, dates, absurd, none",
        "the other side answers; without one, 429 with a Retry-After of a day at most", "quick", rate_limited, 300,
    ),
    Row("U13", "401 and 403 that repeat the key", "the other side answers; no breaker counts; the key is nowhere", "quick", unauthorised, 180),
    Row("U14", "400: the context is too long", "the caller's own words for it; nobody else is asked; no breaker counts", "quick", too_long, 120),
    Row("U15", "404, 413, 422", "passed on; nobody else is asked; no breaker counts", "quick", refused_requests, 120),
    Row("U16", "500, 502, 503, 504, 529, with JSON, HTML or nothing", "the other side answers; the breaker counts", "quick", server_errors, 300),
    Row("U17", "a body in gzip, in brotli, a bomb of 1 GB", "gzip is read, the rest refused; memory stays flat", "quick", encoded, 180),
    Row(
        "U18", "1xx, 101, 204, redirects, no content type, wrong lengths, bytes too many",
        "the other side answers; no redirect is followed; nothing spills into the next answer", "quick", odd_http, 300,
    ),
    Row("U19", "tool calls mixed, empty, cut in escapes, after reasoning", "arguments exact; Anthropic's order kept", "quick", tool_calls, 180),
    Row("U20", "the upstream restarts, between requests and under load", "dead connections are replaced; only what was in flight fails", "quick", restarting, 180),
    Row("U21", "both sides are down; then one may be tried again", "503 with Retry-After at once; exactly one probe", "quick", both_down, 120),
    Row(
        "U22", "it never ends: a byte now and then; and a whole answer whose body stays open",
        "an error at the total budget; a whole answer ends soon after its terminal event", "quick", never_ending,
        120,
    ),
)  # fmt: skip
