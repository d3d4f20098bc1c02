"""Automatic notifications: a late day, failed runs, decisions; each once."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, AssetSelection

from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.tables import empty_frame
from foundation.warehouse import opening
from foundation_tests.unit.operations.sinks import webhook_sink
from moovitamix_assets.automation.jobs import FRESHNESS_CHECKS, ROLLBACK_JOB
from moovitamix_assets.operations.freshness import WATCHED
from moovitamix_assets.partitions import days_between
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS
from moovitamix_assets_tests.conftest import FIRST, LAST
from moovitamix_assets_tests.integration.automated import AutomatedDeployment, copy_of
from moovitamix_assets_tests.integration.deployment import Deployment
from moovitamix_assets_tests.unit.warehouse.second_process import holding

NIGHT = LAST + timedelta(days=1)
NOBODY = "http://127.0.0.1:9"

Make = Callable[..., AutomatedDeployment]


@pytest.fixture
def make(undisturbed: Deployment, clock_url: str, tmp_path: Path) -> Make:
    """Makes a deployment that is made up to LAST, as Dagster's records tell as well."""

    def make(**settings: object) -> AutomatedDeployment:
        service = copy_of(undisturbed, tmp_path / "data", clock_url, **settings)
        for asset in WATCHED:
            service.history(asset, *days_between(FIRST, LAST))
        return service

    return make


@pytest.fixture
def sink() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Where alerts go, and those that came."""
    with webhook_sink() as (url, calls):
        yield url, calls


def stored(service: AutomatedDeployment) -> dict[AssetCheckKey, tuple[Any, ...]]:
    """What Dagster's records say of each check of freshness, as of its newest evaluation."""
    found = {}
    for key in FRESHNESS_CHECKS:
        (record,) = service.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        told = {name: value.value for name, value in evaluation.metadata.items()}
        found[key] = (evaluation.passed, evaluation.description, told["expected"], told["newest"])
    return found


def late(service: AutomatedDeployment) -> set[str]:
    found = stored(service)
    return {asset for asset in WATCHED if not found[check(asset)][0]}


def check(asset: str, name: str = "made_in_time") -> AssetCheckKey:
    return AssetCheckKey(AssetKey(asset), name)


def test_a_day_is_missed_from_its_hour_on_whatever_is_made_of_older_days(make: Make) -> None:
    service = make()
    service.at("2026-09-07T03:29")
    service.look("freshness")
    assert late(service) == set()
    service.at("2026-09-07T03:30")
    service.look("freshness")
    assert late(service) == set(WATCHED)
    assert stored(service)[check("listens")][1:] == (
        f"{NIGHT} is missing; the newest day there: {LAST}.",
        f"{NIGHT}",
        f"{LAST}",
    )

    assert service.look("freshness").asset_events == []
    for asset in WATCHED:
        service.history(asset, FIRST)
    service.look("freshness")
    assert late(service) == set(WATCHED)

    service.history("listens", NIGHT)
    assert len(service.look("freshness").asset_events) == len(FRESHNESS_CHECKS)
    assert late(service) == set(WATCHED) - {"listens"}


def test_a_first_load_is_no_outage_while_it_is_made_nor_afterwards(
    undisturbed: Deployment, clock_url: str, tmp_path: Path
) -> None:
    service = copy_of(undisturbed, tmp_path / "data", clock_url)
    service.at("2026-09-07T01:00")  # Still before the hour by which LAST + 1 must be there.
    service.history("listens", *days_between(FIRST, NIGHT))
    service.look("freshness")
    assert late(service) == set()
    assert service.look("alerts").skip_message == "Open: nothing."

    service.edit("UPDATE partition_loads SET loaded_at = loaded_at - INTERVAL 3 HOURS")
    service.look("freshness")
    assert late(service) == {"recommendations", "recommendation_quality"}
    for asset in ("recommendations", "recommendation_quality"):
        service.history(asset, NIGHT)
    service.look("freshness")
    assert late(service) == set()


def test_a_user_who_looks_now_is_reported_what_the_sensor_put_down(make: Make) -> None:
    service = make()
    service.at("2026-09-07T04:00")
    service.history("recommendations", NIGHT)
    service.look("freshness")
    by_itself = stored(service)
    result = service.execute(AssetSelection.checks(*FRESHNESS_CHECKS))
    assert len(result.get_asset_check_evaluations()) == len(FRESHNESS_CHECKS)
    assert stored(service) == by_itself
    assert {passed for passed, *_ in by_itself.values()} == {True, False}


def test_a_source_that_stands_still_is_noticed_though_its_days_are_made(make: Make) -> None:
    service = make()
    service.at("2026-09-06T12:00")
    service.look("freshness")
    assert all(passed for passed, *_ in stored(service).values())
    service.edit("DELETE FROM listens WHERE listened_at >= '2026-09-04'")
    service.look("freshness")
    found = stored(service)
    assert all(found[check(asset)][0] for asset in WATCHED)
    passed, finding, expected, newest = found[check("listens", "newest_listen")]
    assert not passed
    assert newest.startswith("2026-09-03 ")
    assert expected == "2026-09-05 00:00"
    assert f"known as of {LAST}" in finding


