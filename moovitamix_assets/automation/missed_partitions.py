"""The partitions that a nightly run materializes: the day that ended, and those that were missed, in one run.

A pure function from what is stored and what was attempted to one plan; only `read_stored_days` reads, from the
warehouse. What a run contains is in `jobs.py`; schedule and sensors ask for the plan through `nightly_runs.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from moovitamix_assets.partitions import days_between
from moovitamix_assets.setting_groups import ScheduleSettings
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.loads import loaded_days, made_days


@dataclass(frozen=True)
class StoredDays:
    """The days that the warehouse holds.

    Attributes:
        loaded: Days of which every source table is loaded.
        complete: Days of which everything that a nightly run computes is there.
    """

    loaded: frozenset[date]
    complete: frozenset[date]


@dataclass(frozen=True)
class Attempt:
    """A run for the days from `first` to `last` that has ended.

    Attributes:
        first: Its first day.
        last: Its last day.
        succeeded: Whether it succeeded.
        ended_at: When it ended, naive UTC by the machine's clock.
        died: Whether its process was ended from outside, which says nothing about its days.
    """

    first: date
    last: date
    succeeded: bool
    ended_at: datetime
    died: bool = False


@dataclass(frozen=True)
class NightlyRun:
    """One run of the nightly job.

    Attributes:
        read_from: The oldest day that is read, for records that arrived late.
        first: The oldest day that is materialized completely; the days before it are only loaded again.
        last: The newest day.
        attempt: The number of this attempt for that last day, from 1.
    """

    read_from: date
    first: date
    last: date
    attempt: int


@dataclass(frozen=True)
class NothingToRun:
    """Why no run is due, in one sentence."""

    reason: str


def read_stored_days(warehouse_path: Path) -> StoredDays:
    """Read which days the warehouse holds.

    Raises:
        WarehouseMissing: If nothing was ever loaded.
        WarehouseLocked: If a run is writing.
    """
    with read_warehouse(warehouse_path) as connection:
        return StoredDays(frozenset(loaded_days(connection)), frozenset(made_days(connection)))


def plan_nightly_run(
    stored: StoredDays,
    last: date,
    attempts: Sequence[Attempt],
    machine_time: datetime,
    schedule: ScheduleSettings,
) -> NightlyRun | NothingToRun:
    """Plan the run for the day `last` and every day missed before it, in one run.

    A day counts as missed if it comes after the first one ever loaded, no further back than `catch_up_days`. A run that
    fails is repeated whole, wherever it failed, each time after twice the wait, at most `catch_up_attempts` times for
    the same last day; after one that died there is no wait. The last of several attempts takes that day alone, if one
    failed: an older day whose data stop every run must not hold up the days after it. It stays missed, and the first
    run for the next day tries it again.

    Args:
        stored: The days that the warehouse holds.
        last: The newest day that is due.
        attempts: Runs that have ended, in any order.
        machine_time: Now by the machine's clock, naive UTC: waits pass in real time, also in a replay.
        schedule: The bounds.
    """
    if not stored.loaded:
        return NothingToRun(
            "Nothing was loaded yet: `moovitamix run`, or a backfill of the job `ingest`, does the first load."
        )
    oldest = max(min(stored.loaded), last - timedelta(days=schedule.catch_up_days - 1))
    missing = [day for day in days_between(oldest, last) if day not in stored.loaded]
    of_last = [attempt for attempt in attempts if attempt.last == last]
    failed = [attempt for attempt in of_last if not attempt.succeeded]
    succeeded = len(failed) < len(of_last)
    if succeeded and failed and missing:
        # The last attempt took the last day alone.
        return NothingToRun(
            f"{_span(missing)} could not be loaded; the run for the day after {last} tries again."
        )
    if succeeded:
        failed = []
    missing += [attempt.first for attempt in failed if attempt.first >= oldest]
    if last >= oldest and last not in stored.complete and not succeeded:
        missing.append(last)
    if not missing:
        return NothingToRun(f"Everything is up to date to {last}.")
    obstacle = _obstacle(last, failed, machine_time, schedule)
    if obstacle:
        return NothingToRun(obstacle)
    attempt, resting = len(of_last) + 1, any(not past.died for past in failed)
    if resting and len(failed) + 1 == schedule.catch_up_attempts:
        return NightlyRun(read_from=last, first=last, last=last, attempt=attempt)
    first = min(missing)
    read_from = max(first - timedelta(days=schedule.lookback_days - 1), min(stored.loaded))
    return NightlyRun(read_from=min(read_from, first), first=first, last=last, attempt=attempt)


def _obstacle(
    last: date, failed: Sequence[Attempt], machine_time: datetime, schedule: ScheduleSettings
) -> str | None:
    """Why the run for a day must not be repeated (yet); None if it may."""
    if len(failed) >= schedule.catch_up_attempts:
        return (
            f"{len(failed)} runs for {last} failed: the next is for the day after, or one that a user starts."
        )
    ends = [attempt.ended_at for attempt in failed if not attempt.died]
    if not ends:
        return None
    again_at = max(ends) + timedelta(minutes=schedule.catch_up_wait_minutes * 2 ** (len(ends) - 1))
    return (
        f"The run for {last} failed; it is repeated at {again_at:%H:%M:%S} UTC."
        if machine_time < again_at
        else None
    )


def _span(days: Sequence[date]) -> str:
    shown = sorted(set(days))
    return f"{shown[0]}" if len(shown) == 1 else f"{shown[0]} to {shown[-1]} ({len(shown)} days)"
