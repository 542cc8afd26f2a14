"""A request body as top-level fields of undecoded JSON: checked once, never rebuilt."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")

# The first byte of undecoded JSON, which tells its kind. (A memoryview for it costs three times that, and a
# conversation has hundreds of contents.)
opening: Callable[[bytes | Raw], tuple[int]] = struct.Struct("B").unpack_from
TEXT, LIST, OBJECT = ((ord(byte),) for byte in '"[{')

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_WHERE = re.compile(r"^(?P<what>.*) - at `(?:key in )?\$(?P<path>.*)`$", re.DOTALL)
_TOO_DEEP = "the body is nested too deeply"


class BadBody(Exception):
    """A request that cannot be served as it is. `param` is the path of the field at fault, if one is."""

    def __init__(self, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status


def parse_object(raw: bytes) -> dict[str, Raw]:
    """The top-level fields of a JSON object in the order they came. Raises BadBody and nothing else."""
    if not raw or raw.isspace():
        raise BadBody("the body is empty: a JSON object was expected")
    if raw.startswith(_BOMS):
        raise BadBody("the body must be UTF-8 JSON without a byte order mark")
    try:
        if not raw.isascii():
            raw.decode()
        return _FIELDS.decode(raw)
    except msgspec.ValidationError:
        raise BadBody("the body must be a JSON object") from None
    except RecursionError:
        raise BadBody(_TOO_DEEP) from None
    except UnicodeDecodeError as wrong:
        raise BadBody(f"the body is not valid UTF-8 (byte {wrong.start})") from None
    except ValueError as wrong:
        raise BadBody(f"the body is not valid JSON: {wrong}") from None


def with_fields(body: dict[str, Raw], **changes: Any) -> bytes:
    """The body as JSON with some top-level fields changed, or removed (None); the others byte for byte."""
    fields: dict[str, Any] = {**body, **changes}
    return _ENCODER.encode({name: value for name, value in fields.items() if value is not None})


def decode_field(body: dict[str, Raw], name: str, decoder: msgspec.json.Decoder[T]) -> T:
    """One field, decoded. Raises BadBody naming the exact place when it is not of the decoder's type."""
    try:
        return decoder.decode(body[name])
    except RecursionError:
        raise BadBody(_TOO_DEEP, name) from None
    except ValueError as wrong:
        what, path = _place(str(wrong))
        raise BadBody(f"{name}{path}: {what}", name + path) from None


def kind_of(value: Raw) -> str:
    """What a field's JSON value is: object, array, string, number, boolean, null, or nothing."""
    view = memoryview(value)
    return _KINDS.get(view[0], "number") if len(view) else "nothing"


_KINDS = {0x7B: "object", 0x5B: "array", 0x22: "string", 0x74: "boolean", 0x66: "boolean", 0x6E: "null"}


def _place(message: str) -> tuple[str, str]:
    """msgspec's words cut in two: what was wrong, and the path below the field ("[0].role")."""
    found = _WHERE.match(message)
    what, path = (found["what"], found["path"]) if found else (message, "")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", what)
    if missing:
        return "this field is required", f"{path}.{missing[1]}"
    return what[:1].lower() + what[1:].replace("`", ""), path
