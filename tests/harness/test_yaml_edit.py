"""YAML is edited in place: every line that is not ours keeps its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.harness import yaml_edit
from brainrouter.harness.document import Document
from brainrouter.harness.edit import CannotEdit, Put, settled
from tests.clients.lived_in import FILES

PROVIDER = {
    "baseUrl": "http://127.0.0.1:9099/v1",
    "auth": "none",
    "models": [{"id": "auto", "name": "b (auto)"}],
}
EDITS = (
    Put(("modelRoles", "default"), "brainrouter/auto"),
    Put(("providers", "brainrouter"), PROVIDER, owned=True),
)
DOCUMENT = Document("/home/u/models.yml", "yaml", EDITS)


def test_a_new_provider_takes_the_place_and_step_of_its_neighbours():
    original = FILES["omp"][".omp/agent/models.yml"]
    installed = Document("/m.yml", "yaml", EDITS[1:]).install(original)
    assert (
        installed
        == original
        + """    brainrouter:
      baseUrl: "http://127.0.0.1:9099/v1"
      auth: none
      models:
        - id: auto
          name: "b (auto)"
"""
    )


def test_a_mapping_on_one_line_stays_on_one_line():
    original = FILES["omp"][".omp/agent/config.yml"]
    installed = Document("/c.yml", "yaml", EDITS[:1]).install(original)
    assert installed == original.replace("{default: mine/m}", '{default: "brainrouter/auto"}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\n", "line 2"),
        ("a: 1\n b: 2\n", "line 2"),
        ("- 1\n", "expected keys and values"),
        ("providers: [1]\n", "`providers` is expected to be a section"),
        ("a: 1\na: 2\n", "duplicate key"),
        ("\tb: 1\n", "line 1"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(text: str, said: str):
    with pytest.raises(CannotEdit) as refused:
        DOCUMENT.install(text)
    assert said in str(refused.value)


comment = st.sampled_from(["", "  # why", " #!"])
blank = st.sampled_from(["", "\n", "# note\n", "\n    # note\n\n"])
scalar = st.sampled_from(["1", "yes", '"x # y"', "'it''s'", "[1, 2]", "{a: b}", "plain words", "null", "~"])


@st.composite
def block(draw: st.DrawFn, keys: tuple[str, ...], indent: int, depth: int) -> str:
    """A block mapping with comments, lists and text blocks."""
    pad, text = " " * indent, ""
    step = draw(st.sampled_from([2, 4]))
    for key in draw(st.lists(st.sampled_from(keys), unique=True, max_size=3)):
        text += draw(blank)
        kind = draw(st.sampled_from(["scalar", "scalar", "map", "list", "text"])) if depth else "scalar"
        named = key in ("providers", "modelRoles")
        if kind == "map" or (named and kind != "scalar"):
            inner = draw(block(("a", "b", "default", "mine"), indent + step, 0 if named else depth - 1))
            text += f"{pad}{key}:{draw(comment)}\n" + (
                inner if yaml_edit.read(inner) else f"{pad}{' ' * step}z: 1\n"
            )
        elif named:
            text += f"{pad}{key}: {draw(st.sampled_from(['', '{}', '{x: 1}', '{x: {y: 1}, z: 2}', '~']))}{draw(comment)}\n"
        elif kind == "list":
            text += f"{pad}{key}:\n{pad}- 1{draw(comment)}\n{pad}- b: 2\n"
        elif kind == "text":
            text += f"{pad}{key}: |\n{pad}  # no comment\n{pad}  line\n"
        else:
            text += f"{pad}{key}: {draw(scalar)}{draw(comment)}\n"
    return text


@given(block(("a", "b", "providers", "modelRoles", "c d"), 0, 2), blank, st.booleans())
def test_any_lived_in_file_gets_our_keys_and_gives_them_back(body: str, after: str, cut: bool):
    whole = body + after
    # Without its line end the last line of a text block says something else: such a file is refused.
    original = whole.rstrip("\n") if cut and not body.endswith("  line\n") else whole
    tree = yaml_edit.read(original)
    installed = DOCUMENT.install(original)
    assert DOCUMENT.install(installed) == installed
    kept = installed.splitlines()
    touched = ("providers", "modelRoles", "default")
    lost = [
        line for line in original.splitlines() if line not in kept and not line.strip().startswith(touched)
    ]
    assert lost == []
    left = DOCUMENT.uninstall(installed, original, installed)
    assert settled(yaml_edit.read(left)) == settled(tree)
