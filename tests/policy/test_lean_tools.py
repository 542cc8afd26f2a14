"""Tools for a local model: shorter words, the same calls."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from brainrouter.policy.lean.tools import SLIM, TERSE, Limits, in_order, readable, slim
from brainrouter.policy.lean.words import shortened

LONG = "It does a thing. " * 100


def tool(name: str, words: str = "", /, **properties: Any) -> dict[str, Any]:
    function = {
        "name": name,
        "description": words,
        "parameters": {"type": "object", "properties": properties},
    }
    return {"type": "function", "function": function}


def test_long_descriptions_are_cut_after_a_sentence_and_short_ones_are_left() -> None:
    made = slim([tool("a", LONG, path={"type": "string", "description": LONG}), tool("b", "Short.")])
    words = made[0]["function"]["description"]
    assert LONG.startswith(words)
    assert words.endswith("thing.")
    assert len(words) <= SLIM.words
    assert len(made[0]["function"]["parameters"]["properties"]["path"]["description"]) <= SLIM.optional
    assert made[1] == tool("b", "Short.")


def test_examples_go_before_sentences_do() -> None:
    words = "Do it.\n<example>\n" + "x" * 400 + "\n</example>\nMind the gap."
    assert shortened(words, 100) == "Do it.\nMind the gap."


def test_the_manual_of_a_language_is_kept_whole() -> None:
    made = slim([tool("patch", LONG, input={"type": "string"})])
    assert made[0]["function"]["description"] == LONG


def test_parameters_that_are_called_like_schema_words_are_kept() -> None:
    names = ("title", "description", "examples", "$schema")
    properties = {name: {"type": "string", "enum": ["a"], "default": "a", "title": "Noise"} for name in names}
    schema = slim([tool("a", "", **properties)])[0]["function"]["parameters"]
    assert schema["properties"] == {name: {"type": "string", "enum": ["a"], "default": "a"} for name in names}


def test_nested_schemas_are_slimmed_too() -> None:
    inner = {
        "type": "object",
        "properties": {"x": {"type": "string", "description": LONG}},
        "required": ["x"],
    }
    made = slim(
        [tool("a", "", many={"type": "array", "items": inner}, one={"anyOf": [inner, {"type": "null"}]})]
    )
    properties = made[0]["function"]["parameters"]["properties"]
    for found in (properties["many"]["items"], properties["one"]["anyOf"][0]):
        assert found["required"] == ["x"]
        assert len(found["properties"]["x"]["description"]) <= SLIM.optional


def test_terse_tools_say_what_must_be_given_and_nothing_of_many_that_need_not() -> None:
    named = {name: {"type": "string", "description": LONG} for name in ("one", *"abcdefg")}
    for names, optional in ((("one", "a", "b"), True), (("one", *"abcdefg"), False)):
        tools = [tool("a", LONG, **{name: named[name] for name in names})]
        tools[0]["function"]["parameters"]["required"] = ["one"]
        function = slim(tools, TERSE)[0]["function"]
        assert len(function["description"]) <= TERSE.words
        found = function["parameters"]["properties"]
        assert found["one"]["description"].startswith("It does a thing.")
        assert all(("description" in found[name]) is optional for name in names[1:])
        assert list(found) == list(names)


def test_terse_tools_have_no_words_that_a_name_says_nor_half_a_sentence_of_what_need_not_be_given() -> None:
    half = "Says at some length what nobody needs to know in order to call it at all"
    words = {"path": "The path to the file", "unit": "In seconds", "extra": half, "must": half}
    one = tool("Read", "", **{name: {"type": "string", "description": said} for name, said in words.items()})
    one["function"]["parameters"]["required"] = ["path", "must"]
    found = slim([one], TERSE)[0]["function"]["parameters"]["properties"]
    assert {name: below.get("description") for name, below in found.items()} == {
        "path": None, "unit": "In seconds", "extra": None, "must": half,
    }  # fmt: skip


def test_bounds_that_bind_nobody_go() -> None:
    number = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
    schema = slim([tool("a", "", number=number, small={"type": "integer", "maximum": 9})])[0]["function"][
        "parameters"
    ]
    assert schema["properties"] == {
        "number": {"type": "integer", "minimum": 0}, "small": {"type": "integer", "maximum": 9},
    }  # fmt: skip
    assert slim([tool("a", "", number=number)], TERSE)[0]["function"]["parameters"]["properties"] == {
        "number": {"type": "integer"}
    }


def test_that_nothing_else_may_be_given_is_not_said_but_what_may_is() -> None:
    one = tool("a", "", free={"type": "object", "additionalProperties": {"type": "string", "title": "T"}})
    one["function"]["parameters"]["additionalProperties"] = False
    assert slim([one])[0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"free": {"type": "object", "additionalProperties": {"type": "string"}}},
    }


def test_the_order_of_tools_does_not_depend_on_who_came_first() -> None:
    tools = [tool("b"), tool("a"), tool("c")]
    assert slim(tools) == slim(tools[::-1])
    assert [one["function"]["name"] for one in in_order(tools)] == ["a", "b", "c"]


@pytest.mark.parametrize("odd", [None, {}, [1], [{}], [{"function": {}}], [{"function": {"name": 1}}], "x"])
def test_tools_that_are_none_are_nobodys_to_read(odd: Any) -> None:
    assert readable(odd) is None


def test_an_undecoded_schema_is_read() -> None:
    given_tool = {"type": "function", "function": {"name": "a", "parameters": Raw(b'{"type":"object"}')}}
    assert readable([given_tool]) == [
        {"type": "function", "function": {"name": "a", "parameters": {"type": "object"}}}
    ]


SCHEMAS = st.recursive(
    st.fixed_dictionaries({"type": st.just("string")}, optional={"description": st.text(max_size=300)}),
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.text(max_size=5), inner)}
        ),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
    ),
    max_leaves=6,
)


def shape(schema: Any) -> Any:
    """A schema without its words."""
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "description"}
    if "properties" in kept:
        kept["properties"] = {name: shape(below) for name, below in kept["properties"].items()}
    return {**kept, "items": shape(kept["items"])} if "items" in kept else kept


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.tuples(st.text(max_size=900), SCHEMAS), max_size=5),
    st.sampled_from([SLIM, TERSE]),
)
def test_no_tool_is_lost_renamed_or_given_another_shape_and_slim_is_slim(
    offered: dict[str, Any], limits: Limits
) -> None:
    tools = [tool(name, words, top=schema) for name, (words, schema) in offered.items()]
    before = copy.deepcopy(tools)
    made = slim(tools, limits)
    assert tools == before, "the caller's own tools are not touched"
    by_name = {one["function"]["name"]: one["function"]["parameters"] for one in made}
    assert {name: shape(schema["properties"]["top"]) for name, schema in by_name.items()} == {
        name: shape(schema) for name, (_, schema) in offered.items()
    }
    assert slim(made, limits) == made


@pytest.mark.parametrize("bomb", ["<example>", "</example>", "a. ", "\n\n", "- a\n", "<example><examples>"])
def test_hostile_descriptions_cost_no_more_than_their_length(bomb: str) -> None:
    words = bomb * (400_000 // len(bomb))
    began = time.process_time()
    shortened(words, SLIM.words)
    assert time.process_time() - began < 2.0
