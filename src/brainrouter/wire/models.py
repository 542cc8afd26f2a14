"""`GET /v1/models` in OpenAI's shape and in Anthropic's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model that can be asked for. `context` is its window in tokens, if known; `created` is seconds."""

    id: str
    name: str
    owned_by: str
    context: int | None = None
    created: int = 0


def openai_models(rows: Sequence[ModelRow]) -> bytes:
    """The list as OpenAI gives it, with `name` and `context_length` as routers in this field add them."""
    return _ENCODER.encode({"object": "list", "data": [_openai_row(row) for row in rows]})


def anthropic_models(
    rows: Sequence[ModelRow], limit: int = 20, after_id: str | None = None, before_id: str | None = None
) -> bytes:
    """One page as Anthropic gives it. `limit` is cut to 1..1000; a cursor that is no row's id is ignored."""
    limit = max(1, min(limit, 1000))
    ids = [row.id for row in rows]
    if before_id in ids:
        end = ids.index(before_id)
        start = max(0, end - limit)
        more = start > 0
    else:
        start = ids.index(after_id) + 1 if after_id in ids else 0
        end = min(len(ids), start + limit)
        more = end < len(ids)
    page = rows[start:end]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    data = [_anthropic_row(row) for row in page]
    return _ENCODER.encode({"data": data, "has_more": more, "first_id": first, "last_id": last})


def _openai_row(row: ModelRow) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id,
        "object": "model",
        "created": row.created,
        "owned_by": row.owned_by,
        "name": row.name,
    }
    if row.context is not None:
        shown["context_length"] = row.context
    return shown


def _anthropic_row(row: ModelRow) -> dict[str, Any]:
    created = datetime.fromtimestamp(row.created, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown: dict[str, Any] = {
        "type": "model",
        "id": row.id,
        "display_name": row.name,
        "created_at": created,
    }
    if row.context is not None:
        shown["max_input_tokens"] = row.context
    return shown
