"""Nobody is talked out of the work folder."""

from __future__ import annotations

import os
import random
import shutil
import stat
import threading
from pathlib import Path

import pytest

from brainrouter.bridge.workspace import Refused, Workspace, shown


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    (root / "a" / "b").mkdir(parents=True)
    (root / "with space").mkdir()
    (root / ".hidden").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "a" / "up").symlink_to("..")
    (root / "file").write_text("hello")
    return root


@pytest.fixture
def space(tree: Path):
    made = Workspace(tree)
    yield made
    made.close()


def test_one_moves_down_up_and_to_the_top(space: Workspace):
    assert space.moved("", "a/b") == "a/b"
    assert space.moved("a/b", "..") == "a"
    assert space.moved("a/b", "../../with space") == "with space"
    assert space.moved("a", "./b/") == "a/b"
    assert space.moved("a", "") == "a"


@pytest.mark.parametrize(
    "to",
    ["..", "../..", "a/../..", "/etc", "/", "~", "~root", "out", "out/secret", "a/up", ".hidden", ".ssh",
     "a/.git", "file", "no", "a\0b", "a\nb", "x" * 300, "\u2025", "\uff0e\uff0e", "a\u202eb", "\udcff", "\\\\host",
     "/".join(["a"] * 40)],
)  # fmt: skip
def test_no_path_leads_out(space: Workspace, to: str):
    with pytest.raises(Refused):
        space.moved("", to)


def test_ten_thousand_made_up_paths_stay_inside(space: Workspace, tree: Path):
    chance = random.Random(7)
    pieces = [
        "..",
        ".",
        "a",
        "b",
        "out",
        "up",
        "/",
        "~",
        "",
        ".hidden",
        "with space",
        "file",
        "secret",
        "\0",
        "\n",
    ]
    entered = 0
    for _ in range(10_000):
        path = "/".join(chance.choices(pieces, k=chance.randint(1, 6)))
        try:
            folder = space.moved(chance.choice(["", "a", "a/b"]), path)
        except Refused:
            continue
        entered += 1
        assert Path(os.path.realpath(tree / folder)).is_relative_to(tree)
        assert not {"out", "up", ".hidden", ".."} & set(folder.split("/"))
    assert entered > 100


def test_a_folder_swapped_for_a_link_meanwhile_lets_nobody_out(space: Workspace, tree: Path):
    inside = os.stat(tree / "a" / "b").st_ino
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(tree / "a", tree / "kept")
            os.symlink(tree.parent / "outside", tree / "a")
            os.unlink(tree / "a")
            os.rename(tree / "kept", tree / "a")

    (tree.parent / "outside" / "b").mkdir()
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen: set[int] = set()
        for _ in range(1000):
            try:
                with space.entered("a/b") as fd:
                    seen.add(os.fstat(fd).st_ino)
            except Refused:
                continue
    finally:
        stop.set()
        thread.join()
    assert seen <= {inside}


def test_descriptors_are_given_back(space: Workspace):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for to in ("a/b", "nowhere/at/all", "out", "a/up"):
        for _ in range(50):
            try:
                space.moved("", to)
            except Refused:
                continue
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after == before


def test_a_listing_shows_folders_first_sizes_and_links_but_nothing_hidden(space: Workspace):
    listing = space.listing("")
    assert [(entry.name, entry.folder, entry.link, entry.size) for entry in listing.entries] == [
        ("a", True, False, None),
        ("with space", True, False, None),
        ("file", False, False, 5),
        ("out", False, True, None),
    ]
    assert listing.more == 0


def test_a_long_listing_is_cut_and_says_so(space: Workspace, tree: Path):
    for number in range(150):
        (tree / "a" / "b" / f"f{number:03}").touch()
    listing = space.listing("a/b")
    assert (len(listing.entries), listing.more) == (100, 50)


def test_a_new_folder_is_private_and_one_plain_word(space: Workspace, tree: Path):
    assert space.make("a", "new-1.x") == "a/new-1.x"
    assert stat.S_IMODE((tree / "a" / "new-1.x").stat().st_mode) == 0o700
    for name in ("new-1.x", "", ".git", "-rf", "a/b", "..", "a b", "x" * 65, "\u00e9", "a\n", "a\0"):
        with pytest.raises(Refused):
            space.make("a", name)


def test_a_work_folder_that_was_removed_meanwhile_is_said(space: Workspace, tree: Path):
    shutil.rmtree(tree)
    with pytest.raises(Refused, match="there is no folder a"):
        space.moved("", "a")
    with pytest.raises(Refused, match="cannot be made"):
        space.make("", "x")


def test_a_root_that_is_none_is_said(tmp_path: Path):
    with pytest.raises(Refused, match="cannot be entered"):
        Workspace(tmp_path / "nowhere")


def test_names_are_shown_without_what_fools_a_reader():
    assert shown("a\u202eb\nc\u200bd") == "a\ufffdb\ufffdc\ufffdd"
