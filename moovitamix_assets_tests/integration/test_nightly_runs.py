"""The nightly schedule and the catch-up sensor: each day is materialized once, automatically, whatever failed."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from dagster import DagsterRunStatus, ResourceDefinition, RunRequest

from foundation.progress import NoProgress
from foundation.warehouse import opening
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.partitions import days_between, partitions_of_run
from moovitamix_assets_tests.conftest import LAST
from moovitamix_assets_tests.integration.automated import AutomatedDeployment, copy_of
from moovitamix_assets_tests.integration.deployment import Deployment
from moovitamix_assets_tests.unit.warehouse.second_process import holding

NIGHT = LAST + timedelta(days=1)
BEFORE = [LAST - timedelta(days=1), LAST]
OF_A_NIGHT = (
    "raw_users", "raw_tracks", "raw_listens", "users", "tracks", "listens",
    "recommendations", "recommendation_quality", "drift",
)  # fmt: skip
NOBODY = "http://127.0.0.1:9"

Make = Callable[..., AutomatedDeployment]


@pytest.fixture
def make(undisturbed: Deployment, clock_url: str, tmp_path: Path) -> Make:
    """Makes a deployment that is made up to LAST."""

    def make(**settings: object) -> AutomatedDeployment:
        return copy_of(undisturbed, tmp_path / "data", clock_url, **settings)

    return make


def keys(days: list[date]) -> list[str]:
    return [day.isoformat() for day in days]


def test_a_nightly_run_materializes_its_day_once_and_reads_the_days_before_again_for_late_records(
    make: Make,
) -> None:
    service = make(drift_minimum_rows=15)
    before = {
        asset: service.query(f"SELECT * FROM {asset} ORDER BY ALL")
        for asset in ("recommendations", "recommendation_quality", "drift")
    }
    service.at("2026-09-07T00:30")
    (request,) = service.tick("2026-09-07T00:30").run_requests

    assert request.tags["moovitamix/night"] == request.tags["moovitamix/night_from"] == f"{NIGHT}"
    assert partitions_of_run(request.tags) == [*BEFORE, NIGHT]
    assert request.asset_selection is None

    (run,) = service.start("nightly", [request])
    assert run.success
    requests = [
        event.materialization.metadata["requests"].value
        for event in run.get_asset_materialization_events()
        if event.asset_key.path[-1] == "raw_listens" and "requests" in event.materialization.metadata
    ]
    assert len(set(requests)) == 1, "one pull serves every day of the run"
    for asset in OF_A_NIGHT:
        assert service.made(asset)[-3:] == keys([*BEFORE, NIGHT])
    for asset, rows in before.items():
        day = {"recommendations": "generated_for"}.get(asset, "day")
        assert service.query(f"SELECT * FROM {asset} WHERE {day} < ? ORDER BY ALL", NIGHT) == rows
    for table, column in {
        "partition_loads": "changed_on",
        "recommendations": "generated_for",
        "recommendation_quality": "day",
        "drift": "day",
    }.items():
        assert service.query(f"SELECT 1 FROM {table} WHERE {column} = ? LIMIT 1", NIGHT), table
    assert service.query("SELECT DISTINCT generated_for FROM recommendations ORDER BY ALL") == [
        (LAST,),
        (NIGHT,),
    ]
    assert service.query("SELECT DISTINCT day FROM recommendation_quality") == [(NIGHT,)]

    service.at("2026-09-07T00:45")
    for again in (service.tick("2026-09-07T00:30"), service.look("catch_up")):
        assert not again.run_requests
        assert again.skip_message == f"Everything is up to date to {NIGHT}."


def test_missed_days_are_made_by_one_run_oldest_first_and_decided_about_once(make: Make) -> None:
    service = make()
    missed = days_between(NIGHT, date(2026, 9, 10))
    service.at("2026-09-11T12:00")
    for day in missed[:-1]:
        tick = service.tick(f"{day + timedelta(days=1)}T00:30")
        assert not tick.run_requests
        assert "was missed" in tick.skip_message
        assert f"{missed[-1]}" in tick.skip_message

    (request,) = service.look("catch_up").run_requests
    assert partitions_of_run(request.tags) == [*BEFORE, *missed]
    assert request.tags["moovitamix/night_from"] == f"{NIGHT}"
    assert [run.success for run in service.start("catch_up", [request])] == [True]
    for asset in OF_A_NIGHT:
        assert service.made(asset) == keys([*BEFORE, *missed])
    assert service.query("SELECT DISTINCT generated_for FROM recommendations ORDER BY ALL") == [
        (day,) for day in [LAST, *missed]
    ]
    assert "Everything is up to date" in service.look("catch_up").skip_message
    assert "Everything is up to date" in service.tick("2026-09-11T00:30").skip_message

    first, second = service.look("retraining"), service.look("retraining")
    assert [event.partition for event in first.asset_events] == [f"{missed[-1]}"]
    assert second.asset_events == []
    assert not second.run_requests
    assert (first.skip_message or "Retrain.") in second.skip_message


@pytest.mark.parametrize(
    ("moment", "message"),
    [("00:29", "up to date to 2026-09-05"), ("00:30", "up to date to 2026-09-05"), ("00:40", None)],
)
def test_catching_up_leaves_the_nightly_run_to_the_schedule_for_a_while(
    moment: str, message: str | None, make: Make
) -> None:
    service = make()
    service.at(f"2026-09-07T{moment}")
    found = service.look("catch_up")
    assert (message in found.skip_message) if message else len(found.run_requests) == 1


@pytest.mark.parametrize(
    ("job_name", "status"),
    [
        ("nightly", DagsterRunStatus.NOT_STARTED),
        ("nightly", DagsterRunStatus.CANCELING),
        ("ingest", DagsterRunStatus.STARTING),
        ("__ASSET_JOB", DagsterRunStatus.STARTED),
    ],
)
def test_nothing_is_asked_for_while_days_are_being_loaded(
    job_name: str, status: DagsterRunStatus, make: Make
) -> None:
    service = make()
    service.at("2026-09-08T12:00")
    service.run_under_way(job_name, status)
    for found in (service.tick("2026-09-08T00:30"), service.look("catch_up")):
        assert not found.run_requests
        assert f"of {job_name} is under way" in found.skip_message


def test_nothing_is_asked_for_where_nothing_was_ever_loaded(clock_url: str, tmp_path: Path) -> None:
    service = AutomatedDeployment(tmp_path / "nothing", clock_url)
    service.at("2026-09-08T12:00")
    looks = [service.look(sensor) for sensor in ("catch_up", "retraining", "freshness")]
    for found in [service.tick("2026-09-08T00:30"), *looks]:
        assert not found.run_requests
        assert "Run `moovitamix run`" in found.skip_message
    assert service.look("alerts").skip_message == "Open: nothing."
    assert not service.data_dir.exists()


def test_nothing_is_asked_for_while_another_process_holds_the_warehouse(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make()
    service.at("2026-09-08T12:00")
    monkeypatch.setattr(opening, "_LOCK_WAIT_SECONDS", 0.1)
    with holding(service.settings.warehouse_path) as process:
        looks = [service.look(sensor) for sensor in ("catch_up", "retraining", "freshness", "alerts")]
        for found in [service.tick("2026-09-08T00:30"), *looks]:
            assert not found.run_requests
            assert f"is held by process {process.pid}" in found.skip_message
    assert len(service.look("catch_up").run_requests) == 1


def test_a_nightly_run_that_fails_is_repeated_some_times_and_the_next_day_anew(make: Make) -> None:
    service = make(api_url=NOBODY, catch_up_attempts=2, lookback_days=1, request_retries=0)
    service.at("2026-09-07T01:00")
    tried = []
    for _ in range(2):
        (request,) = service.look("catch_up").run_requests
        tried.append(request.run_key)
        assert [run.success for run in service.start("catch_up", [request])] == [False]
    assert len(set(tried)) == 2
    given_up = service.look("catch_up")
    assert not given_up.run_requests
    assert "2 runs for 2026-09-06 failed" in given_up.skip_message

    service.at("2026-09-08T01:00")
    (anew,) = service.look("catch_up").run_requests
    assert anew.run_key not in tried
    assert partitions_of_run(anew.tags) == [NIGHT, NIGHT + timedelta(days=1)]


def test_a_failed_nightly_run_rests_before_it_is_tried_again(make: Make) -> None:
    service = make(api_url=NOBODY, catch_up_wait_minutes=10, lookback_days=1, request_retries=0)
    service.at("2026-09-07T01:00")
    service.start("nightly", service.tick("2026-09-07T00:30").run_requests)
    found = service.look("catch_up")
    assert not found.run_requests
    assert "it is repeated at" in found.skip_message


def test_a_nightly_run_that_failed_at_its_last_step_is_made_again(make: Make) -> None:
    class FailsAtMeasuring(NoProgress):
        def track(self, description: str):
            assert description != "quality of recommendations", "it cannot be measured"
            return super().track(description)

    service = make(lookback_days=1)
    sound = service.definitions
    service.at("2026-09-07T01:00")
    broken = ResourceDefinition.hardcoded_resource(FailsAtMeasuring())
    service.definitions = build_definitions(service.settings, {"progress": broken})
    assert [
        run.success for run in service.start("nightly", service.tick("2026-09-07T00:30").run_requests)
    ] == [False]
    assert service.lists(NIGHT)

    service.definitions = sound
    assert [run.success for run in service.start("catch_up", service.look("catch_up").run_requests)] == [True]
    assert service.made("recommendation_quality") == [f"{NIGHT}"]
    assert "Everything is up to date" in service.look("catch_up").skip_message


def test_a_day_that_a_user_repaired_is_left_alone(make: Make) -> None:
    service = make(lookback_days=1, api_url=NOBODY, request_retries=0)
    service.at("2026-09-07T01:00")
    (request,) = service.look("catch_up").run_requests
    assert [run.success for run in service.start("catch_up", [request])] == [False]
    sound = AutomatedDeployment(
        service.data_dir, service.settings.clock_url, service.instance, lookback_days=1
    )
    by_a_user = RunRequest(job_name="nightly", partition_key=f"{NIGHT}")
    assert sound.carry_out(by_a_user).success
    assert "Everything is up to date" in sound.look("catch_up").skip_message
