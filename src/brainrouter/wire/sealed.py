"""Reasoning of a local model that a caller hands back: sealed so that we know it again, and no cloud is shown it.

Providers sign or encrypt the reasoning that clients keep. What a local model thought has no such seal; it gets ours,
which is no secret: it only says where the text came from.
"""

from __future__ import annotations

import base64
import binascii

SEAL = "brainrouter.local."


def sealed(text: str) -> str:
    """`text` in a form that clients carry as they carry a provider's encrypted reasoning."""
    return SEAL + base64.b64encode(text.encode("utf-8", "replace")).decode()


def is_ours(seal: str | None) -> bool:
    """Whether a signature or an encrypted content was made here."""
    return seal is not None and seal.startswith(SEAL)


def unsealed(seal: str) -> str:
    """The text in a seal of ours; nothing when it was damaged on its way."""
    try:
        return base64.b64decode(seal[len(SEAL) :], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
