"""From the plan of a nightly run to the request for it: what is known of earlier runs, and the tags of the next.

The schedule and the catch-up sensor share it, so that neither starts what the other has started. The plan itself
is in `missed_partitions.py`.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunRequest, RunsFilter, SkipReason

from foundation.operations.run_failures import FAILURE_EVENTS, ended_from_outside
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from moovitamix_assets.automation.jobs import INGEST_JOB, NIGHTLY_JOB
from moovitamix_assets.automation.missed_partitions import (
    Attempt,
    NightlyRun,
    NothingToRun,
    plan_nightly_run,
    read_stored_days,
)
from moovitamix_assets.clock import now
from moovitamix_assets.partitions import (
    NIGHTLY_FROM_TAG,
    NIGHTLY_TAG,
    days_to_make,
    partitions_of_run,
    range_tags,
)
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.future import find_future_days

_RUNS_READ = 25

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
# Runs that load days, whoever started them: `__ASSET_JOB` is what the UI materializes assets with.
_LOADING = (NIGHTLY_JOB.name, INGEST_JOB.name, "__ASSET_JOB")


def nightly_request(instance: DagsterInstance, settings: Settings, day: date) -> RunRequest | SkipReason:
    """The run for a day and those missed before it, or why there is none to start.

    Earlier days are read again in the same run, for records that arrived late: only their tables are rewritten,
    recommendations of past days and their quality stay as they were.

    Args:
        instance: Where earlier runs are recorded.
        settings: Of the deployment.
        day: The newest day that is due.
    """
    running = run_under_way(instance, _LOADING)
    if running:
        return SkipReason(f"The run {running[1]} of {running[0]} is under way.")
    try:
        future = find_future_days(settings, now(settings))
        stored = read_stored_days(settings.warehouse_path)
    except WarehouseMissing as error:
        return SkipReason(str(error))
    except WarehouseLocked as error:
        return SkipReason(f"Checked again later. {error}")
    if future:
        # Recommendations of today would be dropped at once: the days kept are counted back from the newest one.
        return SkipReason(f"{future.finding} {future.remedy}")
    machine_time = datetime.now(UTC).replace(tzinfo=None)
    plan = plan_nightly_run(stored, day, _attempts(instance), machine_time, settings.schedule)
    return SkipReason(plan.reason) if isinstance(plan, NothingToRun) else _request(plan)


def run_under_way(instance: DagsterInstance, job_names: Iterable[str]) -> tuple[str, str] | None:
    """The first of some jobs that has an unfinished run, with the id of that run; None if there is none."""
    for job_name in job_names:
        running = instance.get_runs(RunsFilter(job_name=job_name, statuses=UNDER_WAY), limit=1)
        if running:
            return job_name, running[0].run_id
    return None


def any_run_under_way(instance: DagsterInstance) -> bool:
    """Return whether there is an unfinished run of any job."""
    return bool(instance.get_runs(RunsFilter(statuses=UNDER_WAY), limit=1))


def _request(plan: NightlyRun) -> RunRequest:
    key = f"night-{plan.last}-{plan.attempt}"
    tags = {NIGHTLY_TAG: plan.last.isoformat(), NIGHTLY_FROM_TAG: plan.first.isoformat()}
    if plan.read_from == plan.last:
        return RunRequest(run_key=key, partition_key=plan.last.isoformat(), tags=tags)
    return RunRequest(run_key=key, tags={**tags, **range_tags(plan.read_from, plan.last)})


def _attempts(instance: DagsterInstance) -> list[Attempt]:
    """The newest nightly runs that have ended, and complete runs that users started and that succeeded."""
    records = instance.get_run_records(RunsFilter(job_name=NIGHTLY_JOB.name), limit=_RUNS_READ)
    attempts = (_attempt(instance, record) for record in records)
    return [attempt for attempt in attempts if attempt is not None]


def _attempt(instance: DagsterInstance, record: RunRecord) -> Attempt | None:
    run = record.dagster_run
    days = partitions_of_run(run.tags)
    if not days or not run.is_finished:
        return None
    succeeded = run.status is DagsterRunStatus.SUCCESS
    if NIGHTLY_TAG not in run.tags and not (succeeded and not run.asset_selection):
        return None
    return Attempt(
        first=days_to_make(days, run.tags)[0],
        last=days[-1],
        succeeded=succeeded,
        ended_at=datetime.fromtimestamp(record.end_time or 0.0, UTC).replace(tzinfo=None),
        died=run.status is DagsterRunStatus.FAILURE and _died(instance, run.run_id),
    )


def _died(instance: DagsterInstance, run_id: str) -> bool:
    entries = instance.all_logs(run_id, of_type=FAILURE_EVENTS)
    return ended_from_outside(entry.dagster_event for entry in entries if entry.dagster_event)
