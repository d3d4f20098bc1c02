"""Which partitions are loaded and made: the owner of questions and changes to `partition_loads` and `partitions_made`.

A partition is loaded while its line is there: written in the transaction that stores it, withdrawn when a blocking
check refuses it. Lines are made in `cleaning.py`; what a check finds is in `findings.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import duckdb
import pandas as pd

from moovitamix_assets.warehouse.connection import insert
from moovitamix_assets.warehouse.schemas import PARTITIONS_MADE, SOURCE_TABLES

NIGHTLY_TABLES = ("recommendations", "recommendation_quality", "drift")
"""What a nightly run makes of what was loaded."""


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


def require_loaded(connection: duckdb.DuckDBPyConnection, days: Sequence[date]) -> None:
    """Refuse to build on partitions that are not loaded.

    Raises:
        PartitionNotLoaded: If a source table of one of them is not loaded.
    """
    for day in days:
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


def record_made(connection: duckdb.DuckDBPyConnection, table: str, rows_by_day: Mapping[date, int]) -> None:
    """Mark partitions of a table as written."""
    connection.execute(
        "DELETE FROM partitions_made WHERE table_name = ? AND day IN (SELECT unnest(?::DATE[]))",
        [table, list(rows_by_day)],
    )
    marks = pd.DataFrame(
        {
            "table_name": table,
            "day": pd.to_datetime(list(rows_by_day)),
            "row_count": list(rows_by_day.values()),
        }
    )
    insert(connection, PARTITIONS_MADE, marks)


def made_days(connection: duckdb.DuckDBPyConnection, tables: Sequence[str] = NIGHTLY_TABLES) -> set[date]:
    """The partitions that were written of every one of some tables, with rows or without."""
    rows = connection.execute(
        """SELECT day FROM partitions_made WHERE table_name IN (SELECT unnest(?::VARCHAR[]))
           GROUP BY day HAVING count(DISTINCT table_name) = ?""",
        [list(tables), len(tables)],
    ).fetchall()
    return {row[0] for row in rows}
