"""Which days a nightly run has to make: the day that ended, and those that were missed, in one run.

A pure function from what was made and what was tried to one plan. What a run contains is in `jobs.py`, when
it is looked for in `schedules.py` and `sensors.py`; what is read here comes from the warehouse alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from moovitamix_assets.partitions import days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.schemas import SOURCE_TABLES


@dataclass(frozen=True)
class Made:
    """What the warehouse holds.

    Attributes:
        loaded: Days of which every source table was loaded.
        listed: Days of which there are recommendations.
    """

    loaded: frozenset[date]
    listed: frozenset[date]


@dataclass(frozen=True)
class Attempt:
    """A run that was to make the days from `first` to `last`, and has ended.

    Attributes:
        first: Its first day.
        last: Its last day.
        succeeded: Whether it made them.
        ended_at: When it ended, naive UTC of the machine's clock.
    """

    first: date
    last: date
    succeeded: bool
    ended_at: datetime


@dataclass(frozen=True)
class Night:
    """The days to be made, in one run.

    Attributes:
        first: The oldest.
        last: The newest.
        late_from: The oldest of the days before them to be read again for late records; None if there is none.
        attempt: Which try this is for that last day, from 1.
    """

    first: date
    last: date
    late_from: date | None
    attempt: int


@dataclass(frozen=True)
class NothingToRun:
    """Why no run is due, in one sentence."""

    reason: str


def read_made(settings: Settings) -> Made:
    """What the warehouse holds.

    Raises:
        WarehouseMissing: If nothing was ever loaded.
        WarehouseLocked: If a run is writing.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        loaded = connection.execute(
            "SELECT changed_on FROM partition_loads GROUP BY changed_on HAVING count(DISTINCT table_name) = ?",
            [len(SOURCE_TABLES)],
        ).fetchall()
        listed = connection.execute("SELECT DISTINCT generated_for FROM recommendations").fetchall()
    return Made(frozenset(row[0] for row in loaded), frozenset(row[0] for row in listed))


def plan_night(
    made: Made, last: date, attempts: Sequence[Attempt], machine_time: datetime, settings: Settings
) -> Night | NothingToRun:
    """Plan the run that makes the day `last` and every day missed before it, oldest first.

    Missed is a day after the first one ever loaded, no further back than `catch_up_days`. A run that fails is
    tried again whole, wherever it failed, each time after twice the wait, `catch_up_attempts` times for one and the
    same last day. The next day takes with it only what was not loaded: a day whose data stop every run must not
    stop the nights after it.

    Args:
        made: What there is.
        last: The newest day that is due.
        attempts: Runs that have ended, in any order.
        machine_time: Now by the machine's clock, naive UTC: waits are waited in real time, also in a replay.
        settings: The bounds.
    """
    if not made.loaded:
        return NothingToRun(
            "Nothing was loaded yet: `moovitamix run`, or a backfill of the job `ingest`, makes the first load."
        )
    oldest = max(min(made.loaded), last - timedelta(days=settings.catch_up_days - 1))
    missing = [day for day in days_between(oldest, last) if day not in made.loaded]
    of_last = [attempt for attempt in attempts if attempt.last == last]
    succeeded = any(attempt.succeeded for attempt in of_last)
    failed = [] if succeeded else of_last
    missing += [attempt.first for attempt in failed if attempt.first >= oldest]
    if last >= oldest and last not in made.listed and not succeeded:
        # A run that succeeded without a list had nobody, or nothing, to list.
        missing.append(last)
    if not missing:
        return NothingToRun(f"Everything is made up to {last}.")
    if len(failed) >= settings.catch_up_attempts:
        return NothingToRun(
            f"{len(failed)} runs for {last} failed: the next is for the day after, or one that a person starts."
        )
    if failed:
        wait = timedelta(minutes=settings.catch_up_wait_minutes * 2 ** (len(failed) - 1))
        again_at = max(attempt.ended_at for attempt in failed) + wait
        if machine_time < again_at:
            return NothingToRun(f"The run for {last} failed; it is tried again at {again_at:%H:%M:%S} UTC.")
    first = min(missing)
    late_from = max(first - timedelta(days=settings.lookback_days - 1), min(made.loaded))
    return Night(
        first=first,
        last=last,
        late_from=late_from if late_from < first else None,
        attempt=len(failed) + 1,
    )
