"""U1 to U11: upstreams that fail, before the first byte and after it."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import anthropic
import openai

from tests.daemon import Stage
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.rig import (
    BREAKERS,
    LIMIT_S,
    SIDES,
    TEXT,
    cases,
    forget_peak,
    grown_mb,
    honest,
    median_ms,
    pid_of,
    posts,
    quiet,
    resident_kb,
    short_tempered,
    sim_of,
    stage_of,
    together,
)
from tests.faults.ways import STREAMS, WAYS, WHOLES, Heard, Way, unique
from tests.sim import play
from tests.sim.answers import Answer
from tests.sim.scripts import (
    Script,
    answer,
    cut_after,
    empty,
    error_200,
    error_first,
    fin,
    head_then,
    huge_line,
    insert,
    reset,
    silence,
    sse,
    status,
)

SIX_LANGUAGES = "Hello, wörld. Привет, мир. こんにちは、世界。 你好，世界。 مرحبا بالعالم. नमस्ते दुनिया 🌍👩‍💻"


def stood_in(trial: Trial, stage: Stage, way: Way, script: Script | None, *, trips: bool = True) -> Heard:
    """The cloud fails before its first byte, and the local side answers in its stead. None: nobody listens."""
    stage.clean()
    if script is None:
        stage.manifest.listen("refuse", drop=True)
    else:
        stage.manifest.script(script)
    stage.llama_swap.script(answer(TEXT))
    text = unique("stood in")
    heard = way.ask(stage.daemon, "cloud", text)
    assert (heard.status, heard.text) == (200, TEXT), f"{way}: {heard}"
    honest(trial, heard)
    event = stage.daemon.event(text)
    assert (event["fallback"], event["error"], len(event["attempts"])) == ("cloud failed", None, 1)
    failures = stage.daemon.health()["breakers"].get("cloud", {}).get("failures", 0)
    assert failures == trips, f"{way}: {event['attempts']}"
    trial.tried()
    return heard


def told(trial: Trial, stage: Stage, way: Way, script: Script | None, *, clean: bool = True) -> Heard:
    """The local side fails and nobody may stand in: the caller hears of it in its own words."""
    if clean:
        stage.clean()
    asked = len(posts(stage.manifest))
    if script is None:
        stage.llama_swap.listen("refuse", drop=True)
    else:
        stage.llama_swap.script(script)
    text = unique("told")
    heard = way.ask(stage.daemon, "local", text)
    assert heard.status >= 400, f"{way}: {heard}"
    honest(trial, heard)
    event = stage.daemon.event(text)
    assert event["status"] == heard.status
    assert event["error"]
    assert len(posts(stage.manifest)) == asked
    trial.tried()
    return heard


def broken_off(trial: Trial, stage: Stage, way: Way, side: str, script: Script) -> Heard:
    """A stream breaks after it began: an error ends it, and nobody else is asked."""
    stage.clean()
    sim_of(stage, side).script(script)
    text = unique("broken off")
    heard = way.ask(stage.daemon, side, text)
    trial.hold(Promise.FALSE_END, not heard.complete, f"{way} {side}: {heard.body[-300:]!r}")
    assert heard.error is not None, f"{way} {side}: {heard.body[-300:]!r}"
    assert heard.text
    assert TEXT.startswith(heard.text)
    event = stage.daemon.event(text)
    assert event["error"]
    assert event["fallback"] is None
    assert posts(sim_of(stage, "local" if side == "cloud" else "cloud")) == []
    assert stage.daemon.health()["breakers"][BREAKERS[side]]["failures"] == 1
    trial.tried()
    return heard


def before_the_first_byte(
    trial: Trial, scripts: dict[str, Script], runs: int = 20, ways: tuple[Way, ...] = WAYS
) -> None:
    """Every script, on the cloud (somebody stands in) and on the local side (nobody does)."""
    stage = stage_of(trial)
    for _ in trial.runs(runs):
        for script in scripts.values():
            for way in trial.some(ways):
                stood_in(trial, stage, way, script)
                told(trial, stage, way, script)
    quiet(trial, stage.daemon)


def refused(trial: Trial) -> None:
    stage = stage_of(trial)
    waits: list[float] = []
    for _ in trial.runs(20):
        for way in WAYS:
            waits.append(stood_in(trial, stage, way, None).begun_s)
            assert told(trial, stage, way, None).status == 502
    quiet(trial, stage.daemon)
    trial.within("first byte of the stand-in, median", median_ms(waits), 150, "ms")
    trial.figure("worst", max(waits) * 1000, "ms")


def side_by_side(trial: Trial, jobs: Sequence[Callable[[Stage], None]]) -> None:
    """Jobs that mostly wait, at the same time, each on a stage of its own."""
    names = ["short-tempered", *(f"short-tempered {number}" for number in range(2, len(jobs) + 1))]
    stages = [trial.shared(name, short_tempered) for name in names]
    together(lambda pair: pair[0](pair[1]), zip(jobs, stages, strict=False), len(jobs))
    for stage in stages[: len(jobs)]:
        quiet(trial, stage.daemon)


def late(trial: Trial, script: Script) -> None:
    """Nothing comes: a stream waits for its first event, a whole answer for its total."""
    over: list[float] = []

    def job(way: Way, stage: Stage) -> None:
        for _ in trial.runs(20):
            heard = stood_in(trial, stage, way, script, trips=way.stream)
            if way.stream:
                over.append(heard.begun_s - LIMIT_S)

    side_by_side(trial, [partial(job, way) for way in (WAYS if trial.whole else STREAMS[:1])])
    assert max(over) < 2.0
    trial.within("stand-in's first byte after the limit, median", median_ms(over), 250, "ms")
    trial.figure("worst", max(over) * 1000, "ms")


def silent(trial: Trial) -> None:
    late(trial, silence())


def silent_after_the_head(trial: Trial) -> None:
    late(trial, head_then("stall", pings_s=0.1))


def stalled(trial: Trial) -> None:
    over: list[float] = []

    def job(way: Way, side: str, stage: Stage) -> None:
        for turn in trial.runs(20):
            script = cut_after(6, "stall", text=TEXT, pings_s=0.05 if turn % 2 == 0 else None)
            over.append(broken_off(trial, stage, way, side, script).took_s - LIMIT_S)

    chosen = cases(STREAMS) if trial.whole else [(STREAMS[1], "local")]
    side_by_side(trial, [partial(job, way, side) for way, side in chosen])
    assert max(over) < 2.0
    trial.within("error frame after the limit, median", median_ms(over), 250, "ms")
    trial.figure("worst", max(over) * 1000, "ms")


def broken_how(trial: Trial, how: str) -> None:
    stage = stage_of(trial)
    for turn in trial.runs(20):
        for way, side in trial.some(cases(STREAMS), 3):
            broken_off(trial, stage, way, side, cut_after(6 + turn % 3, how, text=TEXT, gap_s=0.005))
        for way in trial.some(WHOLES, 1):
            stood_in(trial, stage, way, cut_after(1, how, text=TEXT))
            told(trial, stage, way, cut_after(1, how, text=TEXT))
    quiet(trial, stage.daemon)


def reset_midway(trial: Trial) -> None:
    broken_how(trial, "reset")
    for _ in trial.runs(20):
        the_sdks_raise(trial, cut_after(7, "reset", text=TEXT, gap_s=0.005))
    before_the_first_byte(trial, {"a reset": reset(), "an end": fin()}, 5)


def the_sdks_raise(trial: Trial, script: Script) -> None:
    """The publishers' own clients take a stream that broke for an error."""
    stage = stage_of(trial)
    stage.manifest.script(script)
    address, turns = stage.daemon.base_url, [{"role": "user", "content": "broken"}]
    theirs: Any = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    other: Any = anthropic.Anthropic(base_url=address, api_key="none", max_retries=0)
    asks: list[tuple[type[Exception], Callable[[], Iterable[Any]]]] = [
        (openai.APIError, lambda: theirs.chat.completions.create(model="cloud", messages=turns, stream=True)),
        (openai.APIError, lambda: theirs.responses.create(model="cloud", input="broken", stream=True)),
        (anthropic.APIError, lambda: other.messages.create(model="cloud", messages=turns, max_tokens=9, stream=True)),
    ]  # fmt: skip
    with theirs, other:
        for error, ask in asks:
            stage.clean()
            stage.manifest.script(script)
            with contextlib.suppress(error):
                events = list(ask())
                failed = [
                    event for event in events if getattr(event, "type", "") in ("error", "response.failed")
                ]
                trial.hold(Promise.FALSE_END, bool(failed), f"an SDK took it for whole: {events[-2:]}")
            trial.tried()


