"""Which runs follow from a decision, and when recommendations are computed again."""

from datetime import date

import pytest

from foundation.models import promotions
from foundation.models.gate import Decision
from moovitamix_assets.automation.champion_decision import ChampionDecision
from moovitamix_assets.automation.retraining import RetrainingDecision
from moovitamix_assets.automation.retraining_runs import outdated_recommendations, requests_of
from moovitamix_assets.automation.rollback import RollbackDecision
from moovitamix_assets.automation.serving_decision import ServingDecision
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import SHADOW_RECOMMENDATIONS
from moovitamix_assets_tests.unit.warehouse.rows import add_list

DAY = date(2026, 9, 20)
A, B = "2026-09-14-aaaaaaaa", "2026-09-17-bbbbbbbb"


@pytest.fixture
def connection(tmp_path):
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        yield connection


def decide(connection, version, verdict, on=DAY):
    promotions.record(connection, version, on, Decision(verdict, "Why."), {})


def fall_back(connection):
    promotions.fall_back(connection, DAY, "Lost.", popularity_days=7, worse_since=DAY, metrics={})


def recommend(connection, version, *, shadow=False):
    add_list(connection, DAY, 1, [10], version, *([SHADOW_RECOMMENDATIONS] if shadow else []))


def keys(connection):
    return [request.run_key for request in outdated_recommendations(connection, DAY)]


def test_before_anything_is_decided_popular_tracks_are_current(connection):
    recommend(connection, "popularity")
    assert keys(connection) == []


def test_another_champion_recommends_again(connection):
    decide(connection, A, "promoted")
    recommend(connection, "popularity")
    assert keys(connection) == [f"recommend-{DAY}-{A}"]
    recommend(connection, A)
    assert keys(connection) == []


@pytest.mark.parametrize("champion", [None, A])
def test_a_candidate_that_enters_shadow_is_to_recommend_on_its_first_day(connection, champion):
    if champion:
        decide(connection, A, "promoted")
    recommend(connection, champion or "popularity")
    decide(connection, B, "shadow")
    (request,) = outdated_recommendations(connection, DAY)
    assert request.run_key == f"recommend-{DAY}-{champion or 'popularity'}-{B}"
    assert request.tags["moovitamix/reason"] == f"{champion or 'popularity'} serves; in shadow: {B}."
    recommend(connection, B, shadow=True)
    assert keys(connection) == []


def test_one_that_left_shadow_leaves_recommendations_that_need_not_be_made_again(connection):
    decide(connection, A, "promoted")
    recommend(connection, A)
    recommend(connection, B, shadow=True)
    assert keys(connection) == []


def test_a_fallback_serves_popular_tracks_to_all_and_the_champion_recommends_in_shadow(connection):
    decide(connection, A, "promoted")
    recommend(connection, A)
    fall_back(connection)
    assert keys(connection) == [f"recommend-{DAY}-popularity-{A}"]
    connection.execute("DELETE FROM recommendations")
    recommend(connection, "popularity")
    assert keys(connection) == [f"recommend-{DAY}-popularity-{A}"]
    recommend(connection, A, shadow=True)
    assert keys(connection) == []


@pytest.mark.parametrize(
    ("action", "rolls_back", "trains", "jobs"),
    [
        ("promote", True, True, ["decide"]),
        ("fall_back", False, True, ["decide"]),
        (None, True, True, ["rollback"]),
        (None, False, True, ["train", "recommend"]),
        (None, False, False, ["recommend"]),
    ],
)
def test_who_serves_goes_before_a_rollback_and_that_before_a_training(
    connection, action, rolls_back, trains, jobs
):
    decision = ChampionDecision(
        ServingDecision(action, DAY, B, "Better."),
        RollbackDecision(rolls_back, DAY, A, B, "Worse."),
        RetrainingDecision(trains, DAY, "age", "Old."),
    )
    decide(connection, A, "promoted")
    requests = requests_of(decision, outdated_recommendations(connection, DAY))
    assert [request.job_name for request in requests] == jobs
    if action:
        assert requests[0].run_key == f"{action}-{B}-{DAY}"
        assert requests[0].run_config == {"ops": {"decide_about_serving": {"config": {"day": f"{DAY}"}}}}
