"""The findings on loaded partitions that hold for any source table: one function, one finding.

Plain SQL on an open connection. Turning findings into Dagster's check results belongs to the product; rows that do
not fit their table are refused before they are stored, in `io_manager.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import duckdb
import pandas as pd
import pandera.errors

from foundation.counting import counted
from foundation.landing.area import Landing
from foundation.landing.judged_files import judged_files
from foundation.landing.partitions import count_landed
from foundation.warehouse.layout import SourceTable

# The same weekday, four weeks back; half or double that is unusual.
_VOLUME_WEEKS = 4
_VOLUME_BOUNDS = (0.5, 2.0)
_VOLUME_DEVIATIONS = 4  # A first load compares hundreds of days: three are exceeded by chance.
_SHOWN_CASES = 20

_OF_DAYS = "changed_on IN (SELECT unnest(?::DATE[]))"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        passed: Whether nothing was found.
        description: One sentence for the user.
        severity: What a failure means; only an error stops downstream assets.
        figures: The counts, for the metadata.
        refused: The partitions with an error; they do not count as loaded.
    """

    passed: bool
    description: str
    severity: Literal["warn", "error"] = "error"
    figures: dict[str, Any] = field(default_factory=dict)
    refused: tuple[date, ...] = ()


def nothing_lost(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, days: Sequence[date], landing: Landing
) -> Finding:
    """Received = accepted + rejected + duplicates + superseded, counted where the records are stored.

    Received are the records of the landing files that the load judged; files landed since are a warning.
    """
    table, endpoint, keys = source.name, source.endpoint, ", ".join(source.record_key)
    counts = connection.execute(
        f"""
        WITH days AS (SELECT unnest(?::DATE[]) AS changed_on),
        stored AS (
            SELECT changed_on, count(*) AS row_count, count(DISTINCT ({keys})) AS accepted
            FROM {table} WHERE {_OF_DAYS} GROUP BY changed_on
        ),
        rejected AS (
            SELECT changed_on, count(*) AS rejected FROM {source.rejected.name} WHERE {_OF_DAYS} GROUP BY changed_on
        )
        SELECT days.changed_on,
            coalesce(stored.accepted, 0) AS accepted,
            coalesce(rejected.rejected, 0) AS rejected,
            coalesce(loads.duplicates, 0) AS duplicates,
            coalesce(loads.superseded, 0) AS superseded,
            coalesce(stored.row_count, 0) AS row_count,
            coalesce(loads.stored_rows, 0) AS rows_written,
            loads.loaded_at,
            loads.stored_rows IS NOT NULL AS has_row
        FROM days
        LEFT JOIN stored USING (changed_on)
        LEFT JOIN rejected USING (changed_on)
        LEFT JOIN partition_loads AS loads ON loads.changed_on = days.changed_on AND loads.table_name = ?
        ORDER BY days.changed_on
        """,
        [list(days), list(days), list(days), table],
    ).df()
    counts["received"] = [
        count_landed(landing, endpoint, day, judged_files(landing, endpoint, day, loaded_at))
        for day, loaded_at in zip(days_of(counts), counts["loaded_at"], strict=True)
    ]
    landed = sum(count_landed(landing, endpoint, day) for day in days_of(counts))
    since = landed - int(counts["received"].sum())
    accounted = counts["accepted"] + counts["rejected"] + counts["duplicates"] + counts["superseded"]
    wrong = counts[
        (counts["received"] != accounted)
        | (counts["row_count"] != counts["rows_written"])
        | ~counts["has_row"].astype(bool)
    ]
    figures = {
        name: int(counts[name].sum())
        for name in ("received", "accepted", "rejected", "duplicates", "superseded", "row_count")
    } | {"landed_since": since}
    if wrong.empty and since:
        return Finding(
            False,
            f"{since} records of {table} were landed since these {len(counts)} days were loaded. "
            f"Materialize {table} for them again.",
            severity="warn",
            figures=figures,
        )
    if wrong.empty:
        return Finding(
            True,
            f"All {figures['received']} records of {counted(len(counts), 'day')} are accounted for.",
            figures=figures,
        )
    first = wrong.iloc[0]
    unlisted = "" if first["has_row"] else ", no row in partition_loads"
    return Finding(
        False,
        f"{len(wrong)} days of {table} do not add up, the first {first['changed_on']:%Y-%m-%d}: "
        f"{first['received']} received, {first['accepted']} accepted + {first['rejected']} rejected + "
        f"{first['duplicates']} duplicates + {first['superseded']} superseded, {first['row_count']} rows of "
        f"{first['rows_written']} written{unlisted}. Materialize {table} for these days again.",
        figures=figures | {"days": [f"{day:%Y-%m-%d}" for day in wrong["changed_on"]][:_SHOWN_CASES]},
        refused=tuple(days_of(wrong)),
    )


