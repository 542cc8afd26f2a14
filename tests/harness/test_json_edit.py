"""JSON with comments is edited in place: what is ours comes and goes, everything else keeps its bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.harness import json_edit
from brainrouter.harness.document import Document
from brainrouter.harness.edit import CannotEdit, Item, Put

SERVER = {"command": "/opt/brainrouter", "args": ["mcp"]}
EDITS = (
    Put(("model",), "brainrouter/auto"),
    Put(("mcpServers", "brainrouter"), SERVER, owned=True),
    Item(("customModels",), ("displayName",), {"displayName": "brainrouter (auto)", "model": "auto"}),
)
DOCUMENT = Document("/home/u/x.json", "json", EDITS)

LIVED_IN = """{
    // what I use
    "model": "mine/m",  // until Friday
    "mcpServers": {
        /* mine */
        "notes": { "command": "true", "args": [ ] },
    },
    "customModels": [ ],
}
// the end
"""


def test_new_keys_follow_the_file_s_own_style():
    text = DOCUMENT.install(LIVED_IN)
    assert (
        text
        == """{
    // what I use
    "model": "brainrouter/auto",  // until Friday
    "mcpServers": {
        /* mine */
        "notes": { "command": "true", "args": [ ] },
        "brainrouter": {
            "command": "/opt/brainrouter",
            "args": ["mcp"]
        },
    },
    "customModels": [
        {
            "displayName": "brainrouter (auto)",
            "model": "auto"
        }
    ],
}
// the end
"""
    )


def test_a_second_time_changes_nothing():
    text = DOCUMENT.install(LIVED_IN)
    assert DOCUMENT.install(text) == text
    assert DOCUMENT.installed(text)


def test_what_the_user_wrote_after_the_installation_stays_when_ours_goes():
    after = DOCUMENT.install(LIVED_IN)
    edited = after.replace('"mcpServers": {', '"new": 1,\n    "mcpServers": {')
    left = DOCUMENT.uninstall(edited, LIVED_IN, after)
    assert json_edit.read(left) == {**json_edit.read(LIVED_IN), "new": 1}
    assert all(
        comment in left for comment in ("// what I use", "// until Friday", "/* mine */", "// the end")
    )


def test_a_value_of_ours_that_the_user_changed_is_theirs():
    after = DOCUMENT.install(LIVED_IN)
    edited = after.replace('"brainrouter/auto",  //', '"other/m",  //')
    assert json_edit.read(DOCUMENT.uninstall(edited, LIVED_IN, after))["model"] == "other/m"


def test_sections_that_only_we_made_go_with_the_last_of_ours():
    after = DOCUMENT.install('{"a": 1}\n')
    assert DOCUMENT.uninstall(after.replace("1", "2"), '{"a": 1}\n', after) == '{"a": 2}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,, "b": 2}', "line 1, column 9"),
        ('{\n  "a" 1}', "line 2, column 7: expected a colon"),
        ('{"a": 1} x', "the end of the file"),
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ("[1]", "expected an object"),
        ('{"a": tru}', "expected a value"),
        ("{'a': 1}", "double quotes"),
        ('{"a": "x\ny"}', "expected a value"),
        ("[" * 200, "levels deep"),
        ('{"a": /* 1}', "expected a value"),
        ('{"mcpServers": []}', "`mcpServers` is expected to be a section"),
        ('{"customModels": {"a": 1}}', "`customModels` is expected to be a list"),
        ('{"model": 1}\r\n{\n', "line 2"),
    ],
)
def test_a_file_that_is_broken_or_used_otherwise_is_refused_with_the_place(text: str, said: str):
    with pytest.raises(CannotEdit) as refused:
        DOCUMENT.install(text)
    assert said in str(refused.value)


def test_line_ends_and_byte_order_mark_survive():
    text = "\ufeff" + LIVED_IN.replace("\n", "\r\n")
    changed = DOCUMENT.install(text)
    assert changed.startswith("\ufeff{\r\n")
    assert "\n" not in changed.replace("\r\n", "")


blank = st.sampled_from(["", " ", "\n", "\n  ", "\t", " // note\n", "/* x */", "\n\n    "])
scalar = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text('aß"\\/ {}[],:x', max_size=5)).map(
    json.dumps
)
key = st.sampled_from(["a", "b", "model", "mcpServers", "customModels", "env", "x/y", "//"])


@st.composite
def jsonc(draw: st.DrawFn, kind: str = "object", depth: int = 3) -> str:
    """Text of an object or list, with comments, odd spacing and trailing commas."""
    inner = [scalar] if depth == 0 else [scalar, jsonc("object", depth - 1), jsonc("list", depth - 1)]
    value = st.one_of(*inner)
    if kind == "list":
        parts = [draw(value) for _ in range(draw(st.integers(0, 3)))]
    else:
        named = draw(st.lists(key, unique=True, max_size=4))
        wanted = {"mcpServers": "object", "env": "object", "customModels": "list"}
        parts = [
            f"{json.dumps(k)}{draw(blank)}:{draw(blank)}"
            + draw(jsonc(wanted[k], max(depth - 1, 0)) if k in wanted else scalar if k == "model" else value)
            for k in named
        ]
    opening, closing = "{}" if kind == "object" else "[]"
    text = ",".join(f"{draw(blank)}{part}{draw(blank)}" for part in parts)
    comma = draw(st.sampled_from(["", ","])) if parts else ""
    return f"{opening}{text}{comma}{draw(blank)}{closing}"


@given(jsonc(), blank, blank)
def test_any_lived_in_file_gets_our_keys_and_gives_them_back(body: str, before: str, after: str):
    original = before + body + after
    tree = json_edit.read(original)
    installed = DOCUMENT.install(original)
    assert DOCUMENT.install(installed) == installed
    assert json_edit.read(DOCUMENT.uninstall(installed, original, installed)) == tree
    assert installed.count("// note") == original.count("// note")
    assert installed.count("/* x */") == original.count("/* x */")
