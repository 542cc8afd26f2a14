"""What it costs to make a request of a real harness ready for a local model: `python -m bench.lean_cost [TURN]`.

On the sessions of `python -m bench.lean record`; processor time, the best of five rounds of 40 requests, each parsed anew
and each the next turn of a session whose earlier turns were seen.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from bench.lean_clients import recorded
from brainrouter.policy.outgoing import to_local
from brainrouter.policy.plan import Attempt
from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses
from tests.clients.roster import CLIENTS

ROUNDS, REQUESTS = 5, 40
LOCAL = Attempt("local", "bench")


def main(turn: int) -> None:
    """Print a line for each client."""
    for client in CLIENTS:
        requests = [one for one in recorded()[client.name] if one["body"].get("tools")]
        request = requests[min(turn, len(requests) - 1)]
        size = len(_ask(request).raw)
        levels = [f"level {level}: {_cost(request, level) * 1e6:5.0f} us" for level in (1, 2)]
        print(f"{client.title:14} {size:7,} bytes  {'  '.join(levels)}")


def _cost(request: dict[str, Any], level: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        asks = [_ask(request) for _ in range(REQUESTS)]
        began = time.process_time()
        for ask in asks:
            to_local(ask, LOCAL, None, None, slimming=level)
        best = min(best, (time.process_time() - began) / REQUESTS)
    return best


def _ask(request: dict[str, Any]) -> Ask:
    path = request["path"].partition("?")[0]
    parsers = {"completions": parse_chat, "messages": parse_messages, "responses": parse_responses}
    return parsers[path.rpartition("/")[2]](json.dumps(request["body"]).encode(), {})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
