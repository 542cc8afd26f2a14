"""Undo a content coding that an upstream used although it was asked not to. Bounded: a small bomb stays small."""

from __future__ import annotations

import zlib
from collections.abc import Callable

RATIO_MAX = 200
FREE_BYTES = 1024 * 1024
SLICE_BYTES = 4096


class BadEncoding(Exception):
    """Bytes that do not decode, a coding that we do not read, or a decompression bomb."""


def decoder(coding: str, limit: int | None = None) -> Callable[[bytes], bytes]:
    """A function from encoded to plain pieces (identity, gzip, deflate). Raises BadEncoding, now or when called."""
    name = coding.strip().lower()
    if name in ("", "identity"):
        return unchanged
    if name not in ("gzip", "x-gzip", "deflate"):
        raise BadEncoding(f"the upstream used a content coding that was not offered: {coding[:40]}")
    unpack = zlib.decompressobj(47)
    taken = given = 0

    def unpacked(data: bytes) -> bytes:
        nonlocal taken, given
        taken += len(data)
        allowed = max(FREE_BYTES, taken * RATIO_MAX)
        if limit is not None:
            allowed = min(allowed, limit)
        try:
            plain = unpack.decompress(data, max(allowed - given, 1))
        except zlib.error as error:
            raise BadEncoding(f"the upstream's {name} body is damaged") from error
        given += len(plain)
        if unpack.unconsumed_tail:
            raise BadEncoding(f"the upstream's {name} body grows beyond every reason")
        return plain

    def decode(data: bytes) -> bytes:
        # A slice at a time: a bomb that came in one piece is known by its beginning.
        return b"".join(unpacked(data[at : at + SLICE_BYTES]) for at in range(0, len(data), SLICE_BYTES))

    return decode


def unchanged(data: bytes) -> bytes:
    """What `decoder` gives for a body that has no coding."""
    return data
