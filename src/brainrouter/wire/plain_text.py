"""Text of others made safe to look at: what moves a cursor, hides or turns words is shown by its number. Pure."""

from __future__ import annotations

_KEPT = "\t"


def plain(text: str) -> str:
    """`text` without control characters, escape sequences and marks of direction; lines and tabs stay."""
    if text.isprintable():
        return text
    # Line by line: one odd character among hundreds of lines is no reason to look at each of theirs.
    return "\n".join([line if line.isprintable() else _marked(line) for line in text.split("\n")])


def _marked(line: str) -> str:
    return "".join(char if char.isprintable() or char in _KEPT else _shown(ord(char)) for char in line)


def sayable(path: str) -> str:
    """A path as text that can be written: what in a file's name is no UTF-8 (Python's surrogates) becomes U+FFFD."""
    return path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _shown(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
