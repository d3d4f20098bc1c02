"""Which incidents there are: by real runs in a real instance, and by decisions in a real warehouse."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from foundation.models.promotions import fall_back, insert_decision
from foundation.run_tags import PARTITION_TAG
from foundation.warehouse.rows import insert
from foundation_tests.unit.operations.small_jobs import run
from moovitamix_assets.operations.incidents import decision_incidents, run_incidents
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import PROMOTIONS, RECOMMENDATIONS

SETTINGS = Settings(ui_url="http://ui", catch_up_attempts=3)
NEWEST = date(2026, 10, 20)


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as records:
        yield records


def keys(instance: DagsterInstance) -> list[str]:
    return [incident.key for incident in run_incidents(instance, SETTINGS)]


def test_a_run_that_failed_is_reported_with_what_was_raised(instance: DagsterInstance) -> None:
    days = range_tags(date(2026, 10, 1), date(2026, 10, 4))
    failed = run(instance, "nightly", "raise", tags=days)
    (incident,) = run_incidents(instance, SETTINGS)
    assert incident.key == "run:nightly"
    assert incident.title == "The job nightly failed for 2026-10-01 to 2026-10-04"
    assert incident.details == ("users: Page 2 of users could not be read",)
    assert incident.link == f"http://ui/runs/{failed.run_id}"
    assert "after 3 failed runs" in incident.done
    assert incident.lasting


def test_a_check_that_stopped_a_run_is_reported_with_its_finding(instance: DagsterInstance) -> None:
    run(instance, "train", "lose", tags={PARTITION_TAG: "2026-10-04"})
    (incident,) = run_incidents(instance, SETTINGS)
    assert incident.title == "The job train failed for 2026-10-04"
    assert "users/nothing_lost: 3 records are lost" in incident.details
    assert incident.done.startswith("the version that serves users stays")


@pytest.mark.parametrize("job", ["rollback", "decide"])
def test_a_rollback_or_decision_that_failed_is_an_event_that_does_not_stay_open(
    instance: DagsterInstance, job: str
) -> None:
    failed = run(instance, job, "raise")
    (incident,) = run_incidents(instance, SETTINGS)
    assert (incident.key, incident.lasting) == (f"run:{job}:{failed.run_id}", False)


def test_an_outage_begins_with_its_first_failure_and_counts_its_runs(instance: DagsterInstance) -> None:
    ended = [run(instance, "ingest", do).run_id for do in ("raise", "well", "raise", "lose")]
    records = {record.dagster_run.run_id: record for record in instance.get_run_records()}
    # Minutes apart, so that the minute told says which of them it is.
    storage = instance.run_storage
    for minutes, run_id in enumerate(ended):
        moment = records[run_id].create_timestamp.timestamp() + 60 * minutes
        with storage.connect() as connection:
            connection.exec_driver_sql("UPDATE runs SET end_time = ? WHERE run_id = ?", (moment, run_id))
    (incident,) = run_incidents(instance, SETTINGS)
    third = records[ended[2]].create_timestamp + timedelta(minutes=2)
    assert incident.since == f"{third:%Y-%m-%d %H:%M} UTC"
    assert incident.details == (
        "users/nothing_lost: 3 records are lost",
        "2 runs failed since the last success",
    )
    assert incident.link == f"http://ui/runs/{ended[3]}"


def test_a_long_run_that_failed_after_a_short_one_succeeded_is_a_failure(instance: DagsterInstance) -> None:
    long = run(instance, "ingest", "raise").run_id
    run(instance, "ingest")
    assert keys(instance) == []
    with instance.run_storage.connect() as connection:
        connection.exec_driver_sql("UPDATE runs SET end_time = end_time + 9 WHERE run_id = ?", (long,))
    assert keys(instance) == ["run:ingest"]


def test_what_succeeded_since_was_canceled_or_is_another_job_is_no_problem(instance: DagsterInstance) -> None:
    run(instance, "ingest", "raise")
    run(instance, "ingest")
    run(instance, "other", "raise")
    canceled = instance.create_run_for_job(_job("train"))
    instance.report_run_canceled(canceled)
    assert instance.get_run_by_id(canceled.run_id).status is DagsterRunStatus.CANCELED
    assert keys(instance) == []


def test_a_cancellation_neither_ends_nor_hides_an_outage(instance: DagsterInstance) -> None:
    run(instance, "ingest", "raise")
    instance.report_run_canceled(instance.create_run_for_job(_job("ingest")))
    assert keys(instance) == ["run:ingest"]


def test_a_run_whose_process_died_is_a_problem_without_a_step(instance: DagsterInstance) -> None:
    instance.report_run_failed(instance.create_run_for_job(_job("recommend")), "The process is gone.")
    (incident,) = run_incidents(instance, SETTINGS)
    assert incident.key == "run:recommend"
    assert incident.details == ("The process is gone.",)


def test_assets_chosen_by_hand_are_watched_too(instance: DagsterInstance) -> None:
    run(instance, "__ASSET_JOB", "raise")
    (incident,) = run_incidents(instance, SETTINGS)
    assert incident.key == "run:__ASSET_JOB"
    assert incident.title == "A run of assets chosen by hand failed"


def _job(name: str):
    from dagster import GraphDefinition

    return GraphDefinition(name=name).to_job(name=name)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    def decided(version: str, days_ago: int, decision: str, reason: str, previous: str | None):
        as_of = pd.Timestamp(NEWEST) - pd.Timedelta(days=days_ago)
        return (version, as_of, as_of + pd.Timedelta(days=1), decision, reason, "{}", previous)

    rows = [
        decided("w9", 9, "rejected", "out of any week told here", None),
        decided("v0", 8, "rejected", "too old to be told", None),
        decided("v1", 7, "rejected", "too old by a day", None),
        decided("v2", 6, "rejected", "not better than popularity", None),
        decided("v3", 5, "promoted", "better", None),
        decided("v4", 4, "promoted", "better", "v3"),
        decided("v3", 3, "rolled_back", "worse for 3 days", "v4"),
        decided("v5", 2, "rejected", "worse than the champion", "v3"),
    ]
    path = tmp_path / "warehouse.duckdb"
    with write_warehouse(path) as connection:
        decisions = [(*row, number) for number, row in enumerate(rows, start=1)]
        insert(connection, PROMOTIONS, pd.DataFrame(decisions, columns=list(PROMOTIONS.columns)))
    return path


def told(path: Path) -> list[tuple[str, str, str]]:
    with read_warehouse(path) as connection:
        incidents = decision_incidents(connection, SETTINGS.operations.ui_url)
    assert all(
        not incident.lasting and incident.link.startswith("http://ui/assets/") for incident in incidents
    )
    return [(incident.key, incident.details[0], incident.done) for incident in incidents]


def listed(path: Path, day: date) -> None:
    columns = dict.fromkeys(RECOMMENDATIONS.columns, 1) | {
        "source": "model",
        "model_version": "v3",
        **dict.fromkeys(("generated_for", "generated_at", "expires_at"), pd.Timestamp(day)),
    }
    with write_warehouse(path) as connection:
        insert(connection, RECOMMENDATIONS, pd.DataFrame([columns]))


def test_the_decisions_of_the_last_week_are_events(warehouse: Path) -> None:
    listed(warehouse, NEWEST)
    assert told(warehouse) == [
        ("rejected:v2", "not better than popularity", "users still get popular tracks."),
        (
            "rollback:v3:2026-10-17",
            "worse for 3 days",
            "v3 is the champion again; it makes the next recommendations.",
        ),
        ("rejected:v5", "worse than the champion", "v3 stays the champion."),
    ]


def test_the_week_ends_with_the_newest_recommendations(warehouse: Path) -> None:
    listed(warehouse, NEWEST + timedelta(days=4))
    assert [key for key, _, _ in told(warehouse)] == ["rejected:v5"]


def test_without_recommendations_the_week_ends_with_the_newest_decision(warehouse: Path) -> None:
    assert next(key for key, _, _ in told(warehouse)) == "rejected:v0"


def fall_back_on_newest(path: Path) -> None:
    with write_warehouse(path) as connection:
        fall_back(
            connection,
            NEWEST,
            "worse for 2 days",
            popularity_days=7,
            worse_since=date(2026, 10, 19),
            metrics={},
        )


def test_a_fallback_is_one_lasting_incident_until_the_champion_returns(warehouse: Path) -> None:
    fall_back_on_newest(warehouse)
    with read_warehouse(warehouse) as connection:
        incident, *events = decision_incidents(connection, SETTINGS.operations.ui_url)
    assert (incident.key, incident.since, incident.lasting) == ("fallback", str(NEWEST), True)
    assert incident.title == "Popular tracks serve instead of the champion"
    assert incident.details == ("worse for 2 days",)
    assert incident.done.startswith(
        "users get the popular tracks of the last 7 days. v3 is measured in shadow"
    )
    assert all(not event.lasting for event in events)
    with write_warehouse(warehouse) as connection:
        insert_decision(connection, "v3", NEWEST, "promoted", "clearly better again", {}, "v3")
    assert "fallback" not in [key for key, _, _ in told(warehouse)]


def test_a_candidate_rejected_in_a_fallback_leaves_popular_tracks_to_users(warehouse: Path) -> None:
    fall_back_on_newest(warehouse)
    with write_warehouse(warehouse) as connection:
        insert_decision(connection, "v6", NEWEST, "rejected", "worse than popularity", {}, "v3")
        incidents = decision_incidents(connection, "http://ui")
    assert incidents[-1].done == "v3 stays the champion, in shadow; users still get popular tracks."


@pytest.mark.parametrize("outcome", ["promoted", "rejected"])
def test_what_becomes_of_a_challenger_is_no_incident(warehouse: Path, outcome: str) -> None:
    before = told(warehouse)
    with write_warehouse(warehouse) as connection:
        # It went into shadow before the days of which decisions are read.
        insert_decision(connection, "v6", NEWEST - timedelta(days=9), "shadow", "not clear", {}, "v3")
        insert_decision(connection, "v6", NEWEST - timedelta(days=2), outcome, "after a week", {}, "v3")
    assert told(warehouse) == before
