"""Loaded and written partitions: the owner of queries and changes of `partition_loads` and `partitions_made`.

A partition is loaded as long as it has a row: inserted in the transaction that stores the partition, withdrawn when a
blocking check refuses it. The rows come from cleaning; what a check finds is in `findings.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import duckdb
import pandas as pd

from foundation.warehouse.layout import SourceTable, WarehouseLayout
from foundation.warehouse.rows import insert
from foundation.warehouse.standard_tables import PARTITIONS_MADE


class PartitionNotLoaded(RuntimeError):
    """A partition that later stages need is not loaded; the message names it and the remedy."""


def loaded_days(connection: duckdb.DuckDBPyConnection, layout: WarehouseLayout) -> set[date]:
    """The partitions of which every source table is loaded."""
    rows = connection.execute(
        "SELECT changed_on FROM partition_loads GROUP BY changed_on HAVING count(DISTINCT table_name) = ?",
        [len(layout.sources)],
    ).fetchall()
    return {row[0] for row in rows}


def stored_days(connection: duckdb.DuckDBPyConnection, source: SourceTable) -> list[date]:
    """The partitions of a table that were loaded or have rows, oldest first."""
    rows = connection.execute(
        f"""SELECT changed_on FROM partition_loads WHERE table_name = ?
            UNION SELECT changed_on FROM {source.name} UNION SELECT changed_on FROM {source.rejected.name}
            ORDER BY changed_on""",
        [source.name],
    ).fetchall()
    return [row[0] for row in rows]


def withdraw_loads(connection: duckdb.DuckDBPyConnection, table: str, days: Sequence[date]) -> None:
    """Have partitions of a table count as missing from now on, whatever rows they hold."""
    connection.execute(
        "DELETE FROM partition_loads WHERE table_name = ? AND changed_on IN (SELECT unnest(?::DATE[]))",
        [table, list(days)],
    )


def require_loaded(
    connection: duckdb.DuckDBPyConnection, layout: WarehouseLayout, days: Sequence[date]
) -> None:
    """Refuse to build on partitions that are not loaded.

    Raises:
        PartitionNotLoaded: If a source table of one of them is not loaded.
    """
    for day in days:
        rows = connection.execute(
            "SELECT table_name FROM partition_loads WHERE changed_on = ?", [day]
        ).fetchall()
        absent = [table for table in layout.sources if (table,) not in rows]
        if absent:
            *assets, last = [*(source.raw_asset for source in layout.sources.values()), *layout.sources]
            raise PartitionNotLoaded(
                f"Not loaded for {day}: {', '.join(absent)}. The partition was never read, or a blocking check "
                f"refused it. Load it first: `{layout.program.command} run --from {day} --to {day}`, or "
                f"materialize {', '.join(assets)} and {last} for it."
            )


def record_made(connection: duckdb.DuckDBPyConnection, table: str, rows_by_day: Mapping[date, int]) -> None:
    """Record partitions of a table as written, with their number of rows."""
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


def made_days(connection: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> set[date]:
    """The partitions that were written of each of some tables, with rows or without."""
    rows = connection.execute(
        """SELECT day FROM partitions_made WHERE table_name IN (SELECT unnest(?::VARCHAR[]))
           GROUP BY day HAVING count(DISTINCT table_name) = ?""",
        [list(tables), len(tables)],
    ).fetchall()
    return {row[0] for row in rows}
