"""Opening the warehouse: read-only and briefly, or for one transaction; the connection is always closed.

Tables and views are made here from `schemas.py`. What is read or written does not belong here.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pandera.pandas as pa

from foundation.durable import Damaged, is_disk_full
from foundation.errors import Explained
from foundation.landing.files import end_first_load, was_loaded_from
from foundation.tables import sql_type, table_ddl, to_arrow
from moovitamix_assets.warehouse.ledger import append_news, is_written
from moovitamix_assets.warehouse.schemas import FILLED_WHEN_ADDED, TABLES, VIEWS

# The pool that every step which opens the warehouse runs in: two processes never hold the file.
WAREHOUSE_POOL = "warehouse"

# What DuckDB raises where a file is not what it wrote; a wrong checksum is a plain duckdb.Error in some places.
_SIGNS_OF_DAMAGE = (
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
)

# A reader holds the file for moments; whoever holds it longer is another writer, and waiting hides that.
_LOCK_WAIT_SECONDS = 10.0
_LOCK_RETRY_SECONDS = 0.1


class WarehouseLocked(Explained):
    """Another process, or another connection of this one, holds the warehouse; the message names it."""


class WarehouseMissing(Explained, FileNotFoundError):
    """The warehouse has not been made yet; the message names the remedy."""


class WarehouseLost(Damaged):
    """The warehouse was made and is gone; the message names what is lost with it and the remedy."""


class WarehouseDamaged(Damaged):
    """The warehouse cannot be read; the message names the file, what was found and the remedy."""


class WarehouseOutdated(RuntimeError):
    """A table of the warehouse has other columns than its schema says; the message names them and the remedy."""


@contextmanager
def read_warehouse(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection, closed on leaving.

    A table that the file does not have yet, because an older version of the project made it, is empty until the
    next write, and a nullable column is NULL.

    Raises:
        WarehouseMissing: If there is no file at `path`, or no table in it since no write ever ended well.
        WarehouseLost: If there was one, as landing or the ledger show.
        WarehouseDamaged: If it cannot be read, be it on opening or later.
        WarehouseLocked: If another process is still writing after ten seconds.
    """
    if not path.exists():
        raise _absent(path)
    with _damage_named(path), _connected(path, read_only=True) as connection:
        found = _columns(connection)
        if not found:
            raise _absent(path)
        _complete_in_passing(connection, found)
        yield connection


