"""Folders of files that are published whole and can be verified: training sets and models on disk.

Publishing, verifying and removing a folder belong here. Its content is written by the caller, who also reports what a
damaged folder means and which command repairs it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from foundation.durable import sha256, sync_folder

HASHES_FILE = "SHA256SUMS"


def write_folder(target: Path, write: Callable[[Path], object]) -> None:
    """Write a folder that appears by rename, complete or not at all, with the `SHA256SUMS` of its files.

    An existing folder is replaced. A crash in between leaves the old or the new folder, and next to it a hidden
    leftover that nothing reads and the next call removes.

    Args:
        target: Path of the folder.
        write: Called with an empty folder to fill.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover)
    unfinished = target.parent / f".{target.name}.{os.getpid()}"
    unfinished.mkdir()
    write(unfinished)
    write_hashes(unfinished)
    for file in unfinished.iterdir():
        _sync_file(file)
    sync_folder(unfinished)
    if target.exists():
        target.rename(target.parent / f".{target.name}.replaced")
    unfinished.rename(target)
    sync_folder(target.parent)
    shutil.rmtree(target.parent / f".{target.name}.replaced", ignore_errors=True)


def remove_folder(target: Path) -> None:
    """Remove a folder: hidden first, so that no half of it is ever read."""
    hidden = target.parent / f".{target.name}.removed"
    shutil.rmtree(hidden, ignore_errors=True)
    target.rename(hidden)
    sync_folder(target.parent)
    shutil.rmtree(hidden)


def write_hashes(folder: Path) -> None:
    """Record the hashes of the files that are in a folder now."""
    (folder / HASHES_FILE).write_text(_hashes_of(folder))


def is_hashed(folder: Path) -> bool:
    """Return True for a folder with recorded hashes; folders of earlier versions have none."""
    return (folder / HASHES_FILE).exists()


def damage_in(folder: Path) -> str | None:
    """Return the damage to the files of a folder, as `<file>: <finding>`; None without damage or without hashes."""
    if not is_hashed(folder):
        return None
    recorded = (folder / HASHES_FILE).read_bytes().decode(errors="replace")
    if recorded == _hashes_of(folder):
        return None
    listed = [line.split("  ", 1) for line in recorded.splitlines() if "  " in line]
    for digest, name in listed:
        file = folder / name
        if not file.exists():
            return f"{name}: it is gone"
        if sha256(file.read_bytes()) != digest:
            return f"{name}: its bytes are not those that were written (another SHA-256)"
    return f"{HASHES_FILE}: it does not list the files that are there"


def _hashes_of(folder: Path) -> str:
    """Return the content of `SHA256SUMS`, in the format of the tool `sha256sum --check`."""
    files = sorted(file for file in folder.iterdir() if file.name != HASHES_FILE)
    return "".join(f"{sha256(file.read_bytes())}  {file.name}\n" for file in files)


def _sync_file(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
