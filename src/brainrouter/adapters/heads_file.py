"""The trained heads as they ship in the package."""

from __future__ import annotations

from importlib.resources import files
from io import BytesIO

import numpy as np

from brainrouter.brain.heads import Heads


def load_heads() -> Heads:
    """The shipped heads. Raises ValueError or OSError when the artefact does not fit this code."""
    raw = (files("brainrouter.brain") / "heads.npz").read_bytes()
    with np.load(BytesIO(raw), allow_pickle=False) as arrays:
        return Heads({name: arrays[name] for name in arrays.files})


def load_curve() -> list[tuple[float, float, float]]:
    """What the heads gave on their training data, out of fold: gain, local and cloud success of each coding request."""
    raw = (files("brainrouter.brain") / "heads.npz").read_bytes()
    with np.load(BytesIO(raw), allow_pickle=False) as arrays:
        return [(float(gain), float(small), float(large)) for gain, small, large in arrays["curve"]]
