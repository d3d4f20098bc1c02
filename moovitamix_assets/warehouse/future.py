"""Future days: partitions that have not ended, written under a clock that was ahead.

Finding them in tables, and deleting them there. Landing and Dagster's records are handled by the command
(`cli/recovery/`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import duckdb

from foundation.errors import Explained
from moovitamix_assets.clock import last_ended_day
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.schemas import TABLES

# Which column of a table holds the partition: the first of these that it has.
_DAY_COLUMNS = ("changed_on", "generated_for", "day", "as_of")
_DAY_OF = {
    table: next(column for column in _DAY_COLUMNS if column in schema.columns)
    for table, schema in TABLES.items()
    if any(column in schema.columns for column in _DAY_COLUMNS)
}
# Future days in any other table come with future days in these.
_CHECKED = (
    "partition_loads", "recommendations", "shadow_recommendations", "recommendation_quality", "drift", "promotions",
    "partitions_made",
)  # fmt: skip
# Loaded before the day's end, or later than it is now.
_MISREAD = "changed_on <= ? AND (loaded_at < changed_on + INTERVAL 1 DAY OR loaded_at > ?)"


class DaysOfTheFuture(Explained):
    """The warehouse holds days that have not ended; the message names them and the remedy."""


@dataclass(frozen=True)
class FutureDays:
    """The future days found; false if there are none.

    Attributes:
        moment: The time of the search, naive UTC of the clock that the deployment follows.
        by_table: The first and the last day after the newest one that has ended, and their number, by table.
        misread: Days up to that one that were loaded before their end, or by a clock ahead of the present.
    """

    moment: datetime
    by_table: Mapping[str, tuple[date, date, int]]
    misread: tuple[date, ...]

    def __bool__(self) -> bool:
        """Return whether anything was found."""
        return bool(self.by_table or self.misread)

    @property
    def first(self) -> date:
        """The oldest day found."""
        return min([*self.misread, *(first for first, _, _ in self.by_table.values())])

    @property
    def finding(self) -> str:
        """The days, by table."""
        found = [f"{table} {_range(*days)}" for table, days in self.by_table.items()]
        if self.misread:
            found.append(
                f"partition_loads {_range(self.misread[0], self.misread[-1], len(self.misread))}, "
                "loaded before the end of the day or by a clock ahead of the present"
            )
        return (
            f"Days that have not ended by {self.moment:%Y-%m-%d %H:%M} UTC are recorded as written: "
            f"{'; '.join(found)}."
        )

    @property
    def remedy(self) -> str:
        """The command that fixes it."""
        return (
            "They were written under a clock that was ahead. "
            f"`moovitamix forget --after {last_ended_day(self.moment)}` removes them, and `moovitamix run` then reads "
            "each day after its end; if the current clock is the wrong one, set it instead."
        )


def find_future_days(settings: Settings, moment: datetime) -> FutureDays:
    """Find days after the newest one that has ended, and days that were loaded under a wrong clock.

    Args:
        settings: Where the warehouse is, and how far clocks may differ.
        moment: Now by the clock that the deployment follows, naive UTC.

    Raises:
        WarehouseMissing: If nothing was ever loaded.
        WarehouseLocked: If a run is writing.
    """
    last = last_ended_day(moment)
    with read_warehouse(settings.warehouse_path) as connection:
        by_table = {}
        for table in _CHECKED:
            column = _DAY_OF[table]
            [(first, newest, number)] = connection.execute(
                f"SELECT min({column}), max({column}), count(DISTINCT {column}) FROM {table} WHERE {column} > ?",
                [last],
            ).fetchall()
            if number:
                by_table[table] = (first, newest, number)
        misread = connection.execute(
            f"SELECT DISTINCT changed_on FROM partition_loads WHERE {_MISREAD} ORDER BY changed_on",
            [last, _present(settings)],
        ).fetchall()
    return FutureDays(moment, by_table, tuple(row[0] for row in misread))


def forget_days_after(
    connection: duckdb.DuckDBPyConnection, settings: Settings, last: date
) -> tuple[dict[str, int], list[date]]:
    """Delete every row of the days after `last`, and the loads of days up to it under a wrong clock.

    Args:
        connection: The warehouse, inside a transaction.
        settings: How far clocks may differ.
        last: The newest day to keep.

    Returns:
        The number of rows deleted, by table, and the days that no longer count as loaded, oldest first.
    """
    misread = [last, _present(settings)]
    days = connection.execute(
        f"SELECT DISTINCT changed_on FROM partition_loads WHERE changed_on > ? OR {_MISREAD} ORDER BY changed_on",
        [last, *misread],
    ).fetchall()
    removed = {
        table: _deleted(connection, f"DELETE FROM {table} WHERE {column} > ?", [last])
        for table, column in _DAY_OF.items()
    }
    removed["partition_loads"] += _deleted(
        connection, f"DELETE FROM partition_loads WHERE {_MISREAD}", misread
    )
    return {table: rows for table, rows in removed.items() if rows}, [row[0] for row in days]


def _deleted(connection: duckdb.DuckDBPyConnection, statement: str, values: Sequence[object]) -> int:
    [(rows,)] = connection.execute(statement, list(values)).fetchall()
    return int(rows)


def _present(settings: Settings) -> datetime:
    """The latest possible time of a load: `loaded_at` is the machine's clock, also in a replay."""
    return datetime.now(UTC).replace(tzinfo=None) + timedelta(
        minutes=settings.plausibility.clock_tolerance_minutes
    )


def _range(first: date, last: date, number: int) -> str:
    return f"{first}" if number == 1 else f"{first} to {last} ({number} days)"
