"""The request for a nightly run: the tags it carries, and which earlier runs hold it back or count as attempts."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Failure,
    GraphDefinition,
    RunRequest,
    SkipReason,
    op,
)

from foundation.run_tags import PARTITION_TAG
from foundation.warehouse.loads import record_made
from moovitamix_assets.automation import nightly_runs
from moovitamix_assets.automation.nightly_runs import nightly_request
from moovitamix_assets.partitions import (
    NIGHTLY_FROM_TAG,
    NIGHTLY_TAG,
    days_between,
    days_to_make,
    partitions_of_run,
    range_tags,
)
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.loads import NIGHTLY_TABLES
from moovitamix_assets_tests.unit.automation.warehouses import put_down_run
from moovitamix_assets_tests.unit.operations.loads import LOADED_AT, add_loads

FIRST, DAY = date(2026, 9, 1), date(2026, 9, 10)
BEFORE = DAY - timedelta(days=1)
OF_DAY = {NIGHTLY_TAG: f"{DAY}", NIGHTLY_FROM_TAG: f"{DAY}", PARTITION_TAG: f"{DAY}"}
UNDER_WAY = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as records:
        yield records


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment that loaded every day from FIRST to the one before DAY, whatever the date of the machine."""
    monkeypatch.setattr(nightly_runs, "now", lambda settings: LOADED_AT + timedelta(days=1))
    settings = Settings(data_dir=tmp_path, lookback_days=3, catch_up_attempts=3, catch_up_wait_minutes=10)
    load(settings, *days_between(FIRST, BEFORE))
    return settings


def load(settings: Settings, *days: date, complete: bool = False) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, *days)
        for table in NIGHTLY_TABLES if complete else ():
            record_made(connection, table, dict.fromkeys(days, 0))


def requested(instance: DagsterInstance, settings: Settings) -> RunRequest:
    found = nightly_request(instance, settings, DAY)
    assert isinstance(found, RunRequest), found.skip_message
    return found


def skipped(instance: DagsterInstance, settings: Settings) -> str:
    found = nightly_request(instance, settings, DAY)
    assert isinstance(found, SkipReason)
    return str(found.skip_message)


def fail(instance: DagsterInstance, **tags: str) -> None:
    """A nightly run that ends with an error of its own."""

    @op
    def broken() -> None:
        raise Failure("The source gives nothing")

    job = GraphDefinition(name="nightly", node_defs=[broken]).to_job(name="nightly", tags=tags)
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success


def test_a_request_reads_the_days_before_again_and_computes_only_its_own(
    instance: DagsterInstance, settings: Settings
) -> None:
    request = requested(instance, settings)
    assert (request.run_key, request.partition_key) == (f"night-{DAY}-1", None)
    assert partitions_of_run(request.tags) == [DAY - timedelta(days=2), BEFORE, DAY]
    assert days_to_make(partitions_of_run(request.tags), request.tags) == [DAY]
    # The tag that dagster.yaml allows one run with at a time.
    assert request.tags[NIGHTLY_TAG] == f"{DAY}"


def test_a_single_day_is_requested_as_a_partition(instance: DagsterInstance, settings: Settings) -> None:
    request = requested(instance, settings.changed(lookback_days=1))
    assert request.partition_key == f"{DAY}"
    assert request.tags == {NIGHTLY_TAG: f"{DAY}", NIGHTLY_FROM_TAG: f"{DAY}"}


@pytest.mark.parametrize("status", UNDER_WAY)
def test_nothing_is_requested_while_a_run_that_loads_days_is_queued_or_under_way(
    instance: DagsterInstance, settings: Settings, status: str
) -> None:
    run = put_down_run(instance, "nightly", DagsterRunStatus[status], **OF_DAY)
    assert skipped(instance, settings) == f"The run {run.run_id} of nightly is under way."


@pytest.mark.parametrize("job_name", ["ingest", "__ASSET_JOB"])
def test_runs_that_a_user_started_hold_a_nightly_run_back_if_they_load_days(
    instance: DagsterInstance, settings: Settings, job_name: str
) -> None:
    put_down_run(instance, "train", DagsterRunStatus.STARTED)
    assert requested(instance, settings)
    put_down_run(instance, job_name, DagsterRunStatus.QUEUED)
    assert f"of {job_name} is under way" in skipped(instance, settings)


