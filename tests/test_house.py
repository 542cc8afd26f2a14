"""The house rules that no linter knows: sizes, names, finished work, one room for each library, clean files."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "brainrouter"
MODULES = sorted(SOURCE.rglob("*.py"))

MAX_FILE_LINES = 400  # a longer file is two rooms
MAX_FUNCTION_LINES = 60  # about a screen

# Names that say nothing: what is put there belongs to a room with a noun of its own.
NAMELESS = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc", "shared", "base"}

UNFINISHED = re.compile(
    r"\b(TODO|FIXME|XXX|NotImplementedError)\b|# *placeholder|(?i:not implemented|for now\b)"
)

# Each library that does I/O, or owns a format, is used in one place (a folder or a module): it can be replaced there.
# An import inside `if TYPE_CHECKING:` counts like any other.
ONE_ROOM = {
    "click": {"edge/cli"},
    "rich": {"edge/cli"},
    "mcp": {"edge/mcp"},
    "httptools": {"http1"},
    "uvloop": {"edge/cli", "wiring.py"},
    "xllamacpp": {"adapters"},
    "gguf": {"adapters"},
    "sqlite3": {"adapters"},
    "subprocess": {"adapters"},
    "prometheus_client": {"flows/status.py"},
    "yaml": {"config_tree.py"},
    "ruamel": {"harness"},
    "tomlkit": {"harness"},
    "discord": {"bridge"},
}

# Spelt in parts, so that this file passes its own test.
ADDRESSES = {
    "a package registry's host": re.compile(
        r"pypi\.(?:org|python)|files\.python"
        + r"hosted|registry\.npm"
        + r"js|proxy\.golang|crates\.io|deb\.debian"
    ),
    "a path of one machine": re.compile(
        r"(?<![\w.$}~-])/(?:wor" + r"k|roo" + r"t)/|\.pye" + r"nv/(?:shims|versions/\d)"
    ),
}


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True, encoding="utf-8"
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def test_no_source_file_is_longer_than_the_budget():
    long = {
        relative(path): count
        for path in MODULES
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    }
    assert long == {}


def test_no_function_is_longer_than_the_budget(trees: dict[Path, ast.Module]):
    long = {
        f"{relative(path)}:{function.name}": lines
        for path, tree in trees.items()
        for function in functions(tree)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_every_module_has_a_name_that_says_what_it_holds():
    assert [
        relative(path) for path in MODULES if NAMELESS & set(path.relative_to(SOURCE).with_suffix("").parts)
    ] == []


def test_every_module_says_what_it_is_for(trees: dict[Path, ast.Module]):
    assert [relative(path) for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_nothing_in_the_source_is_left_for_later():
    left = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert left == []


def test_each_library_lives_in_its_room(trees: dict[Path, ast.Module]):
    strays = [
        f"{relative(path)} imports {library}"
        for path, tree in trees.items()
        for library in sorted(imported(tree) & ONE_ROOM.keys())
        if not any(
            relative(path) == room or relative(path).startswith(f"{room}/") for room in ONE_ROOM[library]
        )
    ]
    assert strays == []


@pytest.mark.parametrize("what", ADDRESSES)
def test_no_tracked_file_names(what: str):
    hits: list[str] = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        hits += [
            f"{path.relative_to(ROOT)}:{n}: {line.strip()[:100]}"
            for n, line in enumerate(lines, 1)
            if ADDRESSES[what].search(line)
        ]
    assert hits == []


def test_locks_pin_every_package_with_hashes():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        loose = [
            line
            for line in text.splitlines()
            if line.strip() and ("==" not in line or "--hash=sha256:" not in line)
        ]
        assert loose == [], name


def test_dev_lock_pins_what_the_runtime_lock_pins():
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^(\S+==\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_every_declared_dependency_is_in_the_lock_and_argued_for():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "decisions" / "002-dependencies.md").read_text(encoding="utf-8").lower()
    assert [
        n for n in names if not re.search(rf"^{re.escape(n.replace('.', '-'))}==", lock, re.MULTILINE)
    ] == []
    assert [n for n in names if f"`{n.lower()}`" not in page] == []


def test_every_command_of_the_readme_is_a_target_and_every_target_has_its_script():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", readme)) <= targets
    for script in set(re.findall(r"\bsh (scripts/[a-z0-9.-]+)", makefile + readme)):
        assert (ROOT / script).is_file(), script