def test_one_outage_is_one_message_and_so_is_its_end(
    make: Make, sink: tuple[str, list[dict[str, Any]]]
) -> None:
    url, calls = sink
    service = make(alert_urls=url, lookback_days=1, catch_up_attempts=4)
    source = service.settings.source.api_url
    broken = AutomatedDeployment(
        service.data_dir,
        source,
        service.instance,
        api_url=NOBODY,
        request_retries=0,
        alert_urls=url,
        lookback_days=1,
    )
    broken.at("2026-09-07T00:45")
    broken.look("alerts")
    assert calls == []
    broken.start("catch_up", broken.look("catch_up").run_requests)
    broken.look("alerts")
    assert [call["title"] for call in calls] == [f"MooVitamix: The job nightly failed for {NIGHT}"]

    broken.start("catch_up", broken.look("catch_up").run_requests)
    broken.look("alerts")
    broken.at("2026-09-07T04:00")
    found = broken.look("alerts")
    assert len(calls) == 1
    assert "run:nightly" in found.skip_message
    assert broken.runs() == {"nightly": 2}

    service.cursors = broken.cursors
    assert [run.success for run in service.start("catch_up", service.look("catch_up").run_requests)] == [True]
    for _ in range(2):
        assert service.look("alerts").skip_message == "Open: nothing."
    assert len(calls) == 2
    assert "Over: run:nightly" in calls[1]["message"]


def test_a_nightly_run_that_failed_and_a_day_that_is_late_are_one_message(
    make: Make, sink: tuple[str, list[dict[str, Any]]]
) -> None:
    url, calls = sink
    service = make(api_url=NOBODY, request_retries=0, alert_urls=url, lookback_days=1)
    service.at("2026-09-07T04:00")
    service.start("catch_up", service.look("catch_up").run_requests)
    for _ in range(2):
        service.look("alerts")
    (call,) = calls
    assert call["title"] == f"MooVitamix: The job nightly failed for {NIGHT}"
    assert "With it: listens, recommendation_quality, recommendations: not up to date" in call["message"]


def test_a_nightly_run_that_fails_is_reported_though_another_process_holds_the_warehouse(
    make: Make, sink: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, calls = sink
    service = make(api_url=NOBODY, request_retries=0, alert_urls=url, lookback_days=1)
    service.at("2026-09-07T04:00")
    service.look("alerts")
    assert [call["title"].partition(": ")[2] for call in calls] == [
        "listens, recommendation_quality, recommendations: not up to date"
    ]
    service.start("catch_up", service.look("catch_up").run_requests)
    monkeypatch.setattr(opening, "_LOCK_WAIT_SECONDS", 0.1)
    with holding(service.settings.warehouse_path):
        for _ in range(2):
            found = service.look("alerts")
            assert found.skip_message.startswith("Open: freshness, run:nightly. The warehouse")
    assert service.look("alerts").skip_message == "Open: freshness, run:nightly."
    assert len(calls) == 2
    assert calls[1]["title"] == f"MooVitamix: The job nightly failed for {NIGHT}"


def decided(service: AutomatedDeployment, version: str, decision: str) -> None:
    candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), empty_frame(MODEL_EVALUATIONS))
    with write_warehouse(service.settings.warehouse_path) as connection:
        record_decision(connection, candidate, LAST, Decision(decision, "By the test."), {})


def test_decisions_are_reported_once_each(make: Make, sink: tuple[str, list[dict[str, Any]]]) -> None:
    url, calls = sink
    service = make(alert_urls=url)
    service.at("2026-09-06T12:00")
    decided(service, f"{LAST}-00000001", "rejected")
    decided(service, f"{LAST}-00000002", "promoted")
    for _ in range(2):
        service.look("alerts")
    assert [call["title"] for call in calls] == [f"MooVitamix: The candidate {LAST}-00000001 was rejected"]
    job = service.definitions.resolve_job_def(ROLLBACK_JOB.name)
    assert job.execute_in_process(instance=service.instance).success
    for _ in range(2):
        service.look("alerts")
    assert len(calls) == 2
    assert calls[1]["title"] == f"MooVitamix: The champion {LAST}-00000002 was rolled back"


@pytest.mark.parametrize("automatic", [True, False])
def test_recommendations_that_became_worse_are_reported_once_whether_or_not_anything_is_done_about_it(
    automatic: bool, make: Make, sink: tuple[str, list[dict[str, Any]]]
) -> None:
    url, calls = sink
    service = make(alert_urls=url, automatic_retraining=automatic)
    service.at("2026-09-06T12:00")
    ((champion,),) = service.query("SELECT model_version FROM promotions")
    service.measured(champion, dict.fromkeys(days_between(date(2026, 9, 3), LAST), 0.01))
    for _ in range(2):
        assert service.look("alerts").skip_message == "Open: degraded."
    (call,) = calls
    assert call["title"] == "MooVitamix: The quality of the recommendations has dropped"
    assert "Since: 2026-09-03" in call["message"]
    assert ("switched off (automatic_retraining)" in call["message"]) is not automatic
    service.edit("UPDATE recommendation_quality SET ndcg_at_10 = 0.06")
    service.look("alerts")
    assert "Over: degraded" in calls[-1]["message"]
    assert len(calls) == 2
