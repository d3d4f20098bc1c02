"""The Dagster instance that commands use, and setting it right after a crash.

A process that was killed inside a pooled step leaves the pool's slot taken and its run started: without a daemon
nobody would ever wait less. What runs are made of does not belong here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.instance.ref import InstanceRef

from moovitamix_assets.command.turns import own_turn
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL

INSTANCE_DIR = ".dagster_home"
_UNDER_WAY = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING]


class NoInstance(RuntimeError):
    """There is no dagster.yaml to be found; the message names the remedy."""


@contextmanager
def open_instance() -> Iterator[DagsterInstance]:
    """The instance of DAGSTER_HOME, or of the dagster.yaml in the working directory, freed of dead runs.

    Raises:
        NoInstance: If there is neither.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home and not Path("dagster.yaml").exists():
        raise NoInstance(
            f"No dagster.yaml in {Path.cwd()} and DAGSTER_HOME is not set. Run the command in the project's "
            "folder, or set DAGSTER_HOME to a folder with a dagster.yaml."
        )
    if home and not (Path(home).is_absolute() and Path(home).is_dir()):
        raise NoInstance(f"DAGSTER_HOME is {home}: make that folder, and name it by its absolute path.")
    base = Path(home or INSTANCE_DIR).absolute()
    # Two processes that make its databases at the same time get in each other's way.
    with own_turn(base / ".opening"):
        # A temporary-looking base with the configuration of the working directory: just as `dagster dev` does it.
        opened = (
            DagsterInstance.get()
            if home
            else DagsterInstance.from_ref(InstanceRef.from_dir(str(base), config_dir=str(Path.cwd())))
        )
    with opened as instance:
        # The limit holds even where a DAGSTER_HOME of one's own says nothing of pools.
        instance.event_log_storage.set_concurrency_slots(WAREHOUSE_POOL, 1)
        release_dead_runs(instance)
        yield instance


def release_dead_runs(instance: DagsterInstance) -> list[str]:
    """Mark runs failed whose process is dead, and give back the slots of every run that is over.

    Returns:
        The ids of the runs that were found dead.
    """
    dead = [
        run for run in instance.get_runs(RunsFilter(statuses=_UNDER_WAY)) if _process_is_dead(instance, run)
    ]
    for run in dead:
        instance.report_run_failed(run, "The process of this run is gone; found and marked by moovitamix.")
    for pool in instance.event_log_storage.get_concurrency_keys():
        info = instance.event_log_storage.get_concurrency_info(pool)
        for run_id in info.active_run_ids | info.pending_run_ids | info.assigned_run_ids:
            holder = instance.get_run_by_id(run_id)
            if holder is None or holder.is_finished:
                instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return [run.run_id for run in dead]


def _process_is_dead(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether the process that last wrote to the run's log is gone; False where none wrote yet."""
    events = [
        entry for entry in instance.all_logs(run.run_id) if entry.dagster_event and entry.dagster_event.pid
    ]
    if not events:
        return False
    last = events[-1]
    pid = last.dagster_event.pid if last.dagster_event else None
    try:
        # The number may have been given to another process since; that one started after the log was written.
        return pid is None or psutil.Process(pid).create_time() > last.timestamp
    except psutil.NoSuchProcess:
        return True
