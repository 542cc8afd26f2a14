"""Undoing a content coding that nobody asked for."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.adapters.content_decoding import FREE_BYTES, BadEncoding, decoder


@given(st.binary(max_size=4000), st.integers(1, 300), st.sampled_from(["gzip", "x-gzip", "deflate", "GZIP "]))
def test_packed_bytes_come_out_as_they_went_in_however_they_are_cut(
    plain: bytes, size: int, coding: str
) -> None:
    packed = zlib.compress(plain) if coding == "deflate" else gzip.compress(plain)
    decode = decoder(coding)
    assert b"".join(decode(packed[at : at + size]) for at in range(0, len(packed), size)) == plain


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_plain_bytes_pass_as_the_same_object(coding: str) -> None:
    data = b"x" * 10
    assert decoder(coding)(data) is data


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "compress", "x" * 9000])
def test_a_coding_that_was_not_offered_is_refused_at_once(coding: str) -> None:
    with pytest.raises(BadEncoding, match="not offered") as caught:
        decoder(coding)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "data", [b"plain words", b"{}", b"\xff" * 20, b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 20]
)
def test_bytes_that_are_not_packed_are_told_in_words(data: bytes) -> None:
    with pytest.raises(BadEncoding, match="the upstream's gzip body is damaged"):
        decoder("gzip")(data)


def test_a_bomb_is_given_up_early() -> None:
    packed = gzip.compress(bytes(64 << 20))
    with pytest.raises(BadEncoding, match="beyond every reason"):
        decoder("gzip")(packed)


def test_a_whole_answer_has_a_limit_besides() -> None:
    packed = gzip.compress(bytes(range(256)) * 4000)
    with pytest.raises(BadEncoding):
        decoder("gzip", 1000)(packed)
    assert len(decoder("gzip", FREE_BYTES * 2)(packed)) == 256 * 4000
