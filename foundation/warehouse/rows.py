"""Single steps on an open connection: reading a first row, inserting validated rows."""

from collections.abc import Sequence
from typing import Any

import duckdb
import pandas as pd
import pandera.pandas as pa

from foundation.tables import to_arrow


def first_row(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()
) -> tuple[Any, ...] | None:
    """The first row of a query, or None.

    The result is read to its end: DuckDB refuses further writes over a connection while one is open.
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
