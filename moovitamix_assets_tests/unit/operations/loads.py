"""Lines of `partition_loads`: which days were loaded, with as few words as possible. No assertion belongs here."""

from collections.abc import Sequence
from datetime import date, datetime

import duckdb
import pandas as pd

from foundation.warehouse.rows import insert
from moovitamix_assets.warehouse.schemas import PARTITION_LOADS, SOURCE_TABLES

LOADED_AT = datetime(2026, 10, 1)


def add_loads(
    connection: duckdb.DuckDBPyConnection,
    *days: date,
    tables: Sequence[str] = tuple(SOURCE_TABLES),
    loaded_at: datetime = LOADED_AT,
    **counts: int,
) -> None:
    """Days of which each table was loaded, without a single record if not told otherwise."""
    nothing = dict.fromkeys(PARTITION_LOADS.columns, 0)
    lines = [
        nothing | counts | {"table_name": table, "changed_on": pd.Timestamp(day), "loaded_at": loaded_at}
        for day in days
        for table in tables
    ]
    insert(connection, PARTITION_LOADS, pd.DataFrame(lines))