def ended_midway(trial: Trial) -> None:
    broken_how(trial, "end")
    broken_how(trial, "fin")


def sliced(trial: Trial) -> None:
    """A transcript in six languages, cut at every byte once (`make test`: at a sample), byte by byte, and in random
    places."""
    stage = stage_of(trial)
    chance = random.Random(7)
    for way in STREAMS:
        for side in SIDES:
            sim = sim_of(stage, side)
            spoken = way.protocol if side == "cloud" else "chat"
            events = play.events_of(spoken, Answer(SIX_LANGUAGES, ident="fixed"), {"stream": True})
            raw = b"".join(play.render(event, []) for event in events)
            sim.script(sse(raw, slice=1, slice_gap_s=0))
            bytewise = way.ask(stage.daemon, side, "byte by byte")
            assert bytewise.text == SIX_LANGUAGES, f"{way} {side}"
            assert side == "local" or bytewise.body == raw
            points = [[at] for at in chance.sample(range(1, len(raw)), len(trial.runs(len(raw) - 1, 8)))]
            points += [
                sorted(chance.sample(range(1, len(raw)), chance.randint(2, 40))) for _ in trial.runs(84, 2)
            ]
            sim.queue(*(sse(raw, split_at=at, slice_gap_s=0.001) for at in points))
            for at in points:
                heard = way.ask(stage.daemon, side, "split")
                trial.hold(Promise.FALSE_END, heard.text == SIX_LANGUAGES, f"{way} {side} at {at}")
                assert heard.complete
                assert side == "local" or heard.body == raw
                trial.tried()


