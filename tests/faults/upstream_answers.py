"""U12 to U16 and U20 to U22: upstreams that say no, come back, or never end."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate
from typing import Any

from tests.daemon import Stage
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.rig import (
    TEXT,
    TOTAL_S,
    cases,
    eventually,
    honest,
    median_ms,
    metrics,
    patient_stage,
    posts,
    quiet,
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
    drip,
    endless,
    sse,
    status,
)

CALLERS = 8
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
    for turn in trial.runs(len(said)):
        value = said[turn % len(said)] if trial.whole else None
        for way in trial.some(WAYS):
            stage.clean()
            stage.manifest.script(status(429, retry_after=value))
            stage.llama_swap.script(answer(TEXT))
            heard = way.ask(stage.daemon, "cloud", unique("429"))
            assert (heard.status, heard.text) == (200, TEXT), value
            _rests_as_told(stage, value)
            limited = told(trial, stage, way, status(429, retry_after=value), clean=False)
            assert limited.status == 429
            assert limited.retry_after is not None
            assert 1 <= limited.retry_after <= 86_400
    quiet(trial, stage.daemon)


def _rests_as_told(stage: Stage, value: str | None) -> None:
    """The breaker believes a time that makes sense; how long at most: tests/policy/test_breaker.py."""
    if value in ("999999999999", "7.5"):
        found = stage.daemon.health()["breakers"]["cloud"]
        assert found["phase"] == "open", (value, found)


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
            alone = told(trial, stage, way, status(400, TOO_LONG)) if wanted == 400 else None
            assert alone is None or alone.status == 400


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
    failed, asked, answered = 0, 0, 0
    for _ in trial.runs(
        5, 0
    ):  # under load: the other side answers, but for what was in flight, which says so
        with short_tempered() as fresh:
            fresh.manifest.script(answer(TEXT, gap_s=0.002))
            fresh.llama_swap.script(answer(TEXT))
            dropper = threading.Timer(0.3, fresh.manifest.listen, ("reset",), {"drop": True})
            opener = threading.Timer(0.5, fresh.manifest.listen, ("open",))
            dropper.start()
            opener.start()
            heard_all = together(
                lambda way: way.ask(fresh.daemon, "cloud", "load"), (WAYS * 40)[:200], CALLERS
            )
            dropper.join()
            opener.join()
            for heard in heard_all:
                honest(trial, heard)
                trial.tried()
            broken = sum(not heard.complete for heard in heard_all)
            assert broken <= CALLERS, f"{broken} failed, and only {CALLERS} were in flight"
            failed, asked = failed + broken, asked + len(heard_all)
            answered += sum(heard.side == "local" for heard in heard_all)
    trial.figure("requests under load", asked)
    trial.figure("that were in flight, failed and said so", failed)
    trial.figure("that the other side answered", answered)


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
    trial.within("503 of a resting side, median", median_ms(waits), 50, "ms")
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
        "the other side answers; without one, 429 with a Retry-After of a day at most", "quick", rate_limited, 600,
    ),
    Row("U13", "401 and 403 that repeat the key", "the other side answers; no breaker counts; the key is nowhere", "quick", unauthorised, 180),
    Row("U14", "400: the context is too long", "the caller's own words for it; nobody else is asked; no breaker counts", "quick", too_long, 120),
    Row("U15", "404, 413, 422", "passed on; nobody else is asked; no breaker counts", "quick", refused_requests, 120),
    Row("U16", "500, 502, 503, 504, 529, with JSON, HTML or nothing", "the other side answers; the breaker counts", "quick", server_errors, 300),
    Row("U20", "the upstream restarts, between requests and under load", "dead connections are replaced; only what was in flight fails", "quick", restarting, 180),
    Row("U21", "both sides are down; then one may be tried again", "503 with Retry-After at once; exactly one probe", "quick", both_down, 120),
    Row(
        "U22", "it never ends: a byte now and then; and a whole answer whose body stays open",
        "an error at the total budget; a whole answer ends soon after its terminal event", "quick", never_ending,
        300,
    ),
)  # fmt: skip
