"""Opening a DuckDB file: waiting for its lock, closing it on every path, and naming damage.

What is in the file does not belong here.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from foundation.durable import is_disk_full
from foundation.warehouse.errors import WarehouseLocked, damaged, locked
from foundation.warehouse.layout import WarehouseLayout

# The errors DuckDB raises for a file that is not what it wrote; some wrong checksums are a plain duckdb.Error.
_SIGNS_OF_DAMAGE = (
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
)

# A reader holds the file briefly; a longer lock is another writer's, and waiting would hide that.
_LOCK_WAIT_SECONDS = 10.0
_LOCK_RETRY_SECONDS = 0.1


@contextmanager
def connected(path: Path, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection, closed on leaving.

    Raises:
        WarehouseLocked: If another process still holds the file after ten seconds.
    """
    connection = _connect_waiting(path, read_only)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def damage_named(path: Path, layout: WarehouseLayout) -> Iterator[None]:
    """Raise `WarehouseDamaged` where DuckDB cannot read the file."""
    try:
        yield
    except duckdb.Error as error:
        is_sign = isinstance(error, _SIGNS_OF_DAMAGE) or "corrupt" in str(error).lower()
        if not is_sign or is_disk_full(error) or not (path.is_file() and os.access(path, os.R_OK)):
            raise
        raise damaged(path, layout, error) from error


def _connect_waiting(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        try:
            return _open(path, read_only)
        except WarehouseLocked:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOCK_RETRY_SECONDS)


def _open(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    connect: Callable[..., duckdb.DuckDBPyConnection] = duckdb.connect
    try:
        return connect(str(path), read_only=read_only, config={"autoinstall_known_extensions": "false"})
    except duckdb.IOException as error:
        if "could not set lock" not in str(error).lower():
            raise
        raise locked(path, str(error)) from error
    except duckdb.ConnectionException as error:
        # Reading and writing connections of one process exclude each other too.
        if "different configuration" not in str(error):
            raise
        raise locked(path, f"held in this one (PID {os.getpid()})") from error
