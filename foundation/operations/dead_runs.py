"""Runs whose process is gone: marked as ended, and their pool slots released.

Dagster's default launcher does not monitor the processes that it started before it was itself killed: such a run stays
under way for ever and holds its pool slots. Runs that no process has started, and whose code server is there, are left
to Dagster's run monitoring with its time limit.
"""

import time

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from foundation.operations.run_processes import (
    code_server_is_gone,
    is_of_this_host,
    living_process,
    process_of,
)

_BEGUN = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING]
# Measured: 6 to 17 seconds on two busy processors.
_STARTS_WITHIN_SECONDS = 20.0
_DIED = (
    "The process of this run died: it was killed, ran out of memory, or its machine stopped. "
    "What it had not finished was undone, and its pool slots were released."
)


def release_dead_runs(instance: DagsterInstance, host_tag: str) -> list[str]:
    """Mark the runs of this machine whose process is gone, and release the slots of every run that is over.

    Args:
        instance: Whose runs.
        host_tag: The tag with the name of the machine that executes a run.

    Returns:
        The ids of the runs that were found dead.
    """
    suspects = [
        run
        for run in instance.get_runs(RunsFilter(statuses=_BEGUN))
        if is_of_this_host(run, host_tag) and _is_abandoned(instance, run)
    ]
    dead = [run.run_id for run in suspects if _mark(instance, run.run_id)]
    storage = instance.event_log_storage
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        for run_id in info.active_run_ids | info.pending_run_ids | info.assigned_run_ids:
            if _is_over(instance, instance.get_run_by_id(run_id), host_tag):
                storage.free_concurrency_slots_for_run(run_id)
    return dead


def _is_abandoned(instance: DagsterInstance, run: DagsterRun) -> bool:
    process = process_of(instance, run.run_id)
    if process is not None:
        return living_process(*process) is None
    # A process that was started before its code server died, and is only slow, finds the run marked and ends.
    return _seconds_since_launch(instance, run.run_id) > _STARTS_WITHIN_SECONDS and code_server_is_gone(run)


def _seconds_since_launch(instance: DagsterInstance, run_id: str) -> float:
    launched = instance.get_records_for_run(
        run_id, of_type=DagsterEventType.PIPELINE_STARTING, limit=1, ascending=False
    ).records
    return time.time() - launched[0].event_log_entry.timestamp if launched else 0.0


def _mark(instance: DagsterInstance, run_id: str) -> bool:
    # Read again: it may have ended successfully after it was listed. A process that is gone writes nothing more.
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    if run.status is DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, _DIED)
    else:
        instance.report_run_failed(run, _DIED)
    return True


def _is_over(instance: DagsterInstance, run: DagsterRun | None, host_tag: str) -> bool:
    """Return whether a run needs its slots no longer; one that was marked as ended may still be writing."""
    if run is None:
        return True
    if not run.is_finished:
        return False
    process = process_of(instance, run.run_id) if is_of_this_host(run, host_tag) else None
    return process is None or living_process(*process) is None
