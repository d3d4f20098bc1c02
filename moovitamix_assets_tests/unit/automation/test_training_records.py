"""What of trainings and requests Dagster's records know, and from which day on a request is answered."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from dagster import AssetKey, AssetObservation, DagsterInstance, DagsterRunStatus

from foundation.run_tags import PARTITION_TAG
from foundation.warehouse.errors import WarehouseMissing
from moovitamix_assets.automation.evidence import Training
from moovitamix_assets.automation.training_records import (
    NoOpenRequest,
    NothingServed,
    known_trainings,
    request_retraining,
    requested_on,
    withdraw_request,
)
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.gate.promotion import roll_back
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import decide_about, put_down_run
from moovitamix_assets_tests.unit.warehouse.rows import add_list

A, B = "2026-09-14-aaaaaaaa", "2026-09-17-bbbbbbbb"


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as records:
        yield records


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (DagsterRunStatus.QUEUED, "under_way"),
        (DagsterRunStatus.NOT_STARTED, "under_way"),
        (DagsterRunStatus.STARTING, "under_way"),
        (DagsterRunStatus.STARTED, "under_way"),
        (DagsterRunStatus.CANCELING, "under_way"),
        (DagsterRunStatus.SUCCESS, "promoted"),
        (DagsterRunStatus.FAILURE, "failed"),
        (DagsterRunStatus.CANCELED, "failed"),
    ],
)
def test_a_training_is_known_by_how_its_run_stands(
    instance: DagsterInstance, status: DagsterRunStatus, outcome: str
) -> None:
    put_down_run(instance, "train", status, **{PARTITION_TAG: "2026-09-14"})
    assert known_trainings(instance) == [Training(date(2026, 9, 14), outcome)]


def test_trainings_come_newest_run_first_by_their_last_day_and_other_runs_are_none(
    instance: DagsterInstance,
) -> None:
    put_down_run(instance, "train", DagsterRunStatus.FAILURE, **{PARTITION_TAG: "2026-09-14"})
    put_down_run(
        instance, "train", DagsterRunStatus.SUCCESS, **range_tags(date(2026, 9, 10), date(2026, 9, 12))
    )
    put_down_run(instance, "train", DagsterRunStatus.SUCCESS)
    put_down_run(instance, "nightly", DagsterRunStatus.SUCCESS, **{PARTITION_TAG: "2026-09-20"})
    assert known_trainings(instance) == [
        Training(date(2026, 9, 12), "promoted"),
        Training(date(2026, 9, 14), "failed"),
    ]


def test_a_request_needs_recommendations_that_it_could_improve(
    instance: DagsterInstance, settings: Settings
) -> None:
    with pytest.raises(WarehouseMissing):
        request_retraining(instance, settings, "why not")
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, A)
    with pytest.raises(NothingServed, match="moovitamix run"):
        request_retraining(instance, settings, "why not")
    assert requested_on(instance) is None


def test_a_request_is_for_the_newest_day_unless_that_was_trained_already(
    instance: DagsterInstance, settings: Settings
) -> None:
    def asked() -> str:
        day = request_retraining(instance, settings, "why not")
        assert requested_on(instance) == day
        return day.isoformat()

    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, A)
        add_list(connection, date(2026, 9, 16), 1, [10], A)
        add_list(connection, date(2026, 9, 15), 1, [10], A)
    assert asked() == "2026-09-16"
    # A training under way has not looked at what is asked for now; it may still answer.
    put_down_run(instance, "train", DagsterRunStatus.STARTED, **{PARTITION_TAG: "2026-09-16"})
    assert asked() == "2026-09-16"
    put_down_run(instance, "train", DagsterRunStatus.FAILURE, **{PARTITION_TAG: "2026-09-16"})
    assert asked() == "2026-09-17"
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, B, "rejected")
    assert asked() == "2026-09-18"


def test_a_rollback_is_no_training_that_could_have_answered(
    instance: DagsterInstance, settings: Settings
) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, A)
        decide_about(connection, B)
        add_list(connection, date(2026, 9, 20), 1, [10], B)
        roll_back(connection, "Worse.")
    assert request_retraining(instance, settings, "why not") == date(2026, 9, 20)


def test_other_observations_of_the_model_are_no_requests(
    instance: DagsterInstance, settings: Settings
) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        add_list(connection, date(2026, 9, 16), 1, [10], A)
    request_retraining(instance, settings, "why not")
    for observation in (
        AssetObservation("lightfm_model", partition="2026-09-18", metadata={"looked_at": "by hand"}),
        AssetObservation("lightfm_model", metadata={"looked_at": "by hand"}),
        AssetObservation(AssetKey("champion_model"), partition="2026-09-19"),
    ):
        instance.report_runless_asset_event(observation)
    assert requested_on(instance) == date(2026, 9, 16)


def test_only_an_open_request_can_be_withdrawn(instance: DagsterInstance, settings: Settings) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        add_list(connection, date(2026, 9, 16), 1, [10], A)
    with pytest.raises(NoOpenRequest, match="No retraining is requested"):
        withdraw_request(instance, settings, "why not")
    request_retraining(instance, settings, "why not")
    assert withdraw_request(instance, settings, "a mistake") == date(2026, 9, 16)
    assert requested_on(instance) is None
    with pytest.raises(NoOpenRequest, match="No retraining is requested"):
        withdraw_request(instance, settings, "again")
    request_retraining(instance, settings, "after all")
    put_down_run(instance, "train", DagsterRunStatus.STARTED, **{PARTITION_TAG: "2026-09-16"})
    with pytest.raises(NoOpenRequest, match="requested as of 2026-09-16 was started as of 2026-09-16"):
        withdraw_request(instance, settings, "too late")
    assert requested_on(instance) == date(2026, 9, 16)


def test_the_reasons_of_a_request_and_of_its_withdrawal_are_recorded(
    instance: DagsterInstance, settings: Settings
) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        add_list(connection, date(2026, 9, 20), 1, [10], A)
    request_retraining(instance, settings, "The catalogue was cleaned.")
    withdraw_request(instance, settings, "It was not.")
    records = instance.fetch_observations(AssetKey("lightfm_model"), limit=10).records
    reasons = [
        value.value
        for record in records
        if record.asset_observation
        for value in record.asset_observation.metadata.values()
    ]
    assert reasons == ["It was not.", "The catalogue was cleaned."]
