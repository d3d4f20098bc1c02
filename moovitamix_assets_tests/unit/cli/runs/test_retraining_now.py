"""When `moovitamix retrain --now` trains, and which runs follow; the runs themselves are played here."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from foundation.progress import NoProgress
from foundation.run_tags import PARTITION_TAG
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from moovitamix_assets.automation.training_records import NothingServed
from moovitamix_assets.cli.runs import retraining_now
from moovitamix_assets.cli.runs.retraining_now import NotTrainedNow, Retrained, train_now
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import decide_about, put_down_run
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_plays
from moovitamix_assets_tests.unit.warehouse.second_process import holding

DAY = date(2026, 9, 20)
BEFORE, CANDIDATE = "2026-09-19-aaaaaaaa", f"{DAY}-bbbbbbbb"

Runs = list[tuple[str, Mapping[str, str]]]


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as records:
        yield records


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        add_plays(connection, date(2026, 9, 1))
        decide_about(connection, BEFORE)
        add_list(connection, DAY, 1, [10], BEFORE)
    return settings


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """The runs, by job and tags; a training promotes its candidate."""
    runs: Runs = []

    def run_job(job: str, settings: Settings, tags: Mapping[str, str], *_: object) -> None:
        runs.append((job, tags))
        if job == "train":
            with write_warehouse(settings.warehouse_path) as connection:
                decide_about(connection, CANDIDATE)

    monkeypatch.setattr(retraining_now, "run_job", run_job)
    return runs


def trained(settings: Settings, instance: DagsterInstance) -> Retrained:
    return train_now(settings, instance, NoProgress(), "the catalogue was cleaned")


def test_a_candidate_is_trained_in_spite_of_the_cool_down_and_recommends_if_it_is_promoted(
    settings: Settings, instance: DagsterInstance, made: Runs
) -> None:
    outcome = trained(settings, instance)
    assert [(job, tags[PARTITION_TAG]) for job, tags in made] == [
        ("train", f"{DAY}"),
        ("recommend", f"{DAY}"),
    ]
    assert made[0][1]["moovitamix/reason"] == "the catalogue was cleaned"
    assert made[0][1]["moovitamix/trigger"] == "requested"
    assert (outcome.day, outcome.decision.model_version, outcome.recommended) == (DAY, CANDIDATE, True)
    with pytest.raises(NotTrainedNow, match=f"the candidate of {DAY} was trained and decided about already"):
        trained(settings, instance)


def test_a_running_training_forbids_another(
    settings: Settings, instance: DagsterInstance, made: Runs
) -> None:
    put_down_run(instance, "train", DagsterRunStatus.QUEUED, **{PARTITION_TAG: "2026-09-01"})
    with pytest.raises(NotTrainedNow, match="of train is under way"):
        trained(settings, instance)
    assert made == []


def test_a_used_up_budget_forbids_a_training(
    settings: Settings, instance: DagsterInstance, made: Runs
) -> None:
    settings = settings.changed(retraining_budget=2)
    put_down_run(
        instance, "train", DagsterRunStatus.FAILURE, **{PARTITION_TAG: f"{DAY - timedelta(days=29)}"}
    )
    with pytest.raises(NotTrainedNow, match="waits until 2026-09-21, as the 2 trainings allowed in 30 days"):
        trained(settings, instance)
    assert made == []


def test_without_anything_to_learn_or_to_improve_nothing_is_trained(
    tmp_path: Path, instance: DagsterInstance, made: Runs
) -> None:
    settings = Settings(data_dir=tmp_path / "new")
    with pytest.raises(WarehouseMissing):
        trained(settings, instance)
    with write_warehouse(settings.warehouse_path) as connection:
        add_plays(connection, DAY)
    with pytest.raises(NothingServed, match="moovitamix run"):
        trained(settings, instance)
    with write_warehouse(settings.warehouse_path) as connection:
        add_list(connection, DAY, 1, [10], "popularity")
    with pytest.raises(NotTrainedNow, match="nothing was played before 2026-09-14"):
        trained(settings, instance)
    assert made == []


def test_a_warehouse_that_another_program_reads_is_named_before_anything_is_trained(
    settings: Settings, instance: DagsterInstance, made: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.warehouse.opening._LOCK_WAIT_SECONDS", 0.1)
    with (
        holding(settings.warehouse_path, "reading") as reader,
        pytest.raises(WarehouseLocked, match=f"held by process {reader.pid} "),
    ):
        trained(settings, instance)
    assert made == []
