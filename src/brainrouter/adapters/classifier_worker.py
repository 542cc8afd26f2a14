"""The classifier's process: it owns llama.cpp, so that a hostile file or a native abort cannot hurt the daemon.

One JSON object a line. It says once how it is (`Hello`), then answers every `Job` with a `Reply`.
`python -P -m brainrouter.adapters.classifier_worker --model FILE --deadline S --parent PID [--embedded] [--server]`
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from brainrouter.adapters.child_process import die_with_parent
from brainrouter.adapters.embedded_server import threads

MAX_THREADS = 8  # a short batch has no work for more
LOW_MASS = 0.05


class Hello(msgspec.Struct, omit_defaults=True):
    """How the worker is: `off` and `too_slow` are its last words."""

    state: Literal["ready", "off", "too_slow"]
    reason: str = ""
    engine: str = ""
    description: str = ""
    shots: int = 0
    cap_chars: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    label_mass: float | None = None


class Job(msgspec.Struct):
    """A text to judge before `deadline`, which is time.monotonic() of this machine."""

    id: int
    text: str
    deadline: float


class Reply(msgspec.Struct, omit_defaults=True):
    """`p_cloud` is None when the deadline had passed, before the pass or during it."""

    id: int
    p_cloud: float | None = None
    trouble: str = ""


def own_channel() -> tuple[BinaryIO, BinaryIO]:
    """Descriptors of our own for the two pipes: what native code prints to stdout goes to stderr instead."""
    source, target = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return os.fdopen(source, "rb"), os.fdopen(target, "wb", buffering=0)


def serve(arguments: argparse.Namespace, source: BinaryIO, target: BinaryIO) -> None:
    """Load, measure, then answer jobs until the daemon closes the pipe."""
    from brainrouter.adapters.classifier_engine import open_engine  # native code, after the channel is safe
    from brainrouter.adapters.classifier_judge import best_judge
    from brainrouter.adapters.llama_library import BadModel, TooLate

    say = msgspec.json.Encoder()
    try:
        engine = open_engine(Path(arguments.model), min(threads(), MAX_THREADS), server_only=arguments.server)
    except (BadModel, ImportError) as trouble:
        target.write(say.encode(Hello("off", reason=str(trouble))) + b"\n")
        return
    judge, timing = best_judge(engine, arguments.deadline, embedded=arguments.embedded)
    hello = Hello("ready", engine=engine.name, description=engine.description)
    hello.p50_ms, hello.p95_ms = round(timing.p50_ms, 1), round(timing.p95_ms, 1)
    if judge is None:
        hello.state = "too_slow"
        hello.reason = f"{timing.p50_ms:.0f} ms a request on this machine"
        target.write(say.encode(hello) + b"\n")
        return
    hello.shots, hello.cap_chars, hello.label_mass = judge.shots, judge.cap, judge.calibrate()
    if hello.label_mass is not None and hello.label_mass < LOW_MASS:
        hello.reason = f"answers with one of the two words only {hello.label_mass:.1%} of the time"
    target.write(say.encode(hello) + b"\n")
    read = msgspec.json.Decoder(Job)
    for line in source:
        job = read.decode(line)
        reply = Reply(job.id)
        if time.monotonic() < job.deadline:
            try:
                reply.p_cloud = judge.p_cloud(job.text, job.deadline)
            except TooLate:
                pass
            except (RuntimeError, ValueError, KeyError) as trouble:
                reply.trouble = str(trouble)
        target.write(say.encode(reply) + b"\n")


def main(argv: list[str]) -> int:
    """Ends when the daemon does."""
    parser = argparse.ArgumentParser(prog="classifier_worker")
    parser.add_argument("--model", required=True)
    parser.add_argument("--deadline", type=float, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--server", action="store_true", help="do not read logits through llama.h")
    arguments = parser.parse_args(argv)
    die_with_parent(arguments.parent)
    source, target = own_channel()
    serve(arguments, source, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
