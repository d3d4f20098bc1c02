"""Opening the warehouse: read-only and briefly, or for one transaction; the connection is always closed.

Tables and views are made here from `schemas.py`. What is read or written does not belong here.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import pandera.pandas as pa

from moovitamix_assets.warehouse.schemas import TABLES, VIEWS, table_ddl, to_arrow

# The pool that every step which opens the warehouse runs in: two processes never hold the file.
WAREHOUSE_POOL = "warehouse"

# A reader holds the file for moments; whoever holds it longer is another writer, and waiting hides that.
_LOCK_WAIT_SECONDS = 10.0
_LOCK_RETRY_SECONDS = 0.1


class WarehouseLocked(RuntimeError):
    """Another process holds the warehouse; the message names it."""


class WarehouseMissing(FileNotFoundError):
    """The warehouse has not been made yet; the message names the remedy."""


@contextmanager
def read_warehouse(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection, closed on leaving.

    Raises:
        WarehouseMissing: If there is no file at `path`.
        WarehouseLocked: If another process is still writing after ten seconds.
    """
    if not path.exists():
        raise WarehouseMissing(
            f"There is no warehouse at {path}. Run `moovitamix run`, or materialize users, tracks and listens."
        )
    connection = _connect_waiting(path, read_only=True)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def write_warehouse(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection inside one transaction: committed on leaving, rolled back on any error, always closed.

    The file, its tables and views are made if absent.

    Raises:
        WarehouseLocked: If another process still holds the file after ten seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect_waiting(path, read_only=False)
    try:
        connection.execute("BEGIN")
        try:
            _ensure_tables(connection)
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    finally:
        connection.close()


def insert(connection: duckdb.DuckDBPyConnection, schema: pa.DataFrameSchema, frame: pd.DataFrame) -> int:
    """Insert rows by column name, validated against the table's schema.

    Returns:
        The number of rows inserted.

    Raises:
        pandera.errors.SchemaErrors: If the frame does not fit the table; nothing is inserted.
    """
    rows = to_arrow(schema, frame)
    connection.register("inserted_rows", rows)
    connection.execute(f'INSERT INTO "{schema.name}" BY NAME SELECT * FROM inserted_rows')
    connection.unregister("inserted_rows")
    return int(rows.num_rows)


def _ensure_tables(connection: duckdb.DuckDBPyConnection) -> None:
    for schema in TABLES.values():
        connection.execute(table_ddl(schema))
    for name, query in VIEWS.items():
        connection.execute(f"CREATE VIEW IF NOT EXISTS {name} AS {query}")


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
        if "lock" not in str(error).lower():
            raise
        raise WarehouseLocked(_lock_message(path, str(error))) from error


def _lock_message(path: Path, error: str) -> str:
    holder = re.search(r"held in (.+?) \(PID (\d+)\)", error)
    who = f"process {holder[2]} ({holder[1]})" if holder else "another process"
    return (
        f"The warehouse {path} is held by {who}. Wait until it has finished, or end it; "
        "a program of your own should open the file read-only and briefly."
    )
