"""The examples in configs/harness are what the code writes, and they are what their harness reads."""

from __future__ import annotations

import subprocess

import pytest

from brainrouter.harness import json_edit, toml_edit, yaml_edit
from tests.harness.examples import FOLDER, examples

MADE = examples()


def test_the_examples_are_what_install_writes():
    there = {str(path.relative_to(FOLDER)): path for path in FOLDER.rglob("*") if path.is_file()}
    assert there.keys() == MADE.keys()
    stale = [name for name, path in there.items() if path.read_text(encoding="utf-8") != MADE[name]]
    assert stale == [], "write them anew: python -m tests.harness.examples"


@pytest.mark.parametrize("name", [name for name in MADE if name.endswith((".json", ".toml", ".yml"))])
def test_an_example_is_valid_in_its_format(name: str):
    read = {"json": json_edit, "toml": toml_edit, "yml": yaml_edit}[name.rsplit(".", 1)[1]].read
    assert "brainrouter" in str(read(MADE[name]))


@pytest.mark.parametrize("name", ["claude/bashrc", "claude/zshrc"])
def test_a_shell_reads_its_example_and_the_port_file_is_not_needed(name: str):
    script = MADE[name] + '\nprintf "%s %s" "$ANTHROPIC_BASE_URL" "$ANTHROPIC_DEFAULT_HAIKU_MODEL"'
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout == "http://127.0.0.1:9099 local"
