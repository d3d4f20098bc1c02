"""Runs whose process is gone are released; whatever else is under way is left alone."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    GraphDefinition,
)

from foundation.dagster_internals import GRPC_INFO_TAG
from foundation.operations.dead_runs import release_dead_runs
from foundation.operations.run_failures import FAILURE_EVENTS, ended_from_outside, failure_causes
from foundation.operations.run_processes import THIS_HOST, code_server_is_gone
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL

NO_PROCESS = 2**22 + 1  # Linux gives no greater numbers than 2**22.

HOST_TAG = "product/host"


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        made.event_log_storage.set_concurrency_slots(WAREHOUSE_POOL, 1)
        yield made


def begun(
    instance: DagsterInstance,
    pid: int | None,
    status: DagsterRunStatus = DagsterRunStatus.STARTED,
    **tags: str,
) -> DagsterRun:
    """A run that holds the warehouse's slot; a process began it, if one is given."""
    job = GraphDefinition(name="nightly").to_job(name="nightly")
    tags = {name.replace("__", "/"): value for name, value in tags.items()}
    run = instance.create_run_for_job(job, status=DagsterRunStatus.STARTING, tags=tags)
    if pid is not None:
        event = DagsterEvent(DagsterEventType.PIPELINE_START.value, "nightly", pid=pid)
        instance.report_dagster_event(event, run.run_id)
    if status is DagsterRunStatus.CANCELING:
        instance.report_run_canceling(run)
    instance.event_log_storage.claim_concurrency_slot(WAREHOUSE_POOL, run.run_id, "step")
    return run


def status_of(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    return instance.get_run_by_id(run.run_id).status


def slot_holders(instance: DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_info(WAREHOUSE_POOL).active_run_ids)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DagsterRunStatus.STARTED, DagsterRunStatus.FAILURE),
        (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED),
    ],
)
def test_a_run_whose_process_is_gone_is_ended_and_its_slot_given_back(
    instance: DagsterInstance, before: DagsterRunStatus, after: DagsterRunStatus
) -> None:
    run = begun(instance, NO_PROCESS, before)
    assert slot_holders(instance) == {run.run_id}

    assert release_dead_runs(instance, HOST_TAG) == [run.run_id]

    assert status_of(instance, run) is after
    assert slot_holders(instance) == set()
    assert release_dead_runs(instance, HOST_TAG) == []


def test_a_run_that_died_says_so_and_counts_as_died(instance: DagsterInstance) -> None:
    run = begun(instance, NO_PROCESS)
    release_dead_runs(instance, HOST_TAG)
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=FAILURE_EVENTS)]
    (said,) = failure_causes(events)
    assert said.startswith("The process of this run died")
    assert ended_from_outside(events)


def test_a_run_that_lives_keeps_its_slot(instance: DagsterInstance) -> None:
    run = begun(instance, os.getpid())
    assert release_dead_runs(instance, HOST_TAG) == []
    assert (status_of(instance, run), slot_holders(instance)) == (DagsterRunStatus.STARTED, {run.run_id})


def test_a_run_that_was_marked_as_failed_keeps_its_slot_while_its_process_lives(
    instance: DagsterInstance,
) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = begun(instance, process.pid)
    instance.report_run_failed(run, "It takes too long.")
    release_dead_runs(instance, HOST_TAG)
    assert slot_holders(instance) == {run.run_id}
    process.kill()
    process.wait()
    release_dead_runs(instance, HOST_TAG)
    assert slot_holders(instance) == set()


def test_the_number_of_a_dead_process_may_be_another_ones_by_now(instance: DagsterInstance) -> None:
    run = begun(instance, None)
    event = DagsterEvent(DagsterEventType.PIPELINE_START.value, "nightly", pid=os.getpid())
    instance.report_dagster_event(event, run.run_id, timestamp=1_000_000.0)  # long before this process began
    assert release_dead_runs(instance, HOST_TAG) == [run.run_id]