def test_only_nightly_runs_and_whole_runs_that_succeeded_count_as_attempts(
    instance: DagsterInstance, settings: Settings
) -> None:
    by_a_user = {PARTITION_TAG: f"{DAY}"}
    put_down_run(instance, "nightly", DagsterRunStatus.FAILURE, **by_a_user)
    put_down_run(instance, "nightly", DagsterRunStatus.CANCELED, **by_a_user)
    put_down_run(instance, "ingest", DagsterRunStatus.SUCCESS, **by_a_user)
    chosen = frozenset({AssetKey("users")})
    instance.add_run(
        DagsterRun("nightly", status=DagsterRunStatus.SUCCESS, tags=by_a_user, asset_selection=chosen)
    )
    assert requested(instance, settings).run_key == f"night-{DAY}-1"
    put_down_run(instance, "nightly", DagsterRunStatus.SUCCESS, **by_a_user)
    assert requested(instance, settings).run_key == f"night-{DAY}-2"


def test_attempts_are_numbered_so_that_dagster_starts_each_of_them_once(
    instance: DagsterInstance, settings: Settings
) -> None:
    for attempt in (1, 2, 3):
        assert requested(instance, settings).run_key == f"night-{DAY}-{attempt}"
        put_down_run(instance, "nightly", DagsterRunStatus.CANCELED, **OF_DAY)
    assert f"3 runs for {DAY} failed" in skipped(instance, settings)


def test_a_run_that_only_read_a_day_again_for_late_records_was_no_attempt_at_it(
    instance: DagsterInstance, settings: Settings
) -> None:
    tags = {NIGHTLY_TAG: f"{DAY}", NIGHTLY_FROM_TAG: f"{DAY}", **range_tags(DAY - timedelta(days=2), DAY)}
    put_down_run(instance, "nightly", DagsterRunStatus.CANCELED, **tags)
    request = requested(instance, settings)
    assert days_to_make(partitions_of_run(request.tags), request.tags) == [DAY]
    # A run for the day after that reads DAY again leaves the attempts at DAY as they were.
    after = f"{DAY + timedelta(days=1)}"
    tags = {NIGHTLY_TAG: after, NIGHTLY_FROM_TAG: after, **range_tags(DAY, DAY + timedelta(days=1))}
    put_down_run(instance, "nightly", DagsterRunStatus.SUCCESS, **tags)
    assert requested(instance, settings).run_key == f"night-{DAY}-2"


def test_a_failure_is_waited_after_from_its_end_and_a_process_that_died_is_not(
    instance: DagsterInstance, settings: Settings
) -> None:
    run = put_down_run(instance, "nightly", DagsterRunStatus.STARTED, **OF_DAY)
    instance.report_run_failed(run, "The process of this run died.")
    assert requested(instance, settings).run_key == f"night-{DAY}-2"
    fail(instance, **OF_DAY)
    assert f"The run for {DAY} failed; it is repeated at" in skipped(instance, settings)


def test_where_everything_is_there_nothing_is_requested(
    instance: DagsterInstance, settings: Settings
) -> None:
    load(settings, DAY)
    assert requested(instance, settings).tags[NIGHTLY_FROM_TAG] == f"{DAY}"
    with write_warehouse(settings.warehouse_path) as connection:
        for table in NIGHTLY_TABLES:
            record_made(connection, table, {DAY: 0})
    assert skipped(instance, settings) == f"Everything is up to date to {DAY}."


def test_a_day_of_which_a_table_is_missing_is_requested_again(
    instance: DagsterInstance, settings: Settings
) -> None:
    load(settings, DAY, complete=True)
    with write_warehouse(settings.warehouse_path) as connection:
        connection.execute(
            "DELETE FROM partition_loads WHERE table_name = 'listens' AND changed_on = ?", [BEFORE]
        )
    request = requested(instance, settings)
    assert days_to_make(partitions_of_run(request.tags), request.tags) == [BEFORE, DAY]
