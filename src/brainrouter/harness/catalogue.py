"""The harnesses that can be set up, by name."""

from __future__ import annotations

from brainrouter.harness.claude import CLAUDE
from brainrouter.harness.codex import CODEX
from brainrouter.harness.droid import DROID
from brainrouter.harness.omp import OMP
from brainrouter.harness.opencode import OPENCODE
from brainrouter.harness.pi import PI
from brainrouter.harness.target import Harness
from brainrouter.harness.vibe import VIBE

HARNESSES: dict[str, Harness] = {
    harness.name: harness for harness in (CLAUDE, CODEX, OPENCODE, VIBE, OMP, PI, DROID)
}
