"""DAILY, the one partitions definition, and what a partition means.

Partition D holds what changed on day D (UTC): the records whose change time falls in [D, D+1). The first
partition also takes everything older and what has no readable time. Nothing about reading or storing belongs here.
See https://docs.dagster.io/guides/build/partitions-and-backfills.
"""

import warnings
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta

from dagster import BackfillPolicy, BetaWarning, DailyPartitionsDefinition, TimeWindowPartitionMapping

from foundation.run_tags import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from moovitamix_assets.settings import Settings

# Which partitions exist is a fact of the deployment, recorded at the first load: it comes from the environment.
DAILY = DailyPartitionsDefinition(start_date=Settings().start_date.isoformat(), timezone="UTC")

# 30 days in one run cost seconds; one run per day, minutes. Dagster warns of a beta parameter on every use: known.
warnings.filterwarnings("ignore", category=BetaWarning, message=".*backfill_policy.*")
RANGE_IN_ONE_RUN = BackfillPolicy.single_run()

# The owners of sensors are beta as well, and every command would print it.
warnings.filterwarnings("ignore", category=BetaWarning, message=".*owners.*")

# For assets that depend on the day before; before the first day there is none.
warnings.filterwarnings("ignore", category=BetaWarning, message=".*allow_nonexistent_upstream_partitions.*")
OF_THE_DAY_BEFORE = TimeWindowPartitionMapping(
    start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
)

# The day that a nightly run is for: dagster.yaml allows one run with this tag at a time. Its partitions may start
# with days that are only read again for late records; NIGHTLY_FROM_TAG names the first that it materializes completely.
NIGHTLY_TAG = "moovitamix/night"
NIGHTLY_FROM_TAG = "moovitamix/night_from"


def days_between(first: date, last: date) -> list[date]:
    """Every day from `first` to `last`, both included; empty if `last` comes before `first`."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def day_start(day: date) -> datetime:
    """The first instant of a day, naive UTC."""
    return datetime.combine(day, time.min)


def partition_of(changed_at: datetime | None, first_partition: date) -> date:
    """The partition of a record that changed at `changed_at` (naive UTC; None where no time is readable)."""
    if changed_at is None:
        return first_partition
    return max(changed_at.date(), first_partition)


def range_tags(first: date, last: date) -> dict[str, str]:
    """The run tags that make one run cover the partitions from `first` to `last`."""
    return {RANGE_START_TAG: first.isoformat(), RANGE_END_TAG: last.isoformat()}


def partitions_of_run(tags: Mapping[str, str]) -> list[date] | None:
    """The partitions that a run covers by its tags; None for a run without partitions.

    Asset checks have no partition of their own, so they ask the run.
    """
    if PARTITION_TAG in tags:
        day = date.fromisoformat(tags[PARTITION_TAG])
        return [day]
    if RANGE_START_TAG in tags:
        return days_between(
            date.fromisoformat(tags[RANGE_START_TAG]), date.fromisoformat(tags[RANGE_END_TAG])
        )
    return None


def days_to_make(days: Sequence[date], tags: Mapping[str, str]) -> list[date]:
    """The partitions of a run that are computed from the tables: in a nightly run, not those that are only read again.

    Recommendations of past days and their quality stay as they were.
    """
    first = date.fromisoformat(tags[NIGHTLY_FROM_TAG]) if NIGHTLY_FROM_TAG in tags else date.min
    return [day for day in days if day >= first]
