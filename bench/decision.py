"""How long the decision takes: `python -m bench.decision [--rounds N] [--json FILE]`.

The cascade without the small model, for requests as harnesses send them; with it, each request asked although the heads
might be sure; and the small model's pass beside the naive way: a fresh context, the whole prompt, an answer generated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from brainrouter.adapters.classifier import QUIET, Classifier
from brainrouter.adapters.classifier_engine import LogitsEngine, tokens_of
from brainrouter.adapters.classifier_judge import best_judge
from brainrouter.adapters.eval_set import shipped_turns
from brainrouter.adapters.heads_file import load_heads
from brainrouter.adapters.model_file import embedded_model
from brainrouter.brain import classify_prompt as prompt
from brainrouter.brain.session import Sessions
from brainrouter.flows.decide import DEFAULT_KNOB, Decider, Taste
from brainrouter.flows.evaluate import AGENT_TOOLS, SYSTEM
from brainrouter.policy.model_name import Intent
from brainrouter.policy.plan import Backends
from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses

AUTO = Intent("auto")
DEADLINE_S = 0.2
BARS_MS = {"cascade": 5.0, "with the small model": 200.0}
COMPARED = 6  # of the comparison with the naive way
ASKED = 60  # requests of the rows with the small model
GENERATED = 8  # tokens at most, as a naive classifier lets itself have
FILLER = "Follow the conventions of the repository. Never commit unless asked. Keep answers short and to the point. "


@dataclass(frozen=True)
class Figures:
    """One kind of request, in milliseconds: the best round's median and 95th percentile by the clock, and by the CPU.

    With one thread the CPU's time is what the clock would show on an idle machine.
    """

    name: str
    count: int
    p50: float
    p95: float
    cpu_p50: float = math.nan
    cpu_p95: float = math.nan
    note: str = ""


def bodies(texts: Sequence[str]) -> dict[str, list[Ask]]:
    """The texts as requests: bare, in a harness's envelope in each protocol, and at the end of a long tool loop."""
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    words = {name: f"the {name} tool. {FILLER}" for name in AGENT_TOOLS}
    functions = [{"name": name, "description": said, "parameters": schema} for name, said in words.items()]
    chat = [{"type": "function", "function": function} for function in functions]
    responses = [{"type": "function", **function} for function in functions]
    messages = [{"name": name, "description": said, "input_schema": schema} for name, said in words.items()]
    system = SYSTEM + FILLER * 200
    long: list[dict[str, Any]] = [
        {"role": "system", "content": system},
        {"role": "user", "content": "Make the tests pass."},
    ]
    for at in range(60):
        call = {
            "id": f"c{at}",
            "type": "function",
            "function": {"name": "Read", "arguments": f'{{"path":"a{at}.py"}}'},
        }
        long += [{"role": "assistant", "content": None, "tool_calls": [call]},
                 {"role": "tool", "tool_call_id": f"c{at}", "content": f"line {at} of a file\n" * 200}]  # fmt: skip
    long.append({"role": "assistant", "content": "Done."})
    return {
        "bare text": [_ask(parse_chat, messages=[_user(text)]) for text in texts],
        "chat, 30 KB envelope": [
            _ask(parse_chat, messages=[long[0], _user(text)], tools=chat) for text in texts
        ],
        "messages, 30 KB envelope": [
            _ask(parse_messages, max_tokens=4096, system=system, messages=[_user(text)], tools=messages)
            for text in texts
        ],
        "responses, 30 KB envelope": [
            _ask(parse_responses, instructions=system, input=[_user(text)], tools=responses) for text in texts
        ],
        "chat, 300 KB session": [
            _ask(parse_chat, messages=[*long, _user(text)], tools=chat) for text in texts
        ],
    }


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _ask(parse: Callable[[bytes, dict[str, str]], Ask], **fields: Any) -> Ask:
    return parse(msgspec.json.encode({"model": "auto", "stream": True, **fields}), {})


def decider(classifier: Classifier | None = None) -> Decider:
    """A decider as the daemon has it, with both sides there."""
    both = Backends("auto", "local", None)
    taste = Taste(DEFAULT_KNOB, 60, {})
    sessions = Sessions()
    return Decider(
        load_heads(), taste, sessions, lambda: both, lambda _: 1 << 20, lambda: classifier, DEADLINE_S
    )


async def cascade(rounds: int) -> list[Figures]:
    """The cascade alone. Each round has a decider of its own, so that no score is known before."""
    texts = [turn.text for turn in shipped_turns()]
    found: list[Figures] = []
    for name, asks in bodies(texts).items():
        seen: list[list[float]] = []
        spent: list[list[float]] = []
        for _ in range(rounds):
            ours = decider()
            seen.append([])
            spent.append([])
            for ask in asks:
                before = time.thread_time()
                seen[-1].append((await ours.decide(ask, AUTO)).ms)
                spent[-1].append((time.thread_time() - before) * 1000)
        found.append(figures(name, seen, spent))
    return found


async def with_model(model: Path, rounds: int) -> list[Figures]:
    """The cascade and the small model, from its worker process, for every request: the knob is set to its gain."""
    classifier = Classifier(model, deadline_s=DEADLINE_S, embedded=True)
    await classifier.start()
    try:
        async with asyncio.timeout(180):
            while classifier.status()["state"] in ("loading", "off", "restarting"):
                await asyncio.sleep(0.05)
        said = classifier.status()
        if said["state"] != "ready":
            note = f"{said['state']} on this machine now: {said['detail']}"
            return [Figures("with the small model", 0, math.nan, math.nan, note=note)]
        asks = bodies([turn.text for turn in shipped_turns()][:ASKED])["chat, 30 KB envelope"]
        seen: list[list[float]] = []
        late = 0
        for _ in range(rounds):
            ours = decider(classifier)
            took: list[float] = []
            for ask in asks:
                gain = ours.dry_run(ask, "", (), AUTO).gain
                ours.taste = replace(ours.taste, knob=gain)
                verdict = await ours.decide(ask, AUTO)
                late += verdict.stage != "llm"
                took.append(verdict.ms)
            seen.append(took)
        settings = f"{said['shots']} examples, {said['cap_chars']} characters; {late} of {len(asks) * rounds} not in time"
        return [replace(figures("with the small model", seen), note=settings)]
    finally:
        await classifier.close()


