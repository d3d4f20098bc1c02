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
from moovitamix_assets.warehouse.loads import loaded_days, made_days


@dataclass(frozen=True)
class Made:
    """What the warehouse holds.

    Attributes:
        loaded: Days of which every source table is loaded.
        made: Days of which everything that a nightly run makes of them is there.
    """

    loaded: frozenset[date]
    made: frozenset[date]


@dataclass(frozen=True)
class Attempt:
    """A run that was to make the days from `first` to `last`, and has ended.

    Attributes:
        first: Its first day.
        last: Its last day.
        succeeded: Whether it made them.
        ended_at: When it ended, naive UTC of the machine's clock.
        died: Whether its process was ended from outside, so that nothing is known to be wrong with its days.
    """

    first: date
    last: date
    succeeded: bool
    ended_at: datetime
    died: bool = False


@dataclass(frozen=True)
class Night:
    """One run of the nightly job.

    Attributes:
        read_from: The oldest day that is read, so that records which turned up late are loaded.
        first: The oldest day that is made; the days before it are loaded again only.
        last: The newest day.
        attempt: Which try this is for that last day, from 1.
    """

    read_from: date
    first: date
    last: date
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
        return Made(frozenset(loaded_days(connection)), frozenset(made_days(connection)))


def plan_night(
    made: Made, last: date, attempts: Sequence[Attempt], machine_time: datetime, settings: Settings
) -> Night | NothingToRun:
    """Plan the run that makes the day `last` and every day missed before it, in one run.

    Missed is a day after the first one ever loaded, no further back than `catch_up_days`. A run that fails is
    tried again whole, wherever it failed, each time after twice the wait, `catch_up_attempts` times for one and the
    same last day; after one that died there is no wait. The last of several tries takes that day alone, if one failed:
    an older day whose data stop every run must not stop the days after it. It stays missed, and the first run for the
    next day tries it again.

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
    oldest = max(min(made.loaded), last - timedelta(days=settings.schedule.catch_up_days - 1))
    missing = [day for day in days_between(oldest, last) if day not in made.loaded]
    of_last = [attempt for attempt in attempts if attempt.last == last]
    failed = [attempt for attempt in of_last if not attempt.succeeded]
    succeeded = len(failed) < len(of_last)
    if succeeded and failed and missing:
        # The last try took the last day alone.
        return NothingToRun(
            f"{_listed(missing)} could not be loaded; the run for the day after {last} tries again."
        )
    if succeeded:
        failed = []
    missing += [attempt.first for attempt in failed if attempt.first >= oldest]
    if last >= oldest and last not in made.made and not succeeded:
        missing.append(last)
    if not missing:
        return NothingToRun(f"Everything is made up to {last}.")
    if len(failed) >= settings.schedule.catch_up_attempts:
        return NothingToRun(
            f"{len(failed)} runs for {last} failed: the next is for the day after, or one that a user starts."
        )
    resting = [attempt.ended_at for attempt in failed if not attempt.died]
    if resting:
        wait = timedelta(minutes=settings.schedule.catch_up_wait_minutes * 2 ** (len(resting) - 1))
        again_at = max(resting) + wait
        if machine_time < again_at:
            return NothingToRun(f"The run for {last} failed; it is tried again at {again_at:%H:%M:%S} UTC.")
    attempt = len(of_last) + 1
    if resting and len(failed) + 1 == settings.schedule.catch_up_attempts:
        return Night(read_from=last, first=last, last=last, attempt=attempt)
    first = min(missing)
    read_from = max(first - timedelta(days=settings.schedule.lookback_days - 1), min(made.loaded))
    return Night(read_from=min(read_from, first), first=first, last=last, attempt=attempt)


def _listed(days: Sequence[date]) -> str:
    shown = sorted(set(days))
    return f"{shown[0]}" if len(shown) == 1 else f"{shown[0]} to {shown[-1]} ({len(shown)} days)"
