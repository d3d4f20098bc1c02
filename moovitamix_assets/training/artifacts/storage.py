"""Folders of files that appear whole: training sets and models on disk.

Only how a folder appears belongs here; what is in it is written by whoever makes it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_folder(target: Path, write: Callable[[Path], object]) -> None:
    """Make a folder that appears by rename, with everything in it or not at all.

    An existing folder is replaced; a crash in between leaves the old one or the new one beside a hidden leftover
    that nothing reads and the next call removes.

    Args:
        target: Where the folder shall be.
        write: Told an empty folder to fill.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover)
    unfinished = target.parent / f".{target.name}.{os.getpid()}"
    unfinished.mkdir()
    write(unfinished)
    if target.exists():
        target.rename(target.parent / f".{target.name}.replaced")
    unfinished.rename(target)
    shutil.rmtree(target.parent / f".{target.name}.replaced", ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write a small file that appears by rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f".{target.name}.{os.getpid()}"
    unfinished.write_text(text)
    unfinished.rename(target)
