"""How well the running daemon's reviewer tells right changes from wrong ones, on the set in tests/review_set.

Start a daemon, then: python -m bench.review_quality [--cases N] [--seconds N] [--socket PATH]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brainrouter.adapters.listen import default_socket
from tests.review_set.cases import Case, cases

REVIEW_S = 900.0


def main() -> None:
    """Review the cases in both states, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="how many, spread over the set")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no new case after so long")
    parser.add_argument("--socket", type=Path, default=default_socket(os.environ))
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    began = time.monotonic()
    for case in spread(cases(), options.cases):
        if time.monotonic() - began > options.seconds:
            break
        for wrong in (False, True):
            started = time.monotonic()
            found = review(options.socket, case, wrong=wrong)
            hit = points_at_bug(found, case)
            kind = "wrong" if wrong else "right"
            counts.update([kind, f"{kind} {found['status']}"] + [f"{kind} hit"] * (wrong and hit))
            took = time.monotonic() - started
            print(
                f"{case.path:14} {kind:6} {found['status']:15} {'points at it' if wrong and hit else '':13} {took:6.1f} s",
                flush=True,
            )
    report(counts)


def spread(all_: list[Case], limit: int) -> Iterator[Case]:
    """`limit` cases, evenly over the set and so over its languages."""
    step = max(1, len(all_) // limit)
    yield from all_[::step][:limit]


def review(path: Path, case: Case, *, wrong: bool) -> dict[str, Any]:
    """One review of a scratch repository, which the daemon may look into since we work in it."""
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        file = repo / case.path
        file.write_text(case.before, encoding="utf-8")
        git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
        for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "before"]):
            subprocess.run([*git, *arguments], cwd=repo, check=True)
        file.write_text(case.wrong if wrong else case.right, encoding="utf-8")
        os.chdir(repo)
        try:
            return ask(
                path,
                {"taskId": f"bench {case.path} {time.time()}", "summary": f"The function {case.summary}."},
            )
        finally:
            os.chdir("/")


def ask(path: Path, body: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection("localhost", timeout=REVIEW_S)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(REVIEW_S)
    connection.sock.connect(str(path))
    connection.request("POST", "/review/api/request", json.dumps(body), {"content-type": "application/json"})
    reply = connection.getresponse()
    said = json.loads(reply.read())
    connection.close()
    if reply.status != 200:
        raise SystemExit(f"{reply.status}: {said}")
    return said


def points_at_bug(found: dict[str, Any], case: Case) -> bool:
    """Whether a verified finding quotes a line that the bug is in."""
    bugs = {line.strip() for line in case.bug}
    return any(one["verified"] and one["quote"] in bugs for one in found["findings"])


def report(counts: Counter[str]) -> None:
    """Precision and recall of `needs_revision`; what was escalated counts as neither and is said."""
    caught, alarms = counts["wrong needs_revision"], counts["right needs_revision"]
    precision = f"{caught / (caught + alarms):.2f}" if caught + alarms else "none"
    recall = f"{caught / counts['wrong']:.2f}" if counts["wrong"] else "none"
    for kind in ("right", "wrong"):
        states = ", ".join(
            f"{counts[f'{kind} {name}']} {name}" for name in ("approved", "needs_revision", "escalated")
        )
        print(f"{kind}: {counts[kind]} reviewed: {states}")
    print(
        f"precision {precision}, recall {recall}, objections that quote the bug's line: {counts['wrong hit']}"
    )


if __name__ == "__main__":
    main()
