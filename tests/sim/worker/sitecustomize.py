"""A classifier's worker that fails as scripted. On PYTHONPATH of a daemon it takes the place of the worker's process.

SIM_WORKER names a JSON file, read anew for each life and each job: `start` (ready, exit, segv, silent, rubbish, off) and
`job` (answer, late, prose, nothing, null, trouble, stranger, huge, segv, kill, exit, deaf) with `wait_s` and `p_cloud`.
Any other process that finds this file goes its way.
"""

import json
import os
import signal
import sys
import time


def script() -> dict[str, object]:
    with open(os.environ["SIM_WORKER"], encoding="utf-8") as file:
        return json.load(file)


def die(how: object) -> None:
    if how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)


def say(words: object) -> None:
    text = words if isinstance(words, str) else json.dumps(words)
    os.write(1, text.encode() + b"\n")


def begin(how: object) -> None:
    die(how)
    if how == "silent":
        time.sleep(3600)
    if how == "rubbish":
        say("Sure! Here is a classifier for you.")
    if how == "off":
        say({"state": "off", "reason": "the sim does not want to"})
        os._exit(0)
    say(
        {
            "state": "ready",
            "engine": "sim",
            "description": "a sim",
            "cap_chars": 160,
            "p50_ms": 1.0,
            "p95_ms": 2.0,
        }
    )


def answer(job: dict[str, object]) -> None:
    now = script()
    how = now.get("job", "answer")
    die(how)
    time.sleep(float(str(now.get("wait_s", 0))))
    replies: dict[object, object] = {
        "prose": "I think this one is rather hard.",
        "nothing": "",
        "null": {"id": job["id"]},
        "trouble": {"id": job["id"], "trouble": "out of luck"},
        "stranger": {"id": 4711, "p_cloud": 0.5},
        "huge": '{"id":1,"trouble":"' + "x" * 300_000 + '"}',
        "wrong": {"id": "one", "p_cloud": "high"},
    }
    if how != "deaf":
        say(replies.get(how, {"id": job["id"], "p_cloud": now.get("p_cloud", 0.9)}))


def work() -> None:
    begin(script().get("start", "ready"))
    for line in sys.stdin:
        answer(json.loads(line))
    os._exit(0)


if "brainrouter.adapters.classifier_worker" in sys.orig_argv and "SIM_WORKER" in os.environ:
    work()
