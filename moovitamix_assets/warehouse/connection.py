"""This product's warehouse, opened: the foundation's connections, bound to the layout.

Reading and writing rows does not belong here.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb

from foundation.warehouse import connection, copying
from moovitamix_assets.warehouse.layout import LAYOUT

# The pool of every step that opens the warehouse: two processes never hold the file.
WAREHOUSE_POOL = "warehouse"


def read_warehouse(path: Path) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """A read-only connection, closed on leaving; errors as in `foundation.warehouse.connection`."""
    return connection.read_warehouse(path, LAYOUT)


def write_warehouse(path: Path) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """A connection inside one transaction, closed on leaving; errors as in `foundation.warehouse.connection`."""
    return connection.write_warehouse(path, LAYOUT)


def refuse_held(path: Path) -> None:
    """Find that another process holds the file, before a run starts; errors as in `foundation.warehouse.connection`."""
    connection.refuse_held(path, LAYOUT)


def scan_warehouse(path: Path, on_progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Read every value of every table and return the number of rows; errors as in the foundation."""
    return connection.scan_warehouse(path, LAYOUT, on_progress)


def refresh_copy(path: Path) -> bool:
    """Copy the warehouse for readers unless its copy is current; return whether it was copied.

    Raises:
        CopyNotWritten: As in `foundation.warehouse.copying`.
    """
    if copying.copy_is_current(path):
        return False
    copying.copy_warehouse(path, LAYOUT)
    return True
