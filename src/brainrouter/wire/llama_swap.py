"""What llama-swap says of its models: `/v1/models` and `/running` joined. Pure."""

from __future__ import annotations

import re
import shlex
from typing import Any, cast

import msgspec

_CONTEXT_FLAGS = ("-c", "--ctx-size")


class LocalModelFacts(msgspec.Struct, frozen=True):
    """One model. `context` comes from the operator's capabilities, else from the running command's -c."""

    id: str
    state: str
    context: int | None
    aliases: tuple[str, ...]
    description: str
    vision: bool


def local_models(models_body: bytes, running_body: bytes | None) -> list[LocalModelFacts]:
    """Read both answers. Raises ValueError when the first is not a model list; the second may be missing or odd."""
    listed = _object(_decode(models_body)).get("data")
    if not isinstance(listed, list):
        raise ValueError("no model list: the answer has no `data`")
    running = _running(running_body)
    found: list[LocalModelFacts] = []
    for item in cast("list[Any]", listed):
        row = _object(item)
        name = row.get("id")
        meta = _object(_object(row.get("meta")).get("llamaswap"))
        if not isinstance(name, str) or meta.get("type") == "alias":
            continue
        process = running.get(name, {})
        found.append(
            LocalModelFacts(
                id=name,
                state=str(process.get("state", "stopped")),
                context=_context(row, process),
                aliases=_strings(meta.get("aliases")),
                description=str(row.get("description") or row.get("name") or ""),
                vision=_vision(row, process),
            )
        )
    return found


def ready_models(running_body: bytes) -> set[str]:
    """The models that `/running` says answer now, without being loaded first. Never raises."""
    return {name for name, process in _running(running_body).items() if process.get("state") == "ready"}


def context_of_command(command: str) -> int | None:
    """The window that a llama-server command line asks for, or None when it does not say one (0 is the model's own)."""
    try:
        words = shlex.split(command.replace("\\\n", " "))
    except ValueError:
        words = command.split()
    for index, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag in _CONTEXT_FLAGS:
            number = value or (words[index + 1] if index + 1 < len(words) else "")
            return int(number) if re.fullmatch(r"[1-9]\d{0,8}", number) else None
    return None


def context_of_props(body: bytes) -> int | None:
    """The window of one slot, as a running llama-server says it in `/props`; None where it does not. Never raises."""
    try:
        props = _object(_decode(body))
    except ValueError:
        return None
    for value in (_object(props.get("default_generation_settings")).get("n_ctx"), props.get("n_ctx")):
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _context(row: dict[str, Any], process: dict[str, Any]) -> int | None:
    for value in (row.get("context_length"), _object(row.get("meta")).get("n_ctx")):
        if isinstance(value, int) and value > 0:
            return value
    return context_of_command(str(process.get("cmd", "")))


def _vision(row: dict[str, Any], process: dict[str, Any]) -> bool:
    """Whether it sees images, as the operator says or as its command shows."""
    if _object(row.get("capabilities")).get("vision"):
        return True
    modalities = _object(row.get("architecture")).get("input_modalities")
    return "image" in _strings(modalities) or "--mmproj" in str(process.get("cmd", ""))


def _running(body: bytes | None) -> dict[str, dict[str, Any]]:
    try:
        rows = _object(_decode(body) if body else None).get("running")
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        return {}
    objects = [_object(row) for row in cast("list[Any]", rows)]
    return {str(row["model"]): row for row in objects if "model" in row}


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _strings(value: Any) -> tuple[str, ...]:
    return (
        tuple(item for item in cast("list[Any]", value) if isinstance(item, str))
        if isinstance(value, list)
        else ()
    )
