"""Gauges of runs: queued runs, runs under way and their processes, the newest ended runs of each job.

Read from Dagster's run storage; a run's process is found by the id in the run's own log, on this machine only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil
from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

from foundation.operations.run_processes import living_process, process_of
from moovitamix_assets.operations.health.gauges import Gauges

OTHER_JOBS = "other"
"""The label of runs under way of jobs that the definitions do not know (any more)."""

_UNDER_WAY = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
_UNFINISHED = (DagsterRunStatus.QUEUED, *_UNDER_WAY)
_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
# A queue out of control must not make each scrape slow.
_MOST_UNFINISHED = 1000


@dataclass(frozen=True)
class ProcessUse:
    """The resources of a process and its children.

    Attributes:
        memory_bytes: Resident memory.
        cpu_seconds: Processor time so far.
    """

    memory_bytes: float
    cpu_seconds: float


def read_runs(gauges: Gauges, instance: DagsterInstance, jobs: Sequence[str]) -> None:
    """Add the gauges of runs.

    Args:
        gauges: Where to add them.
        instance: Whose runs.
        jobs: Names of the jobs to report; unfinished runs of others are reported together.
    """
    for job in jobs:
        _read_ended(gauges, instance, job)
    unfinished: dict[str, list[RunRecord]] = {job: [] for job in (*jobs, OTHER_JOBS)}
    for record in instance.get_run_records(RunsFilter(statuses=_UNFINISHED), limit=_MOST_UNFINISHED):
        name = record.dagster_run.job_name
        unfinished[name if name in unfinished else OTHER_JOBS].append(record)
    for job, records in unfinished.items():
        _read_unfinished(gauges, instance, job, records)


def _read_ended(gauges: Gauges, instance: DagsterInstance, job: str) -> None:
    for status in _ENDED:
        count = instance.get_runs_count(RunsFilter(job_name=job, statuses=[status]))
        gauges.add("runs", count, job, status.value.lower())
    newest = {status: _newest(instance, job, status) for status in _ENDED}
    under_way = _newest(instance, job, *_UNDER_WAY)
    starts = [record.start_time for record in [*newest.values(), under_way] if record and record.start_time]
    gauges.add("job_last_start_timestamp_seconds", max(starts, default=None), job)
    success, failure = newest[DagsterRunStatus.SUCCESS], newest[DagsterRunStatus.FAILURE]
    last = max(filter(None, newest.values()), key=lambda record: record.end_time or 0.0, default=None)
    if success:
        gauges.add("job_last_success_timestamp_seconds", success.end_time, job)
        gauges.add("job_last_success_seconds", _seconds(success), job)
    if failure:
        gauges.add("job_last_failure_timestamp_seconds", failure.end_time, job)
    if last:
        gauges.add("job_last_end_timestamp_seconds", last.end_time, job)
        gauges.add("job_last_end_seconds", _seconds(last), job)


def _newest(instance: DagsterInstance, job: str, *statuses: DagsterRunStatus) -> RunRecord | None:
    """The newest run in one of some states."""
    return next(iter(instance.get_run_records(RunsFilter(job_name=job, statuses=statuses), limit=1)), None)


def _seconds(record: RunRecord) -> float | None:
    """The duration of a run; None for one that ended before it started, such as a queued one that was canceled."""
    if record.start_time is None or record.end_time is None:
        return None
    return record.end_time - record.start_time


def _read_unfinished(
    gauges: Gauges, instance: DagsterInstance, job: str, records: Sequence[RunRecord]
) -> None:
    for status in _UNFINISHED:
        count = sum(record.dagster_run.status == status for record in records)
        gauges.add("runs", count, job, status.value.lower())
    queued = [record for record in records if record.dagster_run.status == DagsterRunStatus.QUEUED]
    waiting_since = [record.create_timestamp.timestamp() for record in queued]
    gauges.add("run_queued_since_timestamp_seconds", min(waiting_since, default=None), job)
    under_way = [record for record in records if record.dagster_run.status in _UNDER_WAY]
    begun = [record.start_time or record.create_timestamp.timestamp() for record in under_way]
    gauges.add("run_under_way_since_timestamp_seconds", min(begun, default=None), job)
    gone, uses = 0, []
    for pid, written_at in _processes(instance, under_way):
        use = process_use(pid, written_at)
        gone += use is None
        uses += [use] if use else []
    gauges.add("run_process_gone", gone, job)
    if uses:
        gauges.add("run_memory_bytes", sum(use.memory_bytes for use in uses), job)
        gauges.add("run_cpu_seconds", sum(use.cpu_seconds for use in uses), job)


def _processes(instance: DagsterInstance, under_way: Sequence[RunRecord]) -> Iterator[tuple[int, float]]:
    """The id of each run's process and when it last wrote; nothing for runs that no process has started yet."""
    for record in under_way:
        if process := process_of(instance, record.dagster_run.run_id):
            yield process


def process_use(pid: int, written_at: float) -> ProcessUse | None:
    """The resources of a process; None if it is gone.

    Args:
        pid: Its id.
        written_at: When it was known to be alive (Unix time). One that started later has reused the id.
    """
    process = living_process(pid, written_at)
    if process is None:
        return None
    memory = cpu = 0.0
    for member in [process, *_children(process)]:
        try:
            memory += member.memory_info().rss
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue  # A child has ended meanwhile.
        cpu += times.user + times.system
    return ProcessUse(memory, cpu)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