class Naive(LogitsEngine):
    """The same model, asked as if nothing could be kept from one request to the next."""

    def answer(self, tokens: list[int], threads: int) -> int:
        """Read the whole prompt in a fresh context and generate. Gives the number of tokens generated."""
        library, held = self._library, (self._context, self._memory)
        library.llama_free.restype, library.llama_free.argtypes = None, (ctypes.c_void_p,)
        self._context = self._new_context(threads)
        self._memory = library.llama_get_memory(self._context)
        try:
            self._decode(tokens, 0, 0)
            for made in range(GENERATED):
                row = library.llama_get_logits_ith(self._context, -1)
                token = int(np.ctypeslib.as_array(row, shape=(self._n_vocab,)).argmax())
                if self._ends(token):
                    return made
                self._decode([token], len(tokens) + made, 0)
            return GENERATED
        finally:
            library.llama_free(self._context)
            self._context, self._memory = held

    def _ends(self, token: int) -> bool:
        return token in self.tokens("<|im_end|><|endoftext|>", markup=True)


def ratio(model: Path, rounds: int) -> list[Figures]:
    """One pass after the held prefix beside the naive way, on the same texts, in turns, in this process."""
    os.environ.update(QUIET)  # as the worker has it; read when the library is loaded
    threads = max(1, min(2, len(os.sched_getaffinity(0))))
    engine = Naive(model, threads)
    judge, _ = best_judge(engine, math.inf, embedded=True)
    assert judge is not None
    template = prompt.template_for(engine.chat_template)
    texts = [turn.text for turn in shipped_turns()][:COMPARED]
    ours: list[list[tuple[float, float]]] = []
    naive: list[list[tuple[float, float]]] = []
    for _ in range(rounds):
        ours.append([])
        naive.append([])
        for text in texts:
            with _timed(ours[-1]):
                judge.read(text)
            with _timed(naive[-1]):
                said = prompt.Piece(prompt.capped(text, judge.cap), markup=False)
                pieces = [
                    *prompt.prefix(template, judge.shots),
                    said,
                    prompt.Piece(template.after_user, markup=True),
                ]
                engine.answer(engine.bos() + tokens_of(engine, pieces), threads)
    one, other = (
        _pairs("one pass after the held prefix", ours),
        _pairs("naive: fresh context, generated", naive),
    )
    note = f"{other.p50 / one.p50:.1f} times by the clock, {other.cpu_p50 / one.cpu_p50:.1f} times by the CPU"
    return [one, replace(other, note=note)]


@contextlib.contextmanager
def _timed(into: list[tuple[float, float]]) -> Iterator[None]:
    """Milliseconds by the clock, and of all the process' threads."""
    clock, spent = time.perf_counter(), time.process_time()
    yield
    into.append(((time.perf_counter() - clock) * 1000, (time.process_time() - spent) * 1000))


def _pairs(name: str, seen: list[list[tuple[float, float]]]) -> Figures:
    return figures(
        name, [[pair[0] for pair in took] for took in seen], [[pair[1] for pair in took] for took in seen]
    )


def figures(name: str, seen: Sequence[Sequence[float]], spent: Sequence[Sequence[float]] = ()) -> Figures:
    """The round with the lowest 95th percentile, by the clock and by the CPU."""
    p95, p50 = _best(seen)
    cpu_p95, cpu_p50 = _best(spent) if spent else (math.nan, math.nan)
    return Figures(name, len(seen[0]), p50, p95, cpu_p50, cpu_p95)


def _best(seen: Sequence[Sequence[float]]) -> tuple[float, float]:
    return min((float(np.percentile(took, 95)), float(np.median(took))) for took in seen)


def show(rows: Sequence[Figures]) -> None:
    """A table of milliseconds."""
    print(f"{'milliseconds, best round':34} {'n':>4} {'p50':>9}{'p95':>9} {'CPU p50':>9}{'CPU p95':>9}")
    for row in rows:
        times = f"{row.p50:9.2f}{row.p95:9.2f} {row.cpu_p50:9.2f}{row.cpu_p95:9.2f}".replace("nan", "  -")
        print(f"{row.name:34} {row.count:4} {times}  {row.note}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cache = Path(
        os.environ.get("BRAINROUTER_BENCH_CACHE")
        or Path(__file__).resolve().parent.parent / ".cache" / "models"
    )
    model = embedded_model(cache, lambda _label, _share: None)
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} over the last minute")
    plain = asyncio.run(cascade(options.rounds))
    show(plain)
    worst, spent = max(row.p95 for row in plain), max(row.cpu_p95 for row in plain)
    print(
        f"cascade: p95 {worst:.2f} ms by the clock, {spent:.2f} by the CPU (bar {BARS_MS['cascade']:g})\n",
        flush=True,
    )
    asked = asyncio.run(with_model(model, max(1, options.rounds // 2)))
    show(asked)
    print(f"bar {BARS_MS['with the small model']:g} ms\n", flush=True)
    beside = ratio(model, max(1, options.rounds // 3))
    show(beside)
    rows = [*plain, *asked, *beside]
    if options.json:
        options.json.write_text(
            json.dumps([msgspec.to_builtins(row) for row in rows], indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
