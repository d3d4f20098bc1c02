"""Messages for failures that any command can meet: a full disk, damaged files, damaged records of Dagster.

One or two sentences each, with the file, what is lost and the remedy. Errors with a message of their own keep it.
"""

import re
import shutil
import sqlite3
from pathlib import Path

from foundation.durable import Damaged, is_disk_full
from foundation.errors import Explained
from moovitamix_assets.cli.interface.dagster_home import dagster_home

_NEEDED_GIGABYTES = 2.0
_REQUESTED = re.compile(r"(\d+) requested and (\d+) written", re.IGNORECASE)
_BUSY = ("locked", "unable to open")


def message_of(error: Exception, data_dir: Path) -> str | None:
    """Return the message for an error; None for one that should not happen, whose traceback is needed.

    Args:
        error: As it reached the command. That of a failed run quotes what its steps raised.
        data_dir: Of the deployment.
    """
    if isinstance(error, Damaged):
        return str(error)
    if is_disk_full(error):
        return disk_full_message(str(error), data_dir)
    if isinstance(error, Explained):
        return str(error)
    if _is_of_dagsters_records(error):
        return records_damaged_message(str(error), data_dir)
    return None


def records_damaged_message(found: str, data_dir: Path) -> str:
    """The message for damaged records of Dagster: what is lost, and the remedy."""
    home = dagster_home(data_dir)
    first_line = (found.splitlines() or [""])[0].strip().rstrip(".")
    return (
        f"Dagster's records in {home} cannot be read ({first_line}). The history of runs and the sensors' cursors are "
        "lost; landing, warehouse and models are not affected. Move the records away, and the next command creates new "
        f"ones: `mv {home / 'storage'} {home / 'storage.damaged'}`."
    )


def disk_full_message(found: str, data_dir: Path) -> str:
    """Which disk is full, how much was needed and is free there, and the remedy."""
    folder = min(
        (_existing(data_dir), _existing(dagster_home(data_dir))),
        key=lambda path: shutil.disk_usage(path).free,
    )
    requested = _REQUESTED.search(found)
    needed = f", where one write needed {int(requested[1]):,}" if requested else ""
    return (
        f"The disk of {folder} is full: {shutil.disk_usage(folder).free:,} bytes are free{needed}. What was written "
        f"before is whole. Free {_NEEDED_GIGABYTES} GB or more there (or set "
        f"{'MOOVITAMIX_DATA_DIR' if folder == _existing(data_dir) else 'DAGSTER_HOME'} to a folder on a larger disk), "
        "then run the same command again."
    )


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _is_of_dagsters_records(error: BaseException) -> bool:
    """Dagster stores its records in SQLite, by SQLAlchemy; ours are in DuckDB, so no other error looks like it."""
    from sqlalchemy.exc import DatabaseError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DatabaseError | sqlite3.DatabaseError):
            return not any(word in str(seen) for word in _BUSY)
        seen = seen.__cause__
    return False
