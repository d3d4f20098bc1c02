"""Jobs run by commands: what they raise, and how the runs look in Dagster's records."""

import os
import signal
import time
from pathlib import Path

import pytest
import yaml
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    Failure,
    GraphDefinition,
    JobDefinition,
    OpDefinition,
    RepositoryDefinition,
    op,
)

from moovitamix_assets.cli.runs.job_runs import CODE_LOCATION, Interrupted, RunFailed, execute
from moovitamix_assets.operations.incidents import run_incidents
from moovitamix_assets.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


class Jobs:
    """Definitions whose every job is one op."""

    def __init__(self, only: OpDefinition) -> None:
        self._only = only

    def resolve_job_def(self, name: str) -> JobDefinition:
        return GraphDefinition(name, node_defs=[self._only]).to_job(name=name)

    def get_repository_def(self) -> RepositoryDefinition:
        return Definitions().get_repository_def()


def test_a_run_that_fails_is_an_error_with_what_was_raised() -> None:
    @op
    def broken() -> None:
        raise Failure("Page 2 of users could not be read")

    with DagsterInstance.ephemeral() as instance:
        with pytest.raises(RunFailed) as raised:
            execute(Jobs(broken), "ingest", instance)
        (run,) = instance.get_runs()
    assert "of the job ingest failed" in str(raised.value)
    assert "Page 2 of users could not be read" in str(raised.value)
    origin = run.remote_job_origin.repository_origin
    assert origin.get_label() == "__repository__@moovitamix_assets"


@pytest.mark.parametrize(
    ("number", "status", "open_incidents"),
    [(signal.SIGINT, DagsterRunStatus.CANCELED, 0), (signal.SIGTERM, DagsterRunStatus.FAILURE, 1)],
)
def test_a_run_that_its_user_interrupts_is_canceled_and_no_incident(
    settings: Settings, number: signal.Signals, status: DagsterRunStatus, open_incidents: int
) -> None:
    @op
    def interrupted() -> None:
        os.kill(os.getpid(), number)
        time.sleep(60)

    with DagsterInstance.ephemeral() as instance:
        with pytest.raises(Interrupted) as raised:
            execute(Jobs(interrupted), "ingest", instance)
        (run,) = instance.get_runs()
        assert len(run_incidents(instance, settings)) == open_incidents
    assert raised.value.exit_code == 128 + number
    assert run.status is status


def test_the_code_location_of_runs_is_the_one_of_the_workspace() -> None:
    workspace = yaml.safe_load((Path(__file__).parents[4] / "workspace.yaml").read_text())
    assert workspace["load_from"][0]["python_module"]["location_name"] == CODE_LOCATION
