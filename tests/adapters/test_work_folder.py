"""Folders that may be looked into, and all the ways to ask for another one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from brainrouter.adapters.project_files import read_agents, read_contract, read_requirements
from brainrouter.adapters.work_folder import NotAllowed, open_beneath, open_folder
from tests.repos import write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    write(folder, {"project/a.py": "x\n", "file": "x"})
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", folder / "link-out")
    os.symlink(folder / "project", folder / "link-in")
    os.symlink(folder / "loop", folder / "loop")
    os.mkfifo(folder / "fifo")
    return folder


def refused(home: Path) -> list[str]:
    outside = home.parent / "outside"
    return [
        "", ".", "project", "./project", "~", "~/project", str(outside), f"{home}/link-out", f"{home}/link-out/.",
        f"{home}/../outside", f"{home}/project/..", f"{home}/project/../../outside", f"{home}/file", f"{home}/fifo",
        f"{home}/loop", f"{home}/missing", f"{home}/project/a.py", "/", "/etc", "/etc/passwd", "/var/log", "/proc",
        "/proc/self", "/proc/self/cwd", "/proc/self/root", "//proc/self/cwd", "/dev", "/dev/null", "/dev/fd", "/sys",
        f"{home}\n", f"{home}/project\n", f"{home}\0", f"{home}/project\0/x", f"{home}\x1b[2J", f"{home}/" + "x" * 5000,
        f"/{'a/' * 3000}", f"{home}x", f"{home}/\u202eproject", "file:///etc", "\\\\server\\share",
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(41))
def test_a_path_that_is_no_project_of_the_user_is_refused_with_a_reason(home: Path, index: int):
    asked = refused(home)[index]
    with pytest.raises(NotAllowed) as said:
        open_folder(asked, [home])
    assert len(str(said.value)) > 10


@pytest.mark.parametrize("asked", ["", "/project", "/project/", "//project", "/link-in", "/project/."])
def test_the_users_own_folders_are_opened(home: Path, asked: str):
    with open_folder(f"{home}{asked}", [home]) as folder:
        assert folder.path in (home, home / "project")
        assert os.path.realpath(f"/proc/self/fd/{folder.fd}") == str(folder.path)


def test_another_users_folder_is_refused(home: Path):
    theirs = home / "theirs"
    if os.getuid() == 0:
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
    else:
        theirs = Path("/usr")  # root's
    with pytest.raises(NotAllowed, match="another user"):
        open_folder(str(theirs), [theirs])


def test_a_link_that_is_swapped_all_the_time_never_leads_out(home: Path):
    outside = home.parent / "outside"
    flip, stop = home / "flip", threading.Event()
    os.symlink(home / "project", flip)

    def swap() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            os.symlink(outside if at % 2 else home / "project", home / "next")
            os.replace(home / "next", flip)

    swapper = threading.Thread(target=swap)
    swapper.start()
    opened = 0
    try:
        for _ in range(1000):
            try:
                with open_folder(str(flip), [home]) as folder:
                    assert os.readlink(f"/proc/self/fd/{folder.fd}") == str(home / "project")
                    opened += 1
            except NotAllowed:
                continue
    finally:
        stop.set()
        swapper.join()
    assert opened


def test_files_are_read_beneath_only(home: Path):
    os.symlink("/etc/passwd", home / "project" / "passwd")
    os.symlink("/etc", home / "project" / "etc")
    os.mkfifo(home / "project" / "pipe")
    with open_folder(str(home / "project"), [home]) as folder:
        assert folder.read("a.py", 100) == b"x\n"
        for name in (
            "passwd",
            "etc/passwd",
            "../file",
            "/etc/passwd",
            "pipe",
            "",
            "a.py/",
            "./a.py",
            "missing",
        ):
            assert folder.read(name, 100) is None, name
        before = len(os.listdir("/proc/self/fd"))
        for name in ("passwd", "etc/passwd", "pipe"):
            with pytest.raises(OSError, match=r".*"):
                open_beneath(folder.fd, name)
        assert len(os.listdir("/proc/self/fd")) == before


def test_the_projects_documents_are_found_in_order_and_links_do_not_count(home: Path):
    project = home / "project"
    with open_folder(str(project), [home]) as folder:
        assert read_requirements(folder) is None
        write(project, {"README.md": "readme"})
        assert read_requirements(folder) == read_requirements(folder)
        write(home, {"key": "id_rsa"})
        os.symlink(home / "key", project / "PRD.md")
        found = read_requirements(folder)
        assert found is not None
        assert (found.name, found.text) == ("README.md", "readme")
        (project / "PRD.md").unlink()
        write(project, {"PRD.md": "prd", "AGENTS.md": "rules"})
        assert getattr(read_requirements(folder), "name", None) == "PRD.md"
        write(project, {"docs/PRD.md": "the prd"})
        assert getattr(read_requirements(folder), "text", None) == "the prd"
        assert [document.text for document in read_agents(folder, folder)] == ["rules"]


def test_the_users_contract_comes_from_beside_the_settings_first(home: Path):
    config = home / ".config" / "brainrouter"
    with open_folder(str(home / "project"), [home]) as folder:
        assert read_contract(home, config, folder) is None
        write(home, {"AGENTS.md": "of the home"})
        assert getattr(read_contract(home, config, folder), "text", None) == "of the home"
        write(config, {"AGENTS.md": "of the settings"})
        assert getattr(read_contract(home, config, folder), "text", None) == "of the settings"