def odd_grammar(trial: Trial) -> None:
    stage = stage_of(trial)
    styles = ["crlf", "cr", "nospace", "comments", "multiline", "bom"]
    chance = random.Random(8)
    chosen = [[style] for style in styles]
    chosen += [chance.sample(styles, chance.randint(2, 6)) for _ in trial.runs(200, 4)]
    told_text = TEXT + "\u2028and\u0085on"
    for number, mix in enumerate(chosen):
        for way, side in cases(STREAMS) if trial.whole else [cases(STREAMS)[number % 6]]:
            sim_of(stage, side).script(answer(told_text, sse=mix))
            heard = way.ask(stage.daemon, side, "odd grammar")
            text = _by_the_book(heard)
            trial.hold(Promise.FALSE_END, text == told_text, f"{way} {side} {mix}: {heard.body[:300]!r}")
            trial.tried()
    assert stage.daemon.health()["breakers"] == {}


def _by_the_book(heard: Heard) -> str:
    """The text of a stream whose grammar may be anything that WHATWG allows."""
    body = heard.body.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n").replace("\r", "\n")
    blocks = [block.split("\n") for block in body.split("\n\n")]
    data = [
        "\n".join(line[5:].removeprefix(" ") for line in block if line.startswith("data:"))
        for block in blocks
    ]
    lines = [json.dumps(json.loads(one)) for one in data if one.startswith("{")]
    plain = "".join(f"data: {line}\n\n" for line in lines).encode()
    return Heard(heard.way, 200, heard.headers, plain, cut=False, begun_s=0, took_s=0).text


RUBBISH = {
    "rubbish JSON": b"data: {rubbish\n\n",
    "invalid UTF-8": b'data: {"a":"\xff"}\n\n',
    "no object": b"data: 3\n\n",
    "wrong types": b'data: {"choices":"x","type":7,"delta":[]}\n\n',
    "deep nesting": b"data: " + b"[" * 5000 + b"\n\n",
}


