"""TOML keeps its comments and order around our tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.harness import toml_edit
from brainrouter.harness.document import Document
from brainrouter.harness.edit import CannotEdit, Item, Put
from tests.clients.lived_in import FILES

SERVER = {"command": "/opt/brainrouter", "args": ["mcp"], "required": True}
EDITS = (
    Put(("model",), "auto"),
    Put(("mcp_servers", "brainrouter"), SERVER, owned=True),
    Item(("providers",), ("name",), {"name": "brainrouter", "api_base": "http://127.0.0.1:9099/v1"}),
    Item(("models",), ("name", "provider"), {"name": "auto", "provider": "brainrouter"}),
)
DOCUMENT = Document("/home/u/config.toml", "toml", EDITS)


def test_a_codex_file_keeps_every_line_but_the_model():
    original = FILES["codex"][".codex/config.toml"]
    installed = DOCUMENT.install(original)
    assert 'model = "auto"   # the good one' in installed
    lines = set(installed.splitlines())
    assert [line for line in original.splitlines() if line not in lines] == [
        'model = "gpt-5.6"   # the good one'
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = \n", "line 1"),
        ("a = 1\na = 2\n", "line 2"),
        ("mcp_servers = 3\n", "`mcp_servers` is expected to be a section"),
        ("providers = 3\n", "`providers` is expected to be a list"),
        ("[model]\nx = 1\n[", "at end of document"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(text: str, said: str):
    with pytest.raises(CannotEdit) as refused:
        DOCUMENT.install(text)
    assert said in str(refused.value)


comment = st.sampled_from(["", "  # why", " #!"])
blank = st.sampled_from(["", "\n", "# note\n", "\n# note\n\n"])
scalar = st.sampled_from(["1", "true", '"x # y"', "[1, 2]", '{ a = "b" }', "'''\nlong\n'''", "1979-05-27"])


@st.composite
def toml(draw: st.DrawFn) -> str:
    """A file with plain keys, tables, dotted tables and arrays of tables, with comments around."""

    def pairs(names: list[str]) -> str:
        return "".join(f"{draw(blank)}{name} = {draw(scalar)}{draw(comment)}\n" for name in names)

    text = pairs(draw(st.lists(st.sampled_from(["a", "b", '"c d"']), unique=True)))
    text += draw(st.sampled_from(["", 'model = "mine"  # mine\n']))
    inline = draw(st.sampled_from(["", "providers = []\n", 'providers = [\n  {name = "m"}, # mine\n]\n']))
    text += inline
    tables = draw(st.lists(st.sampled_from(["t", "t.u", "mcp_servers", "mcp_servers.notes"]), unique=True))
    for table in sorted(tables):
        text += f"{draw(blank)}[{table}]{draw(comment)}\n" + pairs(
            draw(st.lists(st.sampled_from(["x", "y"]), unique=True))
        )
    for name in draw(
        st.lists(st.sampled_from(["models"] if inline else ["providers", "models"]), max_size=3)
    ):
        text += f"{draw(blank)}[[{name}]]\nname = {draw(scalar)}{draw(comment)}\n"
    return text + draw(blank)


def comments(text: str) -> int:
    return text.count("# note") + text.count("# why") + text.count("# mine")


@given(toml())
def test_any_lived_in_file_gets_our_tables_and_gives_them_back(original: str):
    tree = toml_edit.read(original)
    installed = DOCUMENT.install(original)
    assert DOCUMENT.install(installed) == installed
    assert comments(installed) == comments(original)
    left = DOCUMENT.uninstall(installed, original, installed)
    assert toml_edit.read(left) == tree
    assert comments(left) == comments(original)
