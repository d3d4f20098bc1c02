"""Folders appear whole or not at all, and damage to their files is found."""

import subprocess

import pytest

from foundation.artifact_folder import (
    HASHES_FILE,
    damage_in,
    is_hashed,
    remove_folder,
    write_folder,
    write_hashes,
)


def two_files(folder):
    (folder / "a").write_text("first")
    (folder / "b").write_bytes(b"\0\1")


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "models" / "one"
    write_folder(target, two_files)
    return target


def test_a_folder_has_its_files_and_their_hashes(folder):
    assert sorted(file.name for file in folder.iterdir()) == [HASHES_FILE, "a", "b"]
    assert is_hashed(folder)
    assert damage_in(folder) is None
    subprocess.run(["sha256sum", "--check", "--quiet", HASHES_FILE], cwd=folder, check=True)


def test_a_folder_is_replaced_whole(folder):
    write_folder(folder, lambda unfinished: (unfinished / "c").write_text("third"))
    assert sorted(file.name for file in folder.iterdir()) == [HASHES_FILE, "c"]
    assert list(folder.parent.iterdir()) == [folder]


def test_a_write_that_fails_leaves_the_old_folder_and_the_next_one_removes_the_leftover(folder):
    def failing(unfinished):
        (unfinished / "a").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_folder(folder, failing)
    assert (folder / "a").read_text() == "first"
    assert damage_in(folder) is None
    assert [path.name.startswith(".one.") for path in folder.parent.iterdir() if path != folder] == [True]
    write_folder(folder, two_files)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_removed_folder_leaves_nothing(folder):
    remove_folder(folder)
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda folder: (folder / "a").write_text("First"), "a: its bytes are not those that were written"),
        (lambda folder: (folder / "b").unlink(), "b: it is gone"),
        (lambda folder: (folder / "c").write_text(""), f"{HASHES_FILE}: it does not list the files"),
    ],
)
def test_damage_is_named_by_file(folder, damage, finding):
    damage(folder)
    assert damage_in(folder).startswith(finding)
    write_hashes(folder)
    assert damage_in(folder) is None


def test_a_folder_without_hashes_cannot_be_damaged(folder):
    (folder / HASHES_FILE).unlink()
    (folder / "a").write_text("other")
    assert not is_hashed(folder)
    assert damage_in(folder) is None