def rubbish(trial: Trial) -> None:
    stage = stage_of(trial)
    for _ in trial.runs(10):
        for raw in trial.some(list(RUBBISH.values())):
            for way, side in trial.some(cases(STREAMS), 3):
                broken_off(trial, stage, way, side, insert(6, raw, text=TEXT, gap_s=0.005))
    before_the_first_byte(trial, {name: sse(raw) for name, raw in list(RUBBISH.items())[:3]}, 3, STREAMS[:1])
    before_the_first_byte(trial, {"rubbish": status(200, "rubbish"), "a list": status(200, [1])}, 3)


def line_without_end(trial: Trial) -> None:
    stage = stage_of(trial)
    pid = pid_of(stage.daemon)
    worst = 0.0
    for _ in trial.runs(5):
        for way, side in cases(STREAMS) if trial.whole else [(STREAMS[0], "cloud"), (STREAMS[1], "local")]:
            stage.clean()
            sim_of(stage, side).script(huge_line(64 << 20))
            before = resident_kb(pid)
            forget_peak(pid)
            heard = way.ask(stage.daemon, side, unique("64 MB in one line"))
            worst = max(worst, grown_mb(pid, before))
            honest(trial, heard, "Hello from the sim.")
            assert b"aaaaaaaa" not in heard.body
            trial.tried()
    trial.hold(Promise.LEAK, worst < 8, f"{worst} MB more")
    trial.figure("memory at its worst", worst, "MB more")


def disguised(trial: Trial) -> None:
    stage = stage_of(trial)
    before_the_first_byte(
        trial, {"an error": error_200(), "words": status(200, {"error": "words"}), "empty": empty()}
    )
    before_the_first_byte(trial, {"an error first": error_first()}, 20, STREAMS)
    for _ in trial.runs(5):
        for code in ("M100", "M302"):
            for way in trial.some(WAYS):
                stood_in(trial, stage, way, {"error": code})
        for code in ("M001", "M500"):  # true statuses for who does not stream
            stood_in(trial, stage, WAYS[0], {"error": code})


ROWS = (
    Row("U1", "the upstream refuses connections", "the other side answers; the breaker counts", "quick", refused, 180),
    Row("U2", "it accepts and never answers", "the other side answers at the limit; the breaker counts", "quick", silent, 180),
    Row(
        "U3", "it sends a 200 head, then only heartbeats", "as U2: a 200 is no success, a heartbeat no event",
        "quick", silent_after_the_head, 180,
    ),
    Row(
        "U4", "it stalls in the middle of a stream, with heartbeats and without",
        "an error ends the stream at the limit; nobody else is asked; the breaker counts", "quick", stalled, 180,
    ),
    Row(
        "U5", "it resets the connection in the middle",
        "a stream ends with an error in the caller's protocol, and the SDKs raise; a whole answer is asked elsewhere", "quick", reset_midway, 180,
    ),
    Row("U6", "it ends in the middle, cleanly", "as U5: no terminal event, no whole answer", "quick", ended_midway, 180),
    Row(
        "U7", "six languages: one byte a write, cut at every byte, and in random places",
        "the text is the same; passed through, every byte is", "quick", sliced, 900,
    ),
    Row("U8", "odd but allowed SSE: CR, CRLF, no space, comments, many data lines, BOM", "read as WHATWG says", "quick", odd_grammar, 180),
    Row(
        "U9", "invalid UTF-8, rubbish JSON, JSON that is no object",
        "before the first byte the other side answers, after it an error ends the stream", "quick", rubbish, 180,
    ),
    Row("U10", "a line of 64 MB without an end", "an error; memory stays flat", "quick", line_without_end, 180),
    Row(
        "U11", "a 200 that is an error: JSON, first event, empty answer, Manifest's stubs",
        "the other side answers; the breaker counts", "quick", disguised, 180,
    ),
)  # fmt: skip
