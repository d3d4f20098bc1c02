"""The sensor that decides about the champion: once for each day, never while a run that matters is under way."""

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
)

from foundation.run_tags import PARTITION_TAG
from foundation.warehouse.errors import WarehouseLocked
from moovitamix_assets.automation.jobs import DECIDE_JOB, JOBS, ROLLBACK_JOB
from moovitamix_assets.automation.sensors import build_sensors
from moovitamix_assets.automation.training_records import request_retraining, withdraw_request
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import add_quality, decide_about, put_down_run
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_plays

DAY = date(2026, 9, 20)
A, B = "2026-09-14-aaaaaaaa", "2026-09-17-bbbbbbbb"

ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
UNDER_WAY = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)

Fill = Callable[[duckdb.DuckDBPyConnection], object]


class Watch:
    """A deployment and its sensor, whose cursor is kept as the daemon keeps it."""

    def __init__(self, data_dir: Path, instance: DagsterInstance) -> None:
        self.instance = instance
        self.settings = Settings(data_dir=data_dir, retraining_cooldown_days=2)
        self.cursor: str | None = None

    def switch(self, **settings: object) -> None:
        self.settings = self.settings.changed(**settings)

    def fill(self, *fills: Fill) -> None:
        with write_warehouse(self.settings.warehouse_path) as connection:
            for fill in fills:
                fill(connection)

    def look(self) -> SensorResult | SkipReason:
        (sensor,) = (each for each in build_sensors(self.settings) if each.name == "retraining")
        found = sensor(build_sensor_context(instance=self.instance, cursor=self.cursor))
        self.cursor = getattr(found, "cursor", None) or self.cursor
        return found

    def requests(self) -> list[RunRequest]:
        found = self.look()
        return list(found.run_requests or []) if isinstance(found, SensorResult) else []

    def said(self) -> str:
        found = self.look()
        return str(found.skip_message if isinstance(found, SkipReason) else found.skip_reason.skip_message)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with DagsterInstance.ephemeral() as instance:
        yield Watch(tmp_path, instance)


def listed(version: str, day: date = DAY) -> Fill:
    def fill(connection: duckdb.DuckDBPyConnection) -> None:
        add_list(connection, day, 1, [10], version)
        add_plays(connection, date(2026, 9, 1))

    return fill


def promoted(version: str) -> Fill:
    return lambda connection: decide_about(connection, version)


def test_nothing_is_decided_before_there_is_anything_to_decide_on(watch: Watch) -> None:
    assert "moovitamix run" in watch.said()
    watch.fill(promoted(A))
    assert "no recommendations yet" in watch.said()
    assert watch.cursor is None