def fits_schema(connection: duckdb.DuckDBPyConnection, source: SourceTable, days: Sequence[date]) -> Finding:
    """The stored rows fit the table's schema, and no key occurs twice in a partition."""
    table = source.name
    rows = connection.execute(f"SELECT * FROM {table} WHERE {_OF_DAYS}", [list(days)]).df()
    keys = ["changed_on", *source.row_key]
    repeated = int(rows.duplicated(keys).sum())
    try:
        source.schema.validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        return Finding(
            False,
            f"{len(cases)} values of {table} do not fit its schema; the first: {cases['check'].iloc[0]} "
            f"on {cases['column'].iloc[0]}.",
            figures={
                "failures_by_column": {str(k): int(v) for k, v in cases["column"].value_counts().items()}
            },
            refused=tuple(sorted(set(days_of(rows)))),
        )
    return Finding(
        repeated == 0,
        f"{len(rows)} rows fit the schema." if not repeated else f"{repeated} rows of {table} repeat a key.",
        figures={"rows": len(rows), "repeated_keys": repeated},
        refused=tuple(sorted(set(days_of(rows[rows.duplicated(keys)])))),
    )


def rejected_share(
    connection: duckdb.DuckDBPyConnection,
    source: SourceTable,
    days: Sequence[date],
    *,
    warn_share: float,
    error_share: float,
    error_minimum: int,
) -> Finding:
    """The share of each partition that was rejected, judged by the worst day."""
    loads = connection.execute(
        f"SELECT changed_on, received, rejected FROM partition_loads WHERE table_name = ? AND {_OF_DAYS}",
        [source.name, list(days)],
    ).df()
    return judge_rejected_share(
        source, loads, warn_share=warn_share, error_share=error_share, error_minimum=error_minimum
    )


def judge_rejected_share(
    source: SourceTable, loads: pd.DataFrame, *, warn_share: float, error_share: float, error_minimum: int
) -> Finding:
    """Judge partitions by the share of their records that was rejected.

    Args:
        source: The table, for the description.
        loads: changed_on, received, rejected; one row per partition.
        warn_share: From this share on a partition gets a warning.
        error_share: From this share on a partition is refused ...
        error_minimum: ... if at least so many records were rejected.
    """
    loads = loads[loads["received"] > 0]
    share = loads["rejected"] / loads["received"]
    too_many = (share >= error_share) & (loads["rejected"] >= error_minimum)
    noticeable = share >= warn_share
    figures = {
        "rejected": int(loads["rejected"].sum()),
        "worst_share": float(share.max()) if len(share) else 0.0,
        "days_over_warning": int(noticeable.sum()),
        "days_over_error": int(too_many.sum()),
    }
    return Finding(
        not (noticeable.any() or too_many.any()),
        f"{figures['rejected']} records of {source.name} were rejected, at worst {figures['worst_share']:.1%} of a "
        f"day. Read them with SELECT * FROM {source.rejected.name}.",
        severity="error" if too_many.any() else "warn",
        figures=figures,
        refused=tuple(days_of(loads[too_many])),
    )


