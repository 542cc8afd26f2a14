"""Setting a harness up writes all or nothing, keeps what is not ours, and can be taken back to the byte."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from brainrouter.adapters.config_file import MAX_BYTES, Refused
from brainrouter.flows.set_up import Options, SetUp
from brainrouter.harness.catalogue import HARNESSES
from brainrouter.harness.edit import CannotEdit
from brainrouter.harness.target import Target
from tests.clients.lived_in import FILES, move_in

NAMES = sorted(HARNESSES)
TARGET = Target(
    "http://127.0.0.1:9099", "/opt/brainrouter", "/run/user/1/brainrouter.sock", 200_000, 65_536, 200_000
)


def set_up(home: Path, name: str, target: Target = TARGET) -> SetUp:
    return SetUp(HARNESSES[name], target, {"HOME": str(home)}, Path("/run/user/1/brainrouter.port"))


def snapshot(home: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below home with its mode; links as they are."""
    found: dict[str, tuple[bytes, int]] = {}
    for path in sorted(home.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(home))] = (os.readlink(path).encode(), 0)
        elif path.is_file():
            found[str(path.relative_to(home))] = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    return found


def main_file(home: Path, name: str) -> Path:
    return Path(HARNESSES[name].documents(TARGET, {"HOME": str(home)})[0].path)


def lived_in_file(home: Path, name: str) -> Path:
    """The harness' main file, as it stands after moving in."""
    move_in(home, name)
    path = main_file(home, name)
    return path if path.exists() else path.with_name("opencode.jsonc")


def crlf(home: Path, name: str) -> None:
    path = lived_in_file(home, name)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def with_mark(home: Path, name: str) -> None:
    path = lived_in_file(home, name)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def empty(home: Path, name: str) -> None:
    path = main_file(home, name)
    path.parent.mkdir(parents=True)
    path.touch(mode=0o644)


def linked_inside(home: Path, name: str) -> None:
    path = lived_in_file(home, name)
    (home / "dotfiles").mkdir()
    path.rename(home / "dotfiles" / path.name)
    path.symlink_to(home / "dotfiles" / path.name)


def secret(home: Path, name: str) -> None:
    lived_in_file(home, name).chmod(0o600)


GOOD: dict[str, Callable[[Path, str], object]] = {
    "nothing at all": lambda home, name: None,
    "an empty file": empty,
    "a lived-in file": move_in,
    "a file for its owner only": secret,
    "a file with CRLF": crlf,
    "a file with a byte order mark": with_mark,
    "a link inside the home": linked_inside,
}


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("name", NAMES)
def test_install_then_uninstall_leaves_every_byte_and_mode(name: str, kind: str, tmp_path: Path):
    GOOD[kind](tmp_path, name)
    before = snapshot(tmp_path)

    plan = set_up(tmp_path, name).install(Options(workflow=True))
    assert snapshot(tmp_path) == before, "a plan writes nothing"
    assert plan.needed
    plan.carry_out()
    installed = snapshot(tmp_path)
    kept = {path: mode for path, (_, mode) in before.items()}
    assert {path: installed[path][1] for path in kept} == kept
    assert set_up(tmp_path, name).state()[0] == "ready"

    again = set_up(tmp_path, name).install(Options(workflow=True))
    assert again.needed == []
    again.carry_out()
    assert snapshot(tmp_path) == installed

    set_up(tmp_path, name).uninstall().carry_out()
    assert snapshot(tmp_path) == before
    assert set_up(tmp_path, name).uninstall().needed == []
    if kind == "nothing at all":
        assert {path.name for path in tmp_path.iterdir()} <= {".local"}


def linked_out(home: Path, name: str) -> None:
    outside = home.parent / "outside"
    outside.write_text("{}", encoding="utf-8")
    path = main_file(home, name)
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)


def folder_linked_out(home: Path, name: str) -> None:
    outside = home.parent / "elsewhere"
    outside.mkdir()
    path = main_file(home, name)
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.symlink_to(outside)


def linked_to_nothing(home: Path, name: str) -> None:
    path = main_file(home, name)
    path.parent.mkdir(parents=True)
    path.symlink_to(home / "gone")


def written(data: bytes) -> Callable[[Path, str], None]:
    def write(home: Path, name: str) -> None:
        empty(home, name)
        main_file(home, name).write_bytes(data)

    return write


def hard_linked(home: Path, name: str) -> None:
    empty(home, name)
    (home / "second").hardlink_to(main_file(home, name))


def read_only(home: Path, name: str) -> None:
    empty(home, name)
    main_file(home, name).chmod(0o444)


def a_folder(home: Path, name: str) -> None:
    main_file(home, name).mkdir(parents=True)


def a_pipe(home: Path, name: str) -> None:
    path = main_file(home, name)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


