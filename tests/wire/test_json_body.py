from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.json_body import BadBody, parse_object, with_fields
from tests.depth import DEEP

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(
    st.binary()
    | st.text().map(str.encode)
    | JSON.map(lambda value: json.dumps(value).encode("utf-8", "replace"))
)
def test_arbitrary_bytes_give_fields_or_a_bad_body(raw: bytes) -> None:
    with contextlib.suppress(BadBody):
        assert all(isinstance(value, msgspec.Raw) for value in parse_object(raw).values())


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"[]", "object"),
        (b'"text"', "object"),
        (b"not json", "JSON"),
        (b"{} {}", "JSON"),
        (b'{"a": NaN}', "JSON"),
        (b'{"a": "\\ud800"}', "JSON"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"\xff": 1}', "UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "byte order mark"),
        (b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}", "deep"),
        (b'{"a":' * DEEP, "deep"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_in_plain_words(raw: bytes, word: str) -> None:
    with pytest.raises(BadBody, match=word):
        parse_object(raw)


def test_changed_fields_leave_every_other_value_byte_for_byte() -> None:
    raw = b'{"model":"auto", "messages" : [ {"role" :"u","c":"h\\u00e9\\/"} ],"x":1.50,"big":12345678901234567890123}'
    sent = with_fields(parse_object(raw), model="m", x=None, stream=True)
    assert sent == (
        b'{"model":"m","messages":[ {"role" :"u","c":"h\\u00e9\\/"} ],"big":12345678901234567890123,"stream":true}'
    )


@given(st.dictionaries(st.text(), JSON))
def test_a_body_without_changes_means_the_same(value: dict[str, object]) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode()
    assert json.loads(with_fields(parse_object(raw))) == json.loads(raw)
