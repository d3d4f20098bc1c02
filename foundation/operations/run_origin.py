"""The origin of runs that a command executes in its own process: the code location whose jobs they are.

Dagster gives it to the runs that it launches; without it, the UI shows a run neither in the timeline nor under its job.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import DagsterInstance, DagsterRun, JobDefinition

from foundation.dagster_internals import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)


@contextmanager
def runs_of_code_location(instance: DagsterInstance, location: str, repository: str) -> Iterator[None]:
    """Give the runs that this process creates the origin of a code location's job.

    Args:
        instance: Where the runs are created.
        location: The name of the code location, as the workspace has it.
        repository: The name of its repository.
    """
    create = instance.create_run_for_job
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), repository)

    def create_with_origin(job_def: JobDefinition, **given: Any) -> DagsterRun:
        return create(job_def, **{**given, "remote_job_origin": RemoteJobOrigin(origin, job_def.name)})

    # Only what launches runs takes an origin, not `execute_in_process`.
    vars(instance)["create_run_for_job"] = create_with_origin
    try:
        yield
    finally:
        del vars(instance)["create_run_for_job"]