def test_a_warehouse_that_is_written_is_checked_later(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(path: Path) -> None:
        raise WarehouseLocked("Process 7 holds the warehouse.")

    monkeypatch.setattr("moovitamix_assets.automation.retraining_runs.read_warehouse", locked)
    assert watch.said() == "Process 7 holds the warehouse."


def test_a_day_is_decided_about_once_and_the_next_day_anew(watch: Watch) -> None:
    watch.fill(listed("popularity"))
    first = watch.look()
    (training,) = first.run_requests
    assert (training.job_name, training.partition_key) == ("train", f"{DAY}")
    assert training.run_key == f"retrain-{DAY}"
    assert training.tags["moovitamix/trigger"] == "no champion"
    assert [event.partition for event in first.asset_events] == [f"{DAY}"]

    for _ in range(2):
        again = watch.look()
        assert (again.run_requests, again.asset_events, again.cursor) == ([], [], None)
        assert again.skip_reason.skip_message.startswith("Decided already: Retrain. ")

    watch.fill(listed("popularity", DAY + timedelta(days=1)))
    assert [request.run_key for request in watch.requests()] == [f"retrain-{DAY + timedelta(days=1)}"]


def test_no_training_is_started_where_there_is_nothing_to_learn(watch: Watch) -> None:
    def new(connection: duckdb.DuckDBPyConnection) -> None:
        add_list(connection, DAY, 1, [10], "popularity")
        add_plays(connection, DAY - timedelta(days=6))

    watch.fill(new)
    said = watch.said()
    assert "there is no champion" in said
    assert "but nothing was played before 2026-09-14, the first of the 7 days on which a candidate" in said
    assert "Decided already: Nothing changes. A training is due" in watch.said()
    # Earlier days that are loaded later count at once.
    watch.fill(lambda connection: add_plays(connection, DAY - timedelta(days=7)))
    assert [request.run_key for request in watch.requests()] == [f"retrain-{DAY}"]


def test_a_users_request_and_a_changed_switch_are_decided_about_at_once(watch: Watch) -> None:
    watch.fill(promoted(B), listed(B))
    assert "Nothing changes." in watch.said()
    assert "Decided already: Nothing changes." in watch.said()
    watch.switch(automatic_retraining=False)
    assert "switched off" in watch.said()
    assert "Decided already" in watch.said()
    request_retraining(watch.instance, watch.settings, "the catalogue was cleaned")
    (training,) = watch.requests()
    assert training.tags["moovitamix/trigger"] == "requested"
    assert watch.requests() == []


def test_a_request_is_acknowledged_at_the_next_tick_with_what_it_waits_for(watch: Watch) -> None:
    trained = f"{DAY}-dddddddd"
    watch.fill(promoted(trained), listed(trained))
    assert "no user requested one" in watch.said()
    assert request_retraining(watch.instance, watch.settings, "why not") == DAY + timedelta(days=1)
    under_way = put_down_run(watch.instance, "nightly", DagsterRunStatus.STARTED)
    assert "The request as of 2026-09-21 is decided about once it has ended." in watch.said()
    watch.instance.report_run_canceled(under_way)
    assert "waits for the recommendations of 2026-09-21, which the nightly run computes on" in watch.said()
    put_down_run(watch.instance, "nightly", DagsterRunStatus.STARTED)
    assert watch.said() == "A run of nightly is under way."


def test_a_request_that_was_withdrawn_is_trained_no_more(watch: Watch) -> None:
    watch.fill(promoted(B), listed(B))
    request_retraining(watch.instance, watch.settings, "why not")
    assert withdraw_request(watch.instance, watch.settings, "a mistake") == DAY
    assert watch.requests() == []
    assert "no user requested one" in watch.said()
    request_retraining(watch.instance, watch.settings, "after all")
    assert len(watch.requests()) == 1


def test_switched_off_nothing_is_trained_or_taken_back(watch: Watch) -> None:
    watch.switch(automatic_retraining=False)
    watch.fill(listed("popularity"))
    assert watch.requests() == []
    watch.switch(automatic_retraining=True)
    assert len(watch.requests()) == 1


@pytest.mark.parametrize("status", [*UNDER_WAY, *ENDED])
def test_a_run_counts_as_under_way_from_its_request_to_its_end(
    tmp_path: Path, status: DagsterRunStatus
) -> None:
    for number, job_name in enumerate(("nightly", "train", "rollback", "recommend", "recommend_and_measure")):
        with DagsterInstance.ephemeral() as instance:
            watch = Watch(tmp_path, instance)
            if number == 0:
                watch.fill(listed("popularity"))
            put_down_run(instance, job_name, status)
            found = watch.look()
        assert isinstance(found, SensorResult) is (status in ENDED)
        if status in UNDER_WAY:
            assert found.skip_message == f"A run of {job_name} is under way."
            assert watch.cursor is None


def test_runs_of_other_jobs_hold_nothing_back(watch: Watch) -> None:
    watch.fill(listed("popularity"))
    put_down_run(watch.instance, "ingest", DagsterRunStatus.STARTED)
    assert len(watch.requests()) == 1


@pytest.mark.parametrize("status", [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED])
def test_a_training_that_failed_is_waited_after_like_any_other_in_vain(
    watch: Watch, status: DagsterRunStatus
) -> None:
    watch.fill(listed("popularity"))
    failed = DAY - timedelta(days=3)
    put_down_run(watch.instance, "train", status, **{PARTITION_TAG: f"{failed}"})
    assert (
        f"it waits until {failed + timedelta(days=4)}, 4 days after the training of {failed}" in watch.said()
    )
    watch.fill(listed("popularity", DAY + timedelta(days=1)))
    assert len(watch.requests()) == 1


def test_recommendations_are_made_again_until_the_champion_has_made_them(watch: Watch) -> None:
    watch.fill(promoted(A), listed("popularity"), promoted(B))
    (remake,) = watch.requests()
    assert (remake.job_name, remake.partition_key) == ("recommend", f"{DAY}")
    # One and the same key, so that Dagster starts it once however often it is requested.
    assert remake.run_key == f"recommend-{DAY}-{B}"
    assert [request.run_key for request in watch.requests()] == [remake.run_key]
    # Cold users keep popular tracks: one list of the version's is enough.
    watch.fill(lambda connection: add_list(connection, DAY, 2, [10], B))
    assert watch.requests() == []


def test_popular_recommendations_are_right_while_no_version_is_in_force(watch: Watch) -> None:
    watch.switch(automatic_retraining=False)
    watch.fill(listed("popularity"), lambda connection: decide_about(connection, A, "rejected"))
    assert watch.requests() == []


def test_a_version_promoted_for_a_later_day_makes_no_recommendations_of_an_earlier_one(watch: Watch) -> None:
    watch.switch(automatic_retraining=False)
    watch.fill(promoted(A), listed(A), promoted(f"{DAY + timedelta(days=1)}-cccccccc"))
    assert watch.requests() == []


def test_a_bad_champion_is_taken_back_once_before_anything_else(watch: Watch) -> None:
    def worse(connection: duckdb.DuckDBPyConnection) -> None:
        add_quality(connection, DAY - timedelta(days=5), A, [0.080, 0.081, 0.079])
        add_quality(connection, DAY - timedelta(days=2), B, [0.031, 0.030, 0.029])

    # The newest lists are the previous version's: they are made again after the rollback only, if at all.
    watch.fill(
        promoted(A), listed(A, DAY - timedelta(days=1)), promoted(B), listed(B, DAY - timedelta(days=2))
    )
    watch.fill(listed(A), worse)
    watch.switch(retraining_age_days=1)
    (back,) = watch.requests()
    assert (back.job_name, back.run_key) == ("rollback", f"rollback-{B}-{DAY}")
    config = back.run_config["ops"]["roll_back_champion"]["config"]
    assert config == {"model_version": B, "reason": back.tags["moovitamix/reason"]}
    assert back.tags["moovitamix/trigger"] == "worse"
    assert "rollback" not in {request.job_name for request in watch.requests()}
    assert json.loads(watch.cursor)["decision"].startswith("Roll back. Clearly worse: ")


def test_every_job_that_is_requested_is_defined() -> None:
    defined = {job.name for job in [*JOBS, DECIDE_JOB, ROLLBACK_JOB]}
    for sensor in build_sensors(Settings()):
        assert {target.job_name for target in sensor.targets} <= defined
