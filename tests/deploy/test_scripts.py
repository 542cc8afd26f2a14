"""The shell below install.sh, on toy steps and in scratch folders; whole machines: tests/deploy/machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.machine.publisher import MODEL, MODEL_NAME, NEWEST_CPU, Publisher
from tests.deploy.machine.test_dnf import WANTED

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
STEPS = "packages engine group folders share bun omp model brainrouter settings manifest llama_swap polkit profile skel users toolbox"


def bash(script: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A script after the libraries, with its ledger in a folder."""
    head = f"""set -euo pipefail
checkout={ROOT} deploy={DEPLOY} ledger={folder}/state/ai-stack/made ledger_start={folder}/.made
. "$checkout/scripts/lib.sh"
for part in steps files fetch machine undo; do . "$deploy/lib/$part.sh"; done
"""
    return subprocess.run(
        ["bash", "-c", head + script], capture_output=True, text=True, check=False, cwd=folder,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **env},
    )  # fmt: skip


TOY = """
one_title() { echo "the first"; }; one_done() { [[ -f one ]]; }; one_do() { touch one; }
two_title() { echo "the second"; }; two_done() { [[ -f two ]]; }; two_do() { false; touch two; }
"""


def test_a_dry_run_of_the_installer_names_every_step_and_changes_nothing():
    said = subprocess.run(
        ["bash", ROOT / "install.sh", "--dry-run"], capture_output=True, text=True, check=True, timeout=60
    )
    assert [line.split()[2] for line in said.stdout.splitlines()] == STEPS.split()
    assert "nothing was changed" in said.stderr
    assert not Path("/var/lib/ai-stack").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "grup"], "there is no step named grup"),
        (["--gpu", "voodoo"], "--gpu: one of amd nvidia intel cpu is expected"),
        (["--model-sha256", "abc"], "--model-sha256: 64 hexadecimal digits"),
        (["--model-file", "/nonexistent"], "--model-file: there is no file /nonexistent"),
        (["--nonsense", "1"], "there is no option --nonsense"),
        (["--wheel"], "its value is missing"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], says: str):
    done = subprocess.run(
        ["bash", ROOT / "install.sh", "--dry-run", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert says in done.stderr


def test_a_failed_step_is_named_and_the_next_run_goes_on_from_it(tmp_path: Path):
    first = bash(TOY + "run_steps one two", tmp_path)
    assert first.returncode != 0
    assert 'The step "two" failed' in first.stderr
    assert not (tmp_path / "two").exists()
    second = bash(TOY + "two_do() { touch two; }; run_steps one two", tmp_path)
    assert second.returncode == 0
    assert "ok    one" in second.stdout
    assert "done  two" in second.stdout


def test_a_step_that_claims_to_be_done_and_is_not_stops_the_run(tmp_path: Path):
    done = bash(TOY + "two_do() { :; }; run_steps two one", tmp_path)
    assert done.returncode == 1
    assert "what it makes is still missing" in done.stderr
    assert not (tmp_path / "one").exists()


def test_check_says_nothing_and_tells_by_its_exit_code(tmp_path: Path):
    missing = bash(TOY + "mode=check; run_steps one", tmp_path)
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", "")
    (tmp_path / "one").touch()
    assert bash(TOY + "mode=check; run_steps one", tmp_path).returncode == 0


MAKE = """
mine() {
    "$1" ours "$HOME/a/b/ours" 0640 - echo shipped
    "$1" seed "$HOME/a/seed" 0600 - echo template
}
"""
UNDO = "data={data}; undo_ledger; undo_folders"


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else "/"
        for path in sorted(folder.rglob("*"))
    }


def test_what_was_made_is_taken_back_to_the_last_folder(tmp_path: Path):
    assert bash(MAKE + "mine file_put; all_there mine", tmp_path).returncode == 0
    assert (tmp_path / "a/b/ours").stat().st_mode & 0o777 == 0o640
    assert bash(UNDO.format(data="no"), tmp_path).returncode == 0
    assert tree(tmp_path) == {}


def test_a_file_that_was_there_before_comes_back(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a/b/ours").write_text("somebody's\n")
    before = tree(tmp_path)
    assert bash(MAKE + "mine file_put; mine file_put", tmp_path).returncode == 0
    assert (tmp_path / "a/b/ours").read_text() == "shipped\n"
    assert bash(UNDO.format(data="no"), tmp_path).returncode == 0
    assert tree(tmp_path) == before


def test_an_edited_seed_is_kept_by_another_run_and_asked_for_at_the_end(tmp_path: Path):
    assert bash(MAKE + "mine file_put", tmp_path).returncode == 0
    (tmp_path / "a/seed").write_text("edited\n")
    assert bash(MAKE + "all_there mine", tmp_path).returncode == 0
    kept = bash(UNDO.format(data="ask"), tmp_path)
    assert "kept: " in kept.stderr
    assert (tmp_path / "a/seed").read_text() == "edited\n"
    assert not (tmp_path / "a/b").exists()
    assert bash(UNDO.format(data="yes"), tmp_path).returncode == 0
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("at", range(1, 40))
def test_an_interruption_at_any_command_can_be_resumed_or_taken_back(tmp_path: Path, at: int):
    kill = f"set -o functrace; n=0; trap '((++n < {at})) || kill -KILL 0' DEBUG; "
    bash(MAKE + kill + "mine file_put", tmp_path)
    resumed = bash(MAKE + "all_there mine || mine file_put; all_there mine", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    bash(MAKE + kill + "mine file_put", tmp_path)
    assert bash(UNDO.format(data="yes"), tmp_path).returncode == 0
    assert tree(tmp_path) == {}


def test_a_download_is_checked_against_what_its_publisher_says(tmp_path: Path):
    with Publisher() as publisher:
        url = f"http://127.0.0.1:{publisher.port}/models/{MODEL_NAME}"
        said = bash(f"published_sum {url}", tmp_path)
        assert said.stdout == hashlib.sha256(MODEL).hexdigest()
        publisher.breaks = [1_000_000] * 4
        assert bash(f"fetch {url} model", tmp_path).returncode != 0
        assert (tmp_path / "model").stat().st_size == 3_000_000
        assert bash(f"fetch {url} model; check_sum model {said.stdout} publisher", tmp_path).returncode == 0
        assert (tmp_path / "model").read_bytes() == MODEL
        wrong = bash(f"check_sum model {'0' * 64} publisher", tmp_path)
        assert wrong.returncode == 1
        assert "is not what publisher published" in wrong.stderr
        assert not (tmp_path / "model").exists()
        assert bash(f"published_sum {url}.nothing", tmp_path).stdout == ""


def test_the_newest_tag_is_read_from_the_registry():
    with Publisher() as publisher:
        script = [
            sys.executable,
            "-IS",
            str(DEPLOY / "lib" / "newest_tag.py"),
            f"http://127.0.0.1:{publisher.port}",
            "x",
        ]
        found = subprocess.run([*script, r"v(\d+)-cpu-b(\d+)"], capture_output=True, text=True, check=True)
        assert found.stdout == f"{NEWEST_CPU}\n"
        none = subprocess.run([*script, r"v(\d+)-musa-b(\d+)"], capture_output=True, text=True, check=False)
        assert none.returncode == 1
        assert "lists no tag of x" in none.stderr


def test_fedora_gets_its_own_packages_by_dnf(tmp_path: Path):
    for name in ("dnf", "rpm"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/calls"\n[ {name} = dnf ]\n')
        program.chmod(0o755)
    done = bash(
        '. "$deploy/steps/machine.sh"; system() { echo fedora; }; engine=docker; command() { return 1; }; docker() { false; }; '
        "packages_do", tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "rpm -q --quiet moby-engine" in calls
    assert calls[-1].startswith(
        "dnf install -y --setopt=install_weak_deps=False git golang toolbox vulkan-headers"
    )
    assert calls[-1].endswith("moby-engine docker-compose")
    assert calls[-1].split()[4:] == WANTED
    assert "package\tgolang\n" in (tmp_path / "state/ai-stack/made").read_text()
