"""`install`, `uninstall`, `status` and `run` as a person meets them: questions, exit codes, words."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from brainrouter.harness.catalogue import HARNESSES

BRAINROUTER = Path(sys.executable).with_name("brainrouter")


def env_of(home: Path, **more: str) -> dict[str, str]:
    (home / "run").mkdir(exist_ok=True)
    (home / "run" / "brainrouter.port").write_text("9\n", encoding="ascii")
    return {
        "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PATH": "/usr/bin:/bin", "SHELL": "/bin/bash",
        "TERM": "dumb", **more,
    }  # fmt: skip


def brainrouter(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BRAINROUTER), *arguments], env=env_of(home, **more), capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=50, check=False,
    )  # fmt: skip


def answered(home: Path, answer: bytes, *arguments: str) -> tuple[int, str]:
    """The exit code and the words of a command on a terminal where `answer` is typed."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [str(BRAINROUTER), *arguments], env=env_of(home), stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    os.write(leader, answer)
    said = b""
    try:
        while piece := os.read(leader, 65536):
            said += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(leader)
    return child.wait(50), said.decode("utf-8", "replace")


def test_the_question_decides_what_is_written(tmp_path: Path):
    config = tmp_path / ".codex" / "config.toml"
    code, said = answered(tmp_path, b"n\n", "install", "codex")
    assert (code, config.exists()) == (3, False)
    assert 'model_provider = "brainrouter"' in said
    code, said = answered(tmp_path, b"y\n", "install", "codex")
    assert (code, config.exists()) == (0, True)
    assert "brainrouter uninstall codex" in said
    code, _ = answered(tmp_path, b"y\n", "uninstall", "codex")
    assert (code, config.parent.exists()) == (0, False)


def test_without_a_terminal_nothing_is_written_unless_agreed_beforehand(tmp_path: Path):
    done = brainrouter(tmp_path, "install", "pi")
    assert (done.returncode, (tmp_path / ".pi").exists()) == (3, False)
    assert "--yes" in done.stdout
    assert brainrouter(tmp_path, "install", "pi", "--yes").returncode == 0
    assert "Nothing to change" in brainrouter(tmp_path, "install", "pi", "--yes").stdout


def test_a_broken_file_is_refused_by_name_and_exit_code(tmp_path: Path):
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "settings.json").write_text('{"a": 1 "b"}', encoding="utf-8")
    done = brainrouter(tmp_path, "install", "claude", "--yes")
    assert done.returncode == 1
    assert "settings.json: line 1, column 9: expected a comma" in done.stdout
    assert not (tmp_path / ".claude.json").exists()


def test_keys_of_the_user_beside_our_lines_are_not_shown(tmp_path: Path):
    (tmp_path / ".pi/agent").mkdir(parents=True)
    (tmp_path / ".pi/agent/models.json").write_text(
        '{"providers": {\n  "mine": {\n    "apiKey": "sk-live-123456"\n  }\n}}', encoding="utf-8"
    )
    done = brainrouter(tmp_path, "install", "pi")
    assert '"apiKey": "•••"' in done.stdout
    assert "sk-live" not in done.stdout


def test_the_shell_s_own_file_gets_the_variables(tmp_path: Path):
    done = brainrouter(tmp_path, "install", "claude", "--shell-rc", "--yes", SHELL="/usr/bin/zsh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "export ANTHROPIC_BASE_URL=" in (tmp_path / ".zshrc").read_text(encoding="utf-8")
    assert not (tmp_path / ".claude" / "settings.json").exists()
    done = brainrouter(tmp_path, "install", "claude", "--shell-rc", "--yes", SHELL="/bin/csh")
    assert done.returncode == 1
    assert "bash, zsh, fish" in done.stdout


def test_status_has_a_line_for_each_harness(tmp_path: Path):
    assert brainrouter(tmp_path, "install", "vibe", "--yes").returncode == 0
    done = brainrouter(tmp_path, "status")
    assert done.returncode == 0
    lines = {
        h.name: next(line for line in done.stdout.splitlines() if f"{h.title} " in line)
        for h in HARNESSES.values()
    }
    assert {name for name, line in lines.items() if "not set up" not in line} == {"vibe"}


@pytest.mark.parametrize(("arguments", "code"), [(("install", "emacs"), 2), (("run", "codex"), 127)])
def test_what_is_not_there_has_an_exit_code_of_its_own(tmp_path: Path, arguments: tuple[str, ...], code: int):
    assert brainrouter(tmp_path, *arguments).returncode == code


def test_run_without_a_daemon_says_how_to_start_one(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "codex").symlink_to("/bin/true")
    done = brainrouter(tmp_path, "run", "codex", PATH=f"{tmp_path}/bin:/bin")
    assert done.returncode == 1
    assert "brainrouter up" in done.stderr


def test_help_loads_nothing_heavy():
    heavy = "{'rich', 'msgspec', 'ruamel', 'tomlkit', 'numpy', 'mcp', 'asyncio'}"
    code = f"import sys, brainrouter.edge.cli.main; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
