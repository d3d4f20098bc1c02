"""The instance that dagster.yaml describes, as Dagster itself reads it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.run_coordinator import QueuedRunCoordinator

from foundation.dagster_internals import InstanceRef
from moovitamix_assets.partitions import NIGHTLY_TAG
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterInstance]:
    home = tmp_path_factory.mktemp("home")
    shutil.copy(PROJECT / "dagster.yaml", home)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)  # Its folders are relative.
        with DagsterInstance.from_ref(InstanceRef.from_dir(str(home))) as made:
            yield made


def test_one_step_at_a_time_opens_the_warehouse_whatever_run_it_is_of(instance: DagsterInstance) -> None:
    pools = instance.get_concurrency_config().pool_config
    assert (pools.default_pool_limit, pools.pool_granularity.value) == (1, "op")
    storage = instance.event_log_storage
    assert storage.initialize_concurrency_limit_to_default(WAREHOUSE_POOL)
    first = storage.claim_concurrency_slot(WAREHOUSE_POOL, "a run", "a step")
    second = storage.claim_concurrency_slot(WAREHOUSE_POOL, "another run", "a step")
    assert (first.is_claimed, second.is_claimed) == (True, False)


def test_runs_of_one_nightly_plan_start_one_at_a_time(instance: DagsterInstance) -> None:
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.tag_concurrency_limits == [{"key": NIGHTLY_TAG, "limit": 1}]
    # A training does not keep a nightly run waiting.
    assert queue.max_concurrent_runs > 1


def test_the_slots_of_a_run_that_ended_are_given_back(instance: DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    assert 0 < instance.run_monitoring_settings["free_slots_after_run_end_seconds"] <= 300


def test_a_run_that_no_process_begins_is_given_up_in_a_minute_and_one_without_end_in_a_day(
    instance: DagsterInstance,
) -> None:
    waits = instance.run_monitoring_start_timeout_seconds + instance.run_monitoring_poll_interval_seconds
    assert 30 <= waits <= 90
    assert 6 * 3600 <= instance.run_monitoring_max_runtime_seconds <= 24 * 3600


def test_records_stay_in_the_folder_of_the_project(instance: DagsterInstance) -> None:
    assert Path(instance.storage_directory()).parts[0] == ".dagster_home"


def test_freshness_is_evaluated_and_nothing_is_reported_to_anybody(instance: DagsterInstance) -> None:
    assert instance.freshness_enabled
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