BAD: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "a link out of the home": (linked_out, "leads out of"),
    "a folder that is a link out of the home": (folder_linked_out, "leads out of"),
    "a link to nothing": (linked_to_nothing, "not there"),
    "a broken file": (written(b'{ "a": \n= [[ '), "line "),
    "a file that is not UTF-8": (written(b'a = "\xff"'), "not UTF-8"),
    "a huge file": (written(b" " * (MAX_BYTES + 1)), "larger than"),
    "a file with two names": (hard_linked, "hard link"),
    "a read-only file": (read_only, "read-only"),
    "a folder in its place": (a_folder, "no ordinary file"),
    "a pipe in its place": (a_pipe, "no ordinary file"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_edited_safely_is_refused_by_name_and_nothing_is_written(
    name: str, kind: str, tmp_path: Path
):
    plant, said = BAD[kind]
    home = tmp_path / "home"
    home.mkdir()
    plant(home, name)
    before = snapshot(tmp_path)
    with pytest.raises((Refused, CannotEdit)) as refused:
        set_up(home, name).install(Options())
    assert said in str(refused.value)
    assert str(main_file(home, name)) in str(refused.value)
    assert snapshot(tmp_path) == before
    state, words = set_up(home, name).state()
    assert (state, said in words) == ("broken", True)


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    empty(tmp_path, "codex")
    somebody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    with pytest.raises(Refused, match="belongs to another user"):
        set_up(tmp_path, "codex").install(Options())


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_while_we_asked_is_noticed_and_what_was_written_is_taken_back(name: str, tmp_path: Path):
    move_in(tmp_path, name)
    plan = set_up(tmp_path, name).install(Options(workflow=True))
    last = plan.needed[-1].held
    last.path.parent.mkdir(parents=True, exist_ok=True)
    last.path.write_text((last.text or "") + "\n", encoding="utf-8")
    before = snapshot(tmp_path)
    with pytest.raises(Refused, match="changed by another program"):
        plan.carry_out()
    after = snapshot(tmp_path)
    assert {path: after[path] for path in before} == before
    set_up(tmp_path, name).install(Options(workflow=True)).carry_out()
    assert set_up(tmp_path, name).state()[0] == "ready"


@pytest.mark.parametrize("name", NAMES)
def test_an_installation_for_another_port_is_outdated_and_brought_up_to_date(name: str, tmp_path: Path):
    move_in(tmp_path, name)
    before = snapshot(tmp_path)
    set_up(tmp_path, name).install(Options()).carry_out()
    moved = Target("http://127.0.0.1:9100", TARGET.command, TARGET.socket, 32_768, 32_768, 32_768)
    assert set_up(tmp_path, name, moved).state()[0] == "outdated"
    set_up(tmp_path, name, moved).install(Options()).carry_out()
    assert set_up(tmp_path, name, moved).state()[0] == "ready"
    set_up(tmp_path, name).uninstall().carry_out()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", NAMES)
def test_without_our_records_our_keys_are_found_by_their_names(name: str, tmp_path: Path):
    set_up(tmp_path, name).install(Options(workflow=True)).carry_out()
    for path in (tmp_path / ".local").rglob("*"):
        if path.is_file():
            path.unlink()
    set_up(tmp_path, name).uninstall().carry_out()
    assert [path for path, (text, _) in snapshot(tmp_path).items() if b"brainrouter" in text] == []


def test_what_was_kept_of_a_user_s_files_is_for_the_user_alone(tmp_path: Path):
    move_in(tmp_path, "codex")
    set_up(tmp_path, "codex").install(Options()).carry_out()
    kept = tmp_path / ".local/state/brainrouter/harness/codex"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.iterdir()} == {0o600}
    original = next(kept.glob("*.before")).read_text(encoding="utf-8")
    assert original == FILES["codex"][".codex/config.toml"]


@pytest.mark.parametrize(
    ("shell", "file"), [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/config.fish")]
)
def test_claude_code_by_its_shell_has_no_variables_in_its_settings(shell: str, file: str, tmp_path: Path):
    move_in(tmp_path, "claude")
    rc = tmp_path / file
    rc.parent.mkdir(parents=True, exist_ok=True)
    rc.write_text("alias ll='ls -l'  # mine", encoding="utf-8")
    before = snapshot(tmp_path)
    set_up(tmp_path, "claude").install(Options()).carry_out()
    set_up(tmp_path, "claude").install(Options(shell=shell)).carry_out()
    changed = {
        path for path, what in snapshot(tmp_path).items() if before.get(path) != what and ".local" not in path
    }
    assert changed == {file, ".claude.json"}
    assert set_up(tmp_path, "claude").state()[0] == "ready"
    set_up(tmp_path, "claude").uninstall().carry_out()
    assert snapshot(tmp_path) == before


def test_a_folder_that_a_variable_names_is_used(tmp_path: Path):
    env = {"HOME": str(tmp_path / "home"), "CODEX_HOME": str(tmp_path / "codex")}
    (tmp_path / "home").mkdir()
    SetUp(HARNESSES["codex"], TARGET, env, Path("/p")).install(Options()).carry_out()
    assert (tmp_path / "codex" / "config.toml").is_file()
    assert not (tmp_path / "home" / ".codex").exists()