def test_what_somebody_else_wrote_into_its_log_does_not_make_a_dead_run_live(
    instance: DagsterInstance,
) -> None:
    run = begun(instance, NO_PROCESS)
    instance.report_engine_event("The daemon looked at it.", run)
    assert release_dead_runs(instance, HOST_TAG) == [run.run_id]


@pytest.mark.parametrize(
    "tags",
    [
        {HOST_TAG.replace("/", "__"): "elsewhere"},
        {GRPC_INFO_TAG.replace("/", "__"): json.dumps({"host": "code-server.example", "port": 1})},
    ],
)
def test_a_run_of_another_machine_is_left_alone(instance: DagsterInstance, tags: dict[str, str]) -> None:
    run = begun(instance, NO_PROCESS, **tags)
    assert release_dead_runs(instance, HOST_TAG) == []
    assert (status_of(instance, run), slot_holders(instance)) == (DagsterRunStatus.STARTED, {run.run_id})


@pytest.mark.parametrize(
    "tags",
    [
        {HOST_TAG.replace("/", "__"): THIS_HOST},
        {GRPC_INFO_TAG.replace("/", "__"): json.dumps({"host": "localhost", "socket": "/tmp/code"})},
    ],
)
def test_a_run_of_this_machine_is_released(instance: DagsterInstance, tags: dict[str, str]) -> None:
    assert len([begun(instance, NO_PROCESS, **tags)]) == len(release_dead_runs(instance, HOST_TAG))


def test_a_run_that_no_process_has_begun_is_left_to_the_time_limit(instance: DagsterInstance) -> None:
    run = begun(instance, None)
    assert release_dead_runs(instance, HOST_TAG) == []
    assert status_of(instance, run) is DagsterRunStatus.STARTING


@pytest.mark.parametrize(
    ("seconds_ago", "server_lives", "released"), [(30, False, True), (30, True, False), (5, False, False)]
)
def test_a_run_that_no_process_has_begun_is_released_when_its_code_server_died(
    instance: DagsterInstance, seconds_ago: float, server_lives: bool, released: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = json.dumps({"host": "localhost", "port": server.getsockname()[1]})
        run = begun(instance, None, **{GRPC_INFO_TAG.replace("/", "__"): address})
        launched = DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, "nightly")
        instance.report_dagster_event(launched, run.run_id, timestamp=time.time() - seconds_ago)
        if server_lives:
            assert release_dead_runs(instance, HOST_TAG) == []
    found = [] if server_lives else release_dead_runs(instance, HOST_TAG)
    assert found == ([run.run_id] if released else [])


@pytest.mark.parametrize("listens", [True, False])
def test_a_code_server_is_also_looked_for_at_a_socket(tmp_path: Path, listens: bool) -> None:
    path = str(tmp_path / "code")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        if listens:
            server.listen()
        address = json.dumps({"host": "localhost", "socket": path})
        assert code_server_is_gone(DagsterRun("job", tags={GRPC_INFO_TAG: address})) is not listens


def test_a_run_that_failed_with_an_error_did_not_die() -> None:
    from dagster import op

    @op
    def fails() -> None:
        raise ValueError("the source is gone")

    job = GraphDefinition(name="fails", node_defs=[fails]).to_job(name="fails")
    result = job.execute_in_process(raise_on_error=False)
    assert not ended_from_outside(result.all_events)


@pytest.mark.parametrize("error", [KeyboardInterrupt, None])
def test_a_run_that_was_interrupted_died(error: type[BaseException] | None) -> None:
    from dagster import DagsterExecutionInterruptedError, op

    @op
    def interrupted() -> None:
        raise (error or DagsterExecutionInterruptedError)

    job = GraphDefinition(name="interrupted", node_defs=[interrupted]).to_job(name="interrupted")
    with DagsterInstance.ephemeral() as instance:
        with suppress(KeyboardInterrupt, DagsterExecutionInterruptedError):
            job.execute_in_process(raise_on_error=False, instance=instance)
        (run,) = instance.get_runs()
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=FAILURE_EVENTS)]
    assert events
    assert ended_from_outside(events)
