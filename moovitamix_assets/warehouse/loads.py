"""Which partitions are loaded: the one owner of questions and changes to `partition_loads`.

A partition is loaded while its line is there: written in the transaction that stores it, withdrawn when a blocking
check refuses it. Lines are made in `cleaning.py`; what a check finds is in `findings.py`.
"""

from collections.abc import Sequence
from datetime import date

import duckdb

from moovitamix_assets.warehouse.connection import first_row
from moovitamix_assets.warehouse.schemas import SOURCE_TABLES


class PartitionNotLoaded(RuntimeError):
    """A partition that later stages need and that is not loaded; the message names it and the remedy."""


def loaded_days(connection: duckdb.DuckDBPyConnection) -> set[date]:
    """The partitions of which every source table is loaded."""
    rows = connection.execute(
        "SELECT changed_on FROM partition_loads GROUP BY changed_on HAVING count(DISTINCT table_name) = ?",
        [len(SOURCE_TABLES)],
    ).fetchall()
    return {row[0] for row in rows}


def withdraw_loads(connection: duckdb.DuckDBPyConnection, table: str, days: Sequence[date]) -> None:
    """Let partitions of a table count as missing from now on, whatever rows they hold."""
    connection.execute(
        "DELETE FROM partition_loads WHERE table_name = ? AND changed_on IN (SELECT unnest(?::DATE[]))",
        [table, list(days)],
    )


def require_loaded(connection: duckdb.DuckDBPyConnection, first_partition: date, *days: date) -> None:
    """Refuse to build on partitions that are not loaded.

    Args:
        connection: The warehouse.
        first_partition: It holds the initial load, without which no day means anything.
        days: The partitions asked for.

    Raises:
        PartitionNotLoaded: If a source table of one of them is not loaded.
    """
    for day in sorted({first_partition, *days}):
        rows = connection.execute(
            "SELECT table_name FROM partition_loads WHERE changed_on = ?", [day]
        ).fetchall()
        absent = [table for table in SOURCE_TABLES if (table,) not in rows]
        if absent:
            raise PartitionNotLoaded(
                f"Not loaded for {day}: {', '.join(absent)}. The partition was never read, or a blocking check "
                f"refused it. Load it first: `moovitamix run --from {day} --to {day}`, or "
                "materialize raw_users, raw_tracks, raw_listens, users, tracks and listens for it."
            )


def newest_loaded_day(connection: duckdb.DuckDBPyConnection) -> date | None:
    """The newest partition of which any source table is loaded; None if none is."""
    row = first_row(connection, "SELECT max(changed_on) FROM partition_loads")
    return row[0] if row else None