def nulled_fields(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, days: Sequence[date]
) -> Finding:
    """The number of fields that became NULL because they were missing or unreadable, by column."""
    table = source.name
    nullable = [name for name, column in source.schema.columns.items() if column.nullable]
    counted = ", ".join(f"count(*) - count({name})" for name in nullable)
    row = connection.execute(f"SELECT {counted} FROM {table} WHERE {_OF_DAYS}", [list(days)]).fetchone() or ()
    nulls = {name: int(count) for name, count in zip(nullable, row, strict=True) if count}
    described = ", ".join(f"{name} {count}" for name, count in nulls.items())
    return Finding(
        not nulls, f"NULL in {table}: {described or 'nothing'}.", severity="warn", figures={"nulls": nulls}
    )


def updated_before_created(
    connection: duckdb.DuckDBPyConnection,
    source: SourceTable,
    days: Sequence[date],
    *,
    warn_share: float,
    minimum: int,
) -> Finding:
    """An unusual share of records whose update precedes their creation; the later of both times counts.

    Args:
        connection: An open warehouse.
        source: The table.
        days: The partitions whose records are judged together.
        warn_share: From this share on a warning is given ...
        minimum: ... if at least so many records are affected.
    """
    table = source.name
    row = connection.execute(
        f"SELECT count(*) FILTER (updated_at < created_at), count(*) FROM {table} WHERE {_OF_DAYS}",
        [list(days)],
    ).fetchone() or (0, 0)
    return Finding(
        not is_unusual(row[0], row[1], warn_share, minimum),
        f"{row[0]} of {row[1]} records of {table} were updated before they were created.",
        severity="warn",
        figures={"records": row[0], "of": row[1], "share": share_of(row[0], row[1])},
    )


def usual_volume(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, days: Sequence[date], first_partition: date
) -> Finding:
    """Each day's accepted records compared with the mean of the same weekday, four weeks back."""
    table = source.name
    loads = connection.execute(
        """SELECT changed_on, accepted FROM partition_loads WHERE table_name = ? AND changed_on > ?
           ORDER BY changed_on""",
        [table, first_partition],
    ).df()
    # The first partition holds the initial load, which is not the volume of a day.
    if loads.empty:
        figures = {"days_compared": 0, "days_unusual": 0}
        return Finding(True, f"{table} has no day after the first yet.", severity="warn", figures=figures)
    accepted = loads.set_index("changed_on")["accepted"].astype("float64")
    weekdays = pd.Index(accepted.index).dayofweek
    by_weekday = accepted.groupby(weekdays)
    usual = by_weekday.transform(lambda day: day.shift().rolling(_VOLUME_WEEKS, min_periods=2).mean())
    weeks = by_weekday.transform(lambda day: day.shift().rolling(_VOLUME_WEEKS, min_periods=2).count())
    ratio = (accepted / usual).dropna()
    ratio = ratio[ratio.index.isin(pd.to_datetime(list(days)))]
    # A small number halves by chance. The square root of a count, such as the weeks' sum, has a standard deviation of
    # one half (Anscombe 1948), so that the one of this difference is 1.
    apart = (
        2 * ((accepted + 3 / 8) ** 0.5 - ((weeks * usual + 3 / 8) / weeks) ** 0.5) / (1 + 1 / weeks) ** 0.5
    )
    surprising = apart.abs() > _VOLUME_DEVIATIONS
    unusual = ratio[((ratio < _VOLUME_BOUNDS[0]) | (ratio > _VOLUME_BOUNDS[1])) & surprising.loc[ratio.index]]
    described = ", ".join(f"{day:%Y-%m-%d} x{value:.2f}" for day, value in unusual.head(_SHOWN_CASES).items())
    return Finding(
        unusual.empty,
        f"Days of {table} far from their weekday's mean: {described or 'none'}.",
        severity="warn",
        figures={"days_compared": len(ratio), "days_unusual": len(unusual)},
    )


def share_of(affected: int, total: int) -> float:
    """A share of records, 0 where there are none."""
    return affected / total if total else 0.0


def is_unusual(affected: int, total: int, warn_share: float, minimum: int) -> bool:
    """Return whether a share deserves a warning: it is at least `warn_share`, and of at least `minimum` records."""
    return affected >= minimum and share_of(affected, total) >= warn_share


def days_of(counts: pd.DataFrame) -> list[date]:
    """The partition days of a query's result, in its order."""
    return [day.date() for day in pd.to_datetime(counts["changed_on"])]
