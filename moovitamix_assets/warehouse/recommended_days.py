"""The days for which recommendations are stored; what they contain is made in `recommendations/`."""

from datetime import date

import duckdb

from foundation.warehouse.rows import first_row


def newest_recommended_day(connection: duckdb.DuckDBPyConnection, until: date = date.max) -> date | None:
    """Return the newest day, up to `until`, for which recommendations are stored; None if there are none."""
    row = first_row(
        connection, "SELECT max(generated_for) FROM recommendations WHERE generated_for <= ?", [until]
    )
    return row[0] if row else None
