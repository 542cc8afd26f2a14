"""What a model name means here. Pure.

`auto`, `local`, `cloud`, the same behind `brainrouter/`, a llama-swap key or alias; every other name is one that the
harness made up, and is decided like `auto` (DESIGN 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Mode = Literal["auto", "local", "cloud"]
PREFIX = "brainrouter/"


class Intent(msgspec.Struct, frozen=True):
    """`mode` as asked for; `local_model` when a local model was named; `made_up` when the name means nothing to us.

    `by` says what overruled the name, if anything did.
    """

    mode: Mode
    local_model: str | None = None
    made_up: bool = False
    by: str = ""


def overruled(intent: Intent, said: str | None) -> Intent:
    """The intent after the header `x-brainrouter-route: local|cloud|auto`; any other value says nothing."""
    if said is None:
        return intent
    word = said.strip().lower()
    if word == "auto":
        return Intent("auto", made_up=intent.made_up)
    if word == "local":
        return Intent("local", intent.local_model, by="header")
    return Intent("cloud", by="header") if word == "cloud" else intent


def intent_of(name: str, local_names: Mapping[str, str]) -> Intent:
    """Read a requested model. `local_names` maps llama-swap's keys and aliases to their keys."""
    if name in local_names:
        return Intent("local", local_names[name])
    bare = name[len(PREFIX) :] if name.startswith(PREFIX) else name
    if bare in ("", "auto"):
        return Intent("auto")
    if bare == "local":
        return Intent("local")
    if bare == "cloud":
        return Intent("cloud")
    if bare in local_names:
        return Intent("local", local_names[bare])
    return Intent("auto", made_up=True)
