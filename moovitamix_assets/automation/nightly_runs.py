"""From the plan of a night to requests for runs: what is known of earlier runs, and the tags that tell them apart.

The schedule and the catch-up sensor share it, so that neither starts what the other has started. The plan itself
is in `missed_partitions.py`.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from dagster import DagsterInstance, DagsterRunStatus, RunRequest, RunsFilter, SkipReason

from foundation.operations.run_failures import FAILURE_EVENTS, ended_from_outside
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from moovitamix_assets.automation.jobs import INGEST_JOB, NIGHTLY_JOB
from moovitamix_assets.automation.missed_partitions import Attempt, Night, NothingToRun, plan_night, read_made
from moovitamix_assets.clock import now
from moovitamix_assets.partitions import (
    NIGHT_FROM_TAG,
    NIGHT_TAG,
    days_to_make,
    partitions_of_run,
    range_tags,
)
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.future import find_future_days

_LOOKED_AT = 25

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
# Runs that load days, started by whomever: `__ASSET_JOB` is what the UI materializes assets with.
_LOADING = (NIGHTLY_JOB.name, INGEST_JOB.name, "__ASSET_JOB")


def night_requests(
    instance: DagsterInstance, settings: Settings, day: date
) -> Iterator[RunRequest | SkipReason]:
    """The run that makes a day and those missed before it; or why there is none to start.

    Days before them are read again in the same run, for records that turned up late: their tables only, since
    recommendations of days past, and what they were worth, stay as they were.

    Args:
        instance: Where earlier runs are known.
        settings: Of the deployment.
        day: The newest day that is due.
    """
    for job_name in _LOADING:
        running = instance.get_runs(RunsFilter(job_name=job_name, statuses=UNDER_WAY), limit=1)
        if running:
            yield SkipReason(f"The run {running[0].run_id} of {job_name} is under way.")
            return
    try:
        future = find_future_days(settings, now(settings))
        made = read_made(settings)
    except WarehouseMissing as error:
        yield SkipReason(str(error))
        return
    except WarehouseLocked as error:
        yield SkipReason(f"Looking again later. {error}")
        return
    if future:
        # Lists made now would be dropped at once: those kept are counted back from the newest day.
        yield SkipReason(f"{future.finding} {future.remedy}")
        return
    machine_time = datetime.now(UTC).replace(tzinfo=None)
    night = plan_night(made, day, _attempts(instance), machine_time, settings)
    if isinstance(night, NothingToRun):
        yield SkipReason(night.reason)
        return
    yield _request(night)


def _request(night: Night) -> RunRequest:
    key = f"night-{night.last}-{night.attempt}"
    tags = {NIGHT_TAG: night.last.isoformat(), NIGHT_FROM_TAG: night.first.isoformat()}
    if night.read_from == night.last:
        return RunRequest(run_key=key, partition_key=night.last.isoformat(), tags=tags)
    return RunRequest(run_key=key, tags={**tags, **range_tags(night.read_from, night.last)})


def _attempts(instance: DagsterInstance) -> list[Attempt]:
    """The newest nightly runs that have ended, and whole runs that users started and that did well."""
    records = instance.get_run_records(RunsFilter(job_name=NIGHTLY_JOB.name), limit=_LOOKED_AT)
    attempts = []
    for record in records:
        run = record.dagster_run
        days = partitions_of_run(run.tags)
        if not days or not run.is_finished:
            continue
        succeeded = run.status is DagsterRunStatus.SUCCESS
        by_a_person = NIGHT_TAG not in run.tags and succeeded and not run.asset_selection
        if by_a_person or NIGHT_TAG in run.tags:
            ended_at = datetime.fromtimestamp(record.end_time or 0.0, UTC).replace(tzinfo=None)
            ended_from_outside = run.status is DagsterRunStatus.FAILURE and _died(instance, run.run_id)
            first = days_to_make(days, run.tags)[0]
            attempts.append(Attempt(first, days[-1], succeeded, ended_at, ended_from_outside))
    return attempts


def _died(instance: DagsterInstance, run_id: str) -> bool:
    entries = instance.all_logs(run_id, of_type=FAILURE_EVENTS)
    return ended_from_outside(entry.dagster_event for entry in entries if entry.dagster_event)
