"""Freshness: was the day that ended materialized in time, and does the source still report new listens?

The partition of that day is checked, never the last materialization: a backfill of an old day must not make yesterday
look fresh. Pure functions; Dagster's checks are in `checks.py`, alerts in `automation/incidents.py`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import duckdb

from moovitamix_assets.clock import due_day
from moovitamix_assets.partitions import day_start
from moovitamix_assets.settings import Settings

if TYPE_CHECKING:
    from dagster import FreshnessPolicy

FRESHNESS_CHECK = "made_in_time"
"""The name of the check of each watched asset."""

NEWEST_LISTEN_CHECK = "newest_listen"

WATCHED = ("listens", "recommendations", "recommendation_quality")
"""The assets whose partition must be there every morning."""


@dataclass(frozen=True)
class Freshness:
    """The result of a check.

    Attributes:
        fresh: Whether all is well.
        expected: What must be there: a day, or a moment.
        newest: What is there; "none" if nothing.
        finding: One sentence.
    """

    fresh: bool
    expected: str
    newest: str
    finding: str


def expected_day(moment: datetime, settings: Settings) -> date:
    """The newest day that must have been materialized by a moment (naive UTC)."""
    return due_day(moment, settings.schedule, timedelta(hours=settings.operations.freshness_hours))


def made_in_time(made: Collection[str], expected: date, just_begun: bool = False) -> Freshness:
    """Judge an asset by its partitions; one that begins with a later day, as after a first load, missed nothing.

    Args:
        made: Keys of all partitions ever materialized.
        expected: The day that must be among them.
        just_begun: Whether the first load is so recent that its first partition may still be in progress.
    """
    newest = max(made, default="none")
    if not made and just_begun:
        return Freshness(True, f"{expected}", newest, "Nothing is there yet: the first load has just begun.")
    if made and min(made) > expected.isoformat():
        return Freshness(True, f"{expected}", newest, f"{min(made)} is there, the first of all.")
    if expected.isoformat() in made:
        return Freshness(True, f"{expected}", newest, f"{expected} is there.")
    finding = f"{expected} is missing; the newest day there: {newest}."
    return Freshness(False, f"{expected}", newest, finding)


def has_just_begun(connection: duckdb.DuckDBPyConnection, settings: Settings) -> bool:
    """Return whether the first load began less than `freshness_hours` ago by the machine's clock, as `loaded_at` is."""
    row = connection.execute("SELECT min(loaded_at) FROM partition_loads").fetchone()
    ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=settings.operations.freshness_hours)
    return bool(row and row[0] and row[0] > ago)


def newest_listen(connection: duckdb.DuckDBPyConnection, day: date, settings: Settings) -> Freshness:
    """Judge the source by its newest listen, as known as of a day; the last week is read."""
    row = connection.execute(
        "SELECT max(listened_at) FROM listens WHERE changed_on BETWEEN ?::DATE - 7 AND ?", [day, day]
    ).fetchone()
    at = row[0] if row else None
    allowed = day_start(day + timedelta(days=1)) - timedelta(hours=settings.operations.newest_listen_hours)
    newest = f"{at:%Y-%m-%d %H:%M}" if at else "none"
    finding = (
        f"The newest listen known as of {day} is of {newest}; {allowed:%Y-%m-%d %H:%M} or later is expected."
    )
    return Freshness(at is not None and at >= allowed, f"{allowed:%Y-%m-%d %H:%M}", newest, finding)


def freshness_policy(settings: Settings) -> "FreshnessPolicy":
    """Dagster's own policy for the watched assets, which colors them in the UI; it ignores partitions."""
    from dagster import FreshnessPolicy

    deadline = datetime.combine(date.min, time.fromisoformat(settings.schedule.nightly_at)) + timedelta(
        hours=settings.operations.freshness_hours
    )
    return FreshnessPolicy.cron(
        deadline_cron=f"{deadline.minute} {deadline.hour} * * *",
        lower_bound_delta=timedelta(hours=settings.operations.freshness_hours),
        timezone="UTC",
    )
