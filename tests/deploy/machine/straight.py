"""The state of an installed machine, less what differs from one installation to the next for a good reason."""

from __future__ import annotations

import json
import re

from tests.deploy.machine.bare import CACHE
from tests.deploy.machine.machine import Machine

# What the daemons write while they run, and caches.
RUNNING = re.compile(
    r"home/[a-z]+/\.(cache|local/state/brainrouter|bun/install/cache)(/|$)|root/\.|.*/__pycache__/|etc/docker|"
    r"var/lib/systemd/(timers|timesync)|var/spool|home/[a-z]+/\.bun/.*\.(log|lockb?)$|"
    # An interruption may leave a note of something that was not made.
    r".*ai-stack/made$"
)
# Made anew for each machine: secrets, and pip's notes of where a wheel came from.
OWN_CONTENT = re.compile(
    r"opt/ai/manifest/\.env$|.*\.dist-info/(direct_url\.json|RECORD|INSTALLER|REQUESTED)$"
)
KEY = re.compile(r"lib/brainrouter/[0-9a-f]{12}")


class Straight:
    """What the first, uninterrupted machine came to; kept for a run of the second file alone."""

    file = CACHE / "straight.json"

    @property
    def state(self) -> dict[str, str]:
        return json.loads(self.file.read_text(encoding="utf-8"))

    @state.setter
    def state(self, found: dict[str, str]) -> None:
        self.file.write_text(json.dumps(found), encoding="utf-8")


def straight_state(machine: Machine) -> dict[str, str]:
    """Path -> description, comparable between machines."""
    found: dict[str, str] = {}
    for path, said in machine.state(less=RUNNING).items():
        if OWN_CONTENT.match(path):
            said = said.rsplit(" ", 1)[0]
        found[KEY.sub("lib/brainrouter/KEY", path)] = KEY.sub("lib/brainrouter/KEY", said)
    return found
