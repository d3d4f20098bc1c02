"""A job run in the process of a command, so that it looks in the UI like any other run.

Which jobs run is decided in `pipeline.py` and `first_week.py`; the jobs are defined in `automation/jobs.py`.
"""

import signal
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import uuid4

from dagster import DagsterInstance, Definitions, ExecuteInProcessResult, ResourceDefinition

from foundation.errors import Explained
from foundation.operations.event_storage import quickly_written
from foundation.operations.run_ends import cancel_interrupted_run, ending_soon_after_a_signal
from foundation.operations.run_failures import failure_causes
from foundation.operations.run_origin import runs_of_code_location
from foundation.progress import Progress
from foundation.run_tags import PARTITION_TAG
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.settings import Settings

CODE_LOCATION = "moovitamix_assets"
"""The name of the code location in workspace.yaml, under which the UI shows the runs of commands too."""


class RunFailed(Explained):
    """A run failed; the message says where and why, and how to inspect it."""


class Interrupted(RunFailed):
    """A signal ended a run; nothing after it was started."""

    def __init__(self, job_name: str, number: int) -> None:
        super().__init__(
            f"Stopped by {signal.Signals(number).name} in the job {job_name}. What was stored before stays; run again "
            "to continue from there."
        )
        self.exit_code = 128 + number


def run_job(
    job_name: str,
    settings: Settings,
    tags: Mapping[str, str],
    instance: DagsterInstance,
    progress: Progress,
    seconds: dict[str, float],
    *,
    run_config: Mapping[str, Any] | None = None,
) -> ExecuteInProcessResult:
    """Run a job in this process, and add the seconds of each stage.

    Args:
        job_name: The job.
        settings: Of the deployment.
        tags: Of the run; they name its partitions.
        instance: Dagster's records.
        progress: Where steps report their progress.
        seconds: Per stage; those of this run are added.
        run_config: Of its steps.

    Raises:
        RunFailed: If the run fails.
    """
    definitions = build_definitions(settings, {"progress": ResourceDefinition.hardcoded_resource(progress)})
    result = execute(definitions, job_name, instance, tags=tags, run_config=run_config)
    for stage, spent in _seconds_per_stage(definitions, result).items():
        seconds[stage] = seconds.get(stage, 0.0) + spent
    return result


def execute(
    definitions: Definitions,
    job_name: str,
    instance: DagsterInstance,
    *,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, Any] | None = None,
) -> ExecuteInProcessResult:
    """Execute a job in this process; arguments as for `run_job`.

    Raises:
        RunFailed: If the run fails, or is interrupted.
    """
    repository, run_id = definitions.get_repository_def().name, str(uuid4())
    with (
        ending_soon_after_a_signal(record=partial(cancel_interrupted_run, instance, run_id)) as asked,
        quickly_written(instance),
        runs_of_code_location(instance, CODE_LOCATION, repository),
    ):
        result = definitions.resolve_job_def(job_name).execute_in_process(
            # Failures are reported below, once; the whole log is in the UI.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, **(run_config or {})},
            instance=instance,
            tags=dict(tags or {}),
            partition_key=(tags or {}).get(PARTITION_TAG),
            raise_on_error=False,
            run_id=run_id,
        )
    if asked:
        raise Interrupted(job_name, asked[0])
    if not result.success:
        message = f"The run {result.run_id} of the job {job_name} failed."
        raise RunFailed("\n".join([message, *failure_causes(result.all_events)]))
    return result


def _seconds_per_stage(definitions: Definitions, result: ExecuteInProcessResult) -> dict[str, float]:
    """Sum the durations of the steps by asset group; checks count for themselves."""
    graph = definitions.resolve_asset_graph()
    groups = {key.path[-1]: graph.get(key).group_name for key in graph.get_all_asset_keys()}
    spent: dict[str, float] = defaultdict(float)
    for event in result.filter_events(lambda event: event.is_step_success):
        stage = groups.get(str(event.step_key), "checks")
        spent[stage] += event.step_success_data.duration_ms / 1000
    return dict(spent)
