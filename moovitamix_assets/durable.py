"""Files that appear whole, survive a power cut, and can be checked later: writing them, and what damage is called.

Every stage writes through here. What is in a file, and which command mends a damaged one, is said by its owner.
"""

import hashlib
import os
from pathlib import Path


class Damaged(ValueError):
    """What is kept is not what was written; the message names the file, what is lost and what mends it."""


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_file(target: Path, content: bytes) -> None:
    """Write a file that appears by rename once its bytes are on the disk; its folder is made if absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f".{target.name}.{os.getpid()}"
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk: a renamed file is lost in a power cut without it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_checked_text(target: Path, text: str) -> None:
    """Write one line of text with its SHA-256 on the next line."""
    write_file(target, f"{text}\n{sha256(text.encode())}\n".encode())


def read_checked_text(path: Path) -> str:
    """Read what `write_checked_text` wrote.

    A text without any line end was written by an earlier version, which kept no hash: it is returned as it is.

    Raises:
        ValueError: If the text is not the one its hash was made of.
    """
    content = path.read_bytes()
    text, line_end, _ = content.partition(b"\n")
    if line_end and content != b"%s\n%s\n" % (text, sha256(text).encode()):
        raise ValueError("its text is not the one its SHA-256 was made of")
    return text.decode()


def free_place(folder: Path, name: str) -> Path:
    """A path in a folder (made if absent) that nothing has yet: `name`, or `name.2` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    place, repeat = folder / name, 1
    while place.exists():
        repeat += 1
        place = folder / f"{name}.{repeat}"
    return place
