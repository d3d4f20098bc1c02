"""Durable files: they appear whole, survive a power cut, and can be verified later; and the error for damage.

Every stage writes through here. A file's owner knows its content, and which command repairs a damaged one.
"""

import errno
import hashlib
import os
import re
from pathlib import Path

from foundation.errors import Explained

_FULL = (errno.ENOSPC, errno.EDQUOT)
# As the system, SQLite and DuckDB put it.
_SAYS_FULL = re.compile(
    r"no space left on device|disk quota exceeded|database or disk is full|out of disk"
    r"|could not write all bytes|requested and \d+ written",
    re.IGNORECASE,
)


class Damaged(Explained, ValueError):
    """A stored file is not what was written; the message names the file, what is lost and the remedy."""


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or its cause, is a full disk."""
    seen: BaseException | None = error
    while seen is not None:
        if (isinstance(seen, OSError) and seen.errno in _FULL) or says_disk_full(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def says_disk_full(message: str) -> bool:
    """Return whether a message reports a full disk."""
    return _SAYS_FULL.search(message) is not None


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_file(target: Path, content: bytes) -> None:
    """Write a file that appears by rename once its bytes are on the disk; its folder is created if absent.

    Raises:
        OSError: If it cannot be written; where the disk is full, the message says how many bytes were needed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f".{target.name}.{os.getpid()}"
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        if error.errno in _FULL:
            needed = f"{error.strerror} ({len(content)} requested and 0 written)"
            raise OSError(error.errno, needed, str(target)) from error
        raise
    unfinished.rename(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk: without it, a power cut loses a renamed file."""
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

    One line alone was written by hand or by an earlier version, which kept no hash: it is returned as it is.

    Raises:
        ValueError: If the text does not match its hash.
    """
    content = path.read_bytes()
    text, _, rest = content.partition(b"\n")
    # A line as long as a hash includes one: its end was altered.
    if (rest or len(text) >= len(sha256(b""))) and content != b"%s\n%s\n" % (text, sha256(text).encode()):
        raise ValueError("its text does not match its SHA-256")
    return text.decode()


def free_place(folder: Path, name: str) -> Path:
    """A path in a folder (created if absent) that does not exist yet: `name`, or `name.2` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    place, repeat = folder / name, 1
    while place.exists():
        repeat += 1
        place = folder / f"{name}.{repeat}"
    return place
