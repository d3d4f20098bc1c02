"""A copy of the warehouse for readers that stay, such as notebooks: an open copy never keeps a run from writing.

When it is written belongs to the product; opening the warehouse itself is in `connection.py`.
"""

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import psutil

from foundation.durable import Damaged, is_disk_full, sync_folder
from foundation.errors import Explained
from foundation.warehouse.connection import read_warehouse
from foundation.warehouse.errors import WarehouseLocked
from foundation.warehouse.layout import WarehouseLayout
from foundation.warehouse.opening import connected

COPY_NAME = "warehouse_copy.duckdb"

# What stays free after copying, in sizes of the warehouse: runs need the space more than readers do.
_LEFT_FREE = 1
_READ_ONLY = 0o444


class CopyNotWritten(Explained):
    """The copy could not be written; the message says why, and that an earlier one stays."""


def copy_of(path: Path) -> Path:
    """The copy of the warehouse at `path`, in the same folder."""
    return path.with_name(COPY_NAME)


def copy_is_current(path: Path) -> bool:
    """Return whether the warehouse has not been written since it was copied; True where there is none to copy."""
    copy = copy_of(path)
    if not path.exists():
        return True
    return copy.exists() and copy.stat().st_mtime_ns == path.stat().st_mtime_ns


def copy_warehouse(path: Path, layout: WarehouseLayout) -> Path:
    """Copy a warehouse into one file, which replaces the earlier copy by rename.

    The copy is one state: no process can write while this one holds a reading connection. Readers of an earlier copy
    keep what they opened.

    Raises:
        CopyNotWritten: If the warehouse cannot be read, another process is still writing after ten seconds, or the
            disk is full.
    """
    copy = copy_of(path)
    _remove_leftovers(copy)
    unfinished = copy.with_name(f".{COPY_NAME}.{os.getpid()}")
    try:
        _refuse_full_disk(path)
        with read_warehouse(path, layout):
            written = path.stat().st_mtime_ns
            _copy_files(path, unfinished)
        _complete(unfinished)
        unfinished.chmod(_READ_ONLY)
        # The time of the warehouse, by which `copy_is_current` compares them, whatever the clock does.
        os.utime(unfinished, ns=(written, written))
        # Left by a reader that opened the earlier copy for writing: it does not belong to this one.
        _remove(*_logs_of(copy))
        unfinished.rename(copy)
        sync_folder(copy.parent)
    except (WarehouseLocked, Damaged, duckdb.Error, OSError) as error:
        cause = "the disk is full" if is_disk_full(error) else str(error).splitlines()[0].rstrip(".")
        kept = " The earlier copy stays." if copy.exists() else ""
        raise CopyNotWritten(f"{copy} was not written: {cause}.{kept} It is tried again.") from error
    finally:
        _remove(unfinished, *_logs_of(unfinished))
    return copy


def _copy_files(path: Path, target: Path) -> None:
    """Copy the file, and the write-ahead log that a killed process has left.

    Another process reads them: were they closed in this one, the system would release the locks of its connections.

    Raises:
        OSError: If a file cannot be copied.
    """
    for source in (path, *_logs_of(path)):
        copied = target.with_name(target.name + source.name.removeprefix(path.name))
        result = subprocess.run(["cp", "--", source, copied], capture_output=True, text=True, check=False)
        if result.returncode:
            raise OSError(result.stderr.strip() or f"cp ended with {result.returncode}")


def _complete(unfinished: Path) -> None:
    """Take the write-ahead log, if there is one, into the file, and have its bytes reach the disk."""
    if _logs_of(unfinished):
        with connected(unfinished, read_only=False) as connection:
            connection.execute("CHECKPOINT")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())


def _refuse_full_disk(path: Path) -> None:
    needed, free = path.stat().st_size * (1 + _LEFT_FREE), shutil.disk_usage(path.parent).free
    if free < needed:
        raise OSError(f"{free / 1e6:,.0f} MB are free on its disk, and {needed / 1e6:,.0f} MB are needed")


def _remove_leftovers(copy: Path) -> None:
    """Remove what processes that were killed had not finished."""
    for path in copy.parent.glob(f".{COPY_NAME}.*"):
        process = path.name.removeprefix(f".{COPY_NAME}.").split(".")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            path.unlink(missing_ok=True)


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _logs_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.wal*"))