@contextmanager
def write_warehouse(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection inside one transaction: committed on leaving, rolled back on any error, always closed.

    The file, its tables and views are made if absent; a column that an older version of the project did not
    have is added. After the commit the ledger beside the file gets what it has not yet; should that fail, the
    next write makes up for it.

    Raises:
        WarehouseLost: If the file or all tables in it are gone, as landing or the ledger show.
        WarehouseDamaged: If it cannot be read, be it on opening or later.
        WarehouseLocked: If another process still holds the file after ten seconds.
        WarehouseOutdated: If a table there differs from its schema in any other way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() and _was_made(path):
        raise _lost(path)
    with _damage_named(path), _connected(path, read_only=False) as connection:
        if _was_made(path) and first_row(connection, "SELECT 1 FROM duckdb_tables() LIMIT 1") is None:
            raise _lost(path)
        connection.execute("BEGIN")
        try:
            _ensure_tables(connection, path)
            yield connection
        except BaseException:
            with suppress(duckdb.Error):  # the error at hand says more; closing rolls back as well
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        append_news(connection, ledger_beside(path))
        end_first_load(path.parent / "landing")


def ledger_beside(path: Path) -> Path:
    """The folder of the ledger of a warehouse."""
    return path.parent / "ledger"


def scan_warehouse(path: Path, on_progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Read every value of every table, so that DuckDB compares every block in use with its checksum.

    Returns:
        The number of rows.

    Raises:
        WarehouseDamaged: If a block is not what was written.
        WarehouseMissing, WarehouseLost or WarehouseLocked: If it cannot be opened.
    """
    with read_warehouse(path) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        rows = 0
        for done, (table,) in enumerate(tables, start=1):
            counted = first_row(
                connection, f'SELECT count(*), bit_xor(hash(all_of)) FROM "{table}" AS all_of'
            )
            rows += counted[0] if counted else 0
            on_progress(done, len(tables))
        return rows


def first_row(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()
) -> tuple[Any, ...] | None:
    """The first row of a query, or None.

    The result is read to its end: DuckDB lets nothing else be written over a connection while one is open.
    """
    rows = connection.execute(query, list(values)).fetchall()
    return rows[0] if rows else None


def insert(connection: duckdb.DuckDBPyConnection, schema: pa.DataFrameSchema, frame: pd.DataFrame) -> int:
    """Insert rows by column name, validated against the table's schema.

    Returns:
        The number of rows inserted.

    Raises:
        pandera.errors.SchemaErrors: If the frame does not fit the table; nothing is inserted.
    """
    # DuckDB finds the variable by its name; registering it is refused as long as a result is not read to its end.
    inserted_rows = to_arrow(schema, frame)
    connection.execute(f'INSERT INTO "{schema.name}" BY NAME SELECT * FROM inserted_rows')
    return int(inserted_rows.num_rows)


def _ensure_tables(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    for schema in TABLES.values():
        connection.execute(table_ddl(schema))
    found = _columns(connection)
    for table, schema in TABLES.items():
        added = _addable(schema, found[table])
        _require_schema(path, schema, found[table] | added)
        for column, kind in added.items():
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{column}" {kind}')
            connection.execute(FILLED_WHEN_ADDED[table, column])
    for name, query in VIEWS.items():
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")


def _complete_in_passing(connection: duckdb.DuckDBPyConnection, found: dict[str, dict[str, str]]) -> None:
    """Make what a file of an older version lacks, for this connection alone."""
    for table, schema in TABLES.items():
        if table not in found:
            connection.execute(table_ddl(schema).replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        elif added := _addable(schema, found[table]):
            nulls = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in added.items())
            (database,) = first_row(connection, "SELECT current_database()") or ()
            connection.execute(
                f'CREATE TEMP VIEW "{table}" AS SELECT *, {nulls} FROM "{database}".main."{table}"'
            )


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """The type of each column of each table."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        """SELECT table_name, column_name, data_type FROM duckdb_columns() SEMI JOIN duckdb_tables() USING (table_name)
           WHERE NOT internal"""
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _addable(schema: pa.DataFrameSchema, found: dict[str, str]) -> dict[str, str]:
    """The columns that a table lacks because an older version of the project made it, with their types.

    Any other column that is not there was lost, and must not come back as NULL.
    """
    return {
        name: sql_type(column)
        for name, column in schema.columns.items()
        if (schema.name, name) in FILLED_WHEN_ADDED and name not in found
    }


def _require_schema(path: Path, schema: pa.DataFrameSchema, columns: dict[str, str]) -> None:
    expected = {f"{name} {sql_type(column)}" for name, column in schema.columns.items()}
    found = {f"{name} {kind}" for name, kind in columns.items()}
    if found != expected:
        raise WarehouseOutdated(_outdated_message(path, str(schema.name), expected, found))


def _outdated_message(path: Path, table: str, expected: set[str], found: set[str]) -> str:
    lacking, beyond = (
        ", ".join(sorted(columns)) or "nothing" for columns in (expected - found, found - expected)
    )
    return (
        f"The table {table} of {path} is not what its schema says: it lacks {lacking}, and has {beyond} beyond it. "
        "Another version of the project made it. Alter the table, or move the file away and materialize users, "
        "tracks and listens again: landing holds every record; decisions and measures are in the old file only."
    )


def _missing(path: Path) -> WarehouseMissing:
    return WarehouseMissing(
        f"There is no warehouse at {path}. Run `moovitamix run`, or materialize users, tracks and listens."
    )


def _absent(path: Path) -> WarehouseMissing | WarehouseLost:
    return _lost(path) if _was_made(path) else _missing(path)


def _was_made(path: Path) -> bool:
    return is_written(ledger_beside(path)) or was_loaded_from(path.parent / "landing")


def _lost(path: Path) -> WarehouseLost:
    return WarehouseLost(
        f"The warehouse {path} is gone, though {path.parent} holds what was made with it. Lost are its tables; "
        "landing has every record, and the ledger every decision and measure. `moovitamix rebuild` makes it whole."
    )


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Name what DuckDB says of a file that it cannot read, and the remedy."""
    try:
        yield
    except duckdb.Error as error:
        is_sign = isinstance(error, _SIGNS_OF_DAMAGE) or "corrupt" in str(error).lower()
        if not is_sign or is_disk_full(error) or not (path.is_file() and os.access(path, os.R_OK)):
            raise
        found = (str(error).splitlines() or [""])[0].rstrip(".")
        raise WarehouseDamaged(
            f"The warehouse {path} cannot be read ({found}). Landing has every record, and the ledger every decision "
            "and measure: `moovitamix rebuild` sets the file aside and makes it whole; only recommendations are lost "
            "until the next run."
        ) from error


@contextmanager
def _connected(path: Path, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = _connect_waiting(path, read_only)
    try:
        yield connection
    finally:
        connection.close()


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
        raise WarehouseLocked(_lock_message(path, str(error))) from error
    except duckdb.ConnectionException as error:
        # Reading and writing connections of one process exclude each other too.
        if "different configuration" not in str(error):
            raise
        raise WarehouseLocked(_lock_message(path, f"held in this one (PID {os.getpid()})")) from error


def _lock_message(path: Path, error: str) -> str:
    holder = re.search(r"held in (.+?) \(PID (\d+)\)", error)
    who = f"process {holder[2]} ({holder[1]})" if holder else "another process"
    return (
        f"The warehouse {path} is held by {who}. Wait until it has finished, or end it; "
        "a program of your own should open the file read-only and briefly."
    )
