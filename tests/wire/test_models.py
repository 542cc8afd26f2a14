from __future__ import annotations

import json
from typing import Any

import pytest

from brainrouter.wire.models import ModelRow, anthropic_models, openai_models

ROWS = [
    ModelRow(f"m{n}", f"Model {n}", "brainrouter", context=8192 if n else None, created=n) for n in range(5)
]


def test_the_openai_list_names_every_model_and_its_window() -> None:
    listed = json.loads(openai_models(ROWS))
    assert listed["object"] == "list"
    assert [row["id"] for row in listed["data"]] == ["m0", "m1", "m2", "m3", "m4"]
    assert "context_length" not in listed["data"][0]
    assert listed["data"][1] == {
        "id": "m1",
        "object": "model",
        "created": 1,
        "owned_by": "brainrouter",
        "name": "Model 1",
        "context_length": 8192,
    }


@pytest.mark.parametrize(
    ("asked", "ids", "more"),
    [
        ({}, ["m0", "m1", "m2", "m3", "m4"], False),
        ({"limit": 2}, ["m0", "m1"], True),
        ({"limit": 2, "after_id": "m1"}, ["m2", "m3"], True),
        ({"limit": 2, "after_id": "m3"}, ["m4"], False),
        ({"limit": 2, "before_id": "m3"}, ["m1", "m2"], True),
        ({"limit": 0, "after_id": "unknown"}, ["m0"], True),
    ],
)
def test_the_anthropic_list_comes_in_pages(asked: dict[str, Any], ids: list[str], more: bool) -> None:
    page = json.loads(anthropic_models(ROWS, **asked))
    assert [row["id"] for row in page["data"]] == ids
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[0], ids[-1], more)
    assert page["data"][0]["type"] == "model"
    assert page["data"][0]["created_at"].startswith("1970-01-01T00:00:0")


def test_no_models_is_an_empty_page() -> None:
    assert json.loads(anthropic_models([])) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }
