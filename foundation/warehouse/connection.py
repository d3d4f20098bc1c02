"""Opening a warehouse: read-only and briefly, or for one transaction; the connection is always closed.

Tables and views are created here from the layout. Reading and writing rows does not belong here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from foundation.landing.files import end_first_load, was_loaded_from
from foundation.warehouse.errors import WarehouseLost, WarehouseMissing, lost, missing
from foundation.warehouse.layout import WarehouseLayout
from foundation.warehouse.ledger import append_news, is_written
from foundation.warehouse.opening import connected, damage_named
from foundation.warehouse.rows import first_row
from foundation.warehouse.table_creation import (
    columns_of,
    complete_temporarily,
    create_tables,
    ensure_tables,
    file_state,
    is_complete,
    remember_complete,
)


@contextmanager
def read_warehouse(path: Path, layout: WarehouseLayout) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection, closed on leaving.

    A table that the file does not have yet, because an older version of the project created it, is empty until the
    next write, and a nullable column is NULL.

    Raises:
        WarehouseMissing: If there is no file at `path`, or no table in it since no write ever succeeded.
        WarehouseLost: If there was one, as landing or the ledger show.
        WarehouseDamaged: If it cannot be read, on opening or later.
        WarehouseLocked: If another process is still writing after ten seconds.
    """
    if not path.exists():
        raise _absent(path, layout)
    state = file_state(path)
    known = is_complete(path, layout, for_writing=False)
    with damage_named(path, layout), connected(path, read_only=True) as connection:
        if not known:
            found = columns_of(connection)
            if not found:
                raise _absent(path, layout)
            if not complete_temporarily(connection, layout, found):
                remember_complete(path, layout, state, for_writing=False)
        yield connection


@contextmanager
def write_warehouse(path: Path, layout: WarehouseLayout) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection inside one transaction: committed on leaving, rolled back on any error, always closed.

    The file, its tables and views are created if absent; a column that an older version of the project did not have
    is added. After the commit the ledger next to the file gets what it does not hold yet; should that fail, the next
    write makes up for it.

    Raises:
        WarehouseLost: If the file or all tables in it are gone, as landing or the ledger show.
        WarehouseDamaged: If it cannot be read, on opening or later.
        WarehouseLocked: If another process still holds the file after ten seconds.
        WarehouseOutdated: If a table differs from its schema in any other way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    if is_new and _was_created(path, layout):
        raise lost(path, layout)
    known = is_complete(path, layout, for_writing=True)
    with damage_named(path, layout), connected(path, read_only=False) as connection:
        if (
            not (is_new or known)
            and _was_created(path, layout)
            and first_row(connection, "SELECT 1 FROM duckdb_tables() LIMIT 1") is None
        ):
            raise lost(path, layout)
        connection.execute("BEGIN")
        try:
            if is_new:
                create_tables(connection, layout)
            elif not known:
                ensure_tables(connection, path, layout)
            yield connection
        except BaseException:
            with suppress(duckdb.Error):  # the error at hand says more; closing rolls back as well
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        append_news(connection, ledger_of(path), layout)
        end_first_load(_landing_of(path))
    for for_writing in (True, False):
        remember_complete(path, layout, file_state(path), for_writing)


def refuse_held(path: Path, layout: WarehouseLayout) -> None:
    """Find before a run starts that its first write would fail: each of its steps would wait by itself.

    Raises:
        WarehouseLocked: If another process still holds the file after ten seconds, be it only for reading.
        WarehouseDamaged: If it cannot be read.
    """
    if path.exists():
        with damage_named(path, layout), connected(path, read_only=False):
            pass


def scan_warehouse(
    path: Path, layout: WarehouseLayout, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> int:
    """Read every value of every table, so that DuckDB verifies the checksum of every block in use.

    Returns:
        The number of rows.

    Raises:
        WarehouseDamaged: If a block is not what was written.
        WarehouseMissing, WarehouseLost or WarehouseLocked: If it cannot be opened.
    """
    with read_warehouse(path, layout) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        rows = 0
        for done, (table,) in enumerate(tables, start=1):
            counted = first_row(
                connection, f'SELECT count(*), bit_xor(hash(all_of)) FROM "{table}" AS all_of'
            )
            rows += counted[0] if counted else 0
            on_progress(done, len(tables))
        return rows


def ledger_of(path: Path) -> Path:
    """The folder of a warehouse's ledger."""
    return path.parent / "ledger"


def _landing_of(path: Path) -> Path:
    return path.parent / "landing"


def _absent(path: Path, layout: WarehouseLayout) -> WarehouseMissing | WarehouseLost:
    return lost(path, layout) if _was_created(path, layout) else missing(path, layout)


def _was_created(path: Path, layout: WarehouseLayout) -> bool:
    return is_written(ledger_of(path), layout) or was_loaded_from(_landing_of(path))
