"""What decisions rest on, read from a real warehouse."""

from datetime import date

import pandas as pd
import pytest

from foundation.models.decisions import Challenger, Champion, Standing
from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.tables import empty_frame
from foundation.warehouse.rows import insert
from moovitamix_assets.automation.evidence import (
    DayDrift,
    DayQuality,
    Evidence,
    Training,
    read_evidence,
)
from moovitamix_assets.training.gate.promotion import record_decision, roll_back
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import (
    DRIFT,
    MODEL_EVALUATIONS,
    RECOMMENDATION_QUALITY,
    RECOMMENDATIONS,
)
from moovitamix_assets_tests.unit.automation.served_days import (
    day,
    evidence,
    quality,
    trainings,
)
from moovitamix_assets_tests.unit.automation.served_days import drift as drifted

A, B, C = (f"{day(number)}-{letter * 8}" for number, letter in ((10, "a"), (14, "b"), (18, "c")))


@pytest.fixture
def connection(tmp_path):
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        yield connection


def decide_about(connection, version: str, decision: str = "promoted") -> None:
    candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), pd.DataFrame())
    as_of = date.fromisoformat(version[:10])
    record_decision(connection, candidate, as_of, Decision(decision, "Why."), {})


def recommend(connection, number: int, version: str) -> None:
    ends = pd.Timestamp(day(number + 1))
    row = {"user_id": 1, "rank": 1, "track_id": 1, "score": 1.0, "source": "model", "model_version": version}
    times = {"generated_for": pd.Timestamp(day(number)), "generated_at": ends, "expires_at": ends}
    insert(connection, RECOMMENDATIONS, pd.DataFrame([row | times]))


def judge(
    connection, number: int, version: str, segment: str = "all", ndcg: float = 0.08, role: str = "champion"
) -> None:
    row = dict.fromkeys(RECOMMENDATION_QUALITY.columns, 0.5) | {
        "role": role,
        "day": pd.Timestamp(day(number)),
        "model_version": version,
        "segment": segment,
        "users": 300,
        "ndcg_at_10": ndcg,
        "popularity_ndcg_at_10": 0.03,
    }
    insert(connection, RECOMMENDATION_QUALITY, pd.DataFrame([row]))


def measured(number: int, version: str, ndcg: float = 0.08) -> DayQuality:
    """The day as it is read after `judge`."""
    return DayQuality(day(number), version, 300, ndcg, 0.03, 0.5, {30: 0.03, 7: 0.5, 3: 0.5}, 0.5, 0.5)


def drift(connection, number: int, feature: str, value: float, threshold: float) -> None:
    row = {"day": pd.Timestamp(day(number)), "feature": feature, "statistic": "psi", "value": value}
    measured = {"threshold": threshold, "drifted": value > threshold}
    insert(connection, DRIFT, pd.DataFrame([row | measured]))


def test_nothing_is_known_while_nothing_was_recommended(connection):
    decide_about(connection, A)
    assert read_evidence(connection, [Training(day(10), "failed")], day(10)) is None


def test_everything_is_read_over_a_read_only_connection(connection, tmp_path):
    path = tmp_path / "another" / "warehouse.duckdb"
    with write_warehouse(path) as writing:
        decide_about(writing, A)
        decide_about(writing, B)
        recommend(writing, 10, A)
        recommend(writing, 15, B)
        judge(writing, 11, A)
        judge(writing, 15, B, ndcg=0.09)
        drift(writing, 15, "listen_hour", 0.2, 0.15)
    with read_warehouse(path) as reading:
        known = read_evidence(reading, [Training(day(12), "failed")], day(13))
    assert known == Evidence(
        day=day(15),
        champion=Champion(B, day(14), day(14), "promoted", A),
        quality=(measured(11, A), measured(15, B, 0.09)),
        drift=(DayDrift(day(15), "listen_hour", 0.2, 0.15, True),),
        trainings=(
            Training(day(10), "promoted"),
            Training(day(12), "failed"),
            Training(day(14), "promoted"),
        ),
        requested_on=day(13),
        recommending_versions=frozenset({A, B}),
        standing=Standing(champion=B, serving_since=day(14)),
    )


def test_only_popular_tracks_so_far_are_no_version(connection):
    recommend(connection, 15, "popularity")
    judge(connection, 15, "popularity")
    assert read_evidence(connection) == Evidence(day(15), None, (), (), ())


def test_only_everyones_quality_with_the_models_recommendations_counts(connection):
    recommend(connection, 15, A)
    for segment in ("warm", "cold", "new_tracks"):
        judge(connection, 15, A, segment)
    judge(connection, 15, "popularity")
    judge(connection, 14, A)
    assert read_evidence(connection).quality == (measured(14, A),)


def test_versions_that_served_long_ago_are_known_by_their_quality(connection):
    recommend(connection, 15, B)
    judge(connection, 12, A)
    assert read_evidence(connection).recommending_versions == {A, B}


def test_a_version_measured_on_the_day_itself_is_known_and_one_of_a_later_day_is_not(connection):
    recommend(connection, 15, "popularity")
    judge(connection, 15, A)
    judge(connection, 16, B)
    assert read_evidence(connection).recommending_versions == {A}


def test_a_rejected_candidate_is_a_training_and_no_champion(connection):
    decide_about(connection, A)
    decide_about(connection, B, "rejected")
    recommend(connection, 20, A)
    known = read_evidence(connection)
    assert known.champion == Champion(A, day(10), day(10), "promoted", None)
    assert known.trainings == (Training(day(10), "promoted"), Training(day(14), "rejected"))


def test_what_was_rolled_back_is_a_training_in_vain_and_what_was_returned_to_knows_what_it_replaced(
    connection,
):
    for version in (A, B, C):
        decide_about(connection, version)
    recommend(connection, 20, C)
    roll_back(connection, "worse", only_if=C)
    known = read_evidence(connection)
    assert known.champion == Champion(B, day(14), day(20), "rolled_back", A)
    assert [past.outcome for past in known.trainings] == ["promoted", "promoted", "rolled_back"]


def test_a_rollback_on_the_day_of_the_promotion_comes_after_it(connection):
    for version in (A, B):
        decide_about(connection, version)
    recommend(connection, 14, B)
    roll_back(connection, "worse")
    assert read_evidence(connection).champion == Champion(A, day(10), day(14), "rolled_back", None)


def test_a_rollback_that_holds_from_a_later_day_is_not_known_yet(connection):
    for version in (A, B):
        decide_about(connection, version)
    recommend(connection, 15, B)
    before = read_evidence(connection)
    decide_about(connection, C, "rejected")
    roll_back(connection, "worse", only_if=B)
    assert read_evidence(connection) == before


def test_the_worst_feature_of_a_day_is_the_one_furthest_over_its_own_threshold(connection):
    recommend(connection, 20, A)
    drift(connection, 19, "listen_hour", 0.30, 0.40)
    drift(connection, 19, "unknown_tracks", 0.16, 0.15)
    drift(connection, 20, "listen_hour", 0.10, 0.40)
    drift(connection, 20, "unknown_tracks", 0.05, 0.15)
    assert read_evidence(connection).drift == (
        DayDrift(day(19), "unknown_tracks", 0.16, 0.15, True),
        DayDrift(day(20), "unknown_tracks", 0.05, 0.15, False),
    )


def test_sixty_days_are_checked_and_all_of_the_champions(connection):
    decide_about(connection, A)
    decide_about(connection, B)
    recommend(connection, 100, B)
    for number in (11, 40, 41):
        judge(connection, number, A)
        drift(connection, number, "listen_hour", 0.1, 0.15)
    judge(connection, 15, B)
    known = read_evidence(connection)
    assert [(past.day, past.model_version) for past in known.quality] == [(day(15), B), (day(41), A)]
    assert [past.day for past in known.drift] == [day(41)]


def test_nothing_after_the_day_is_looked_at(connection):
    decide_about(connection, A)
    recommend(connection, 15, A)
    before = read_evidence(connection)
    decide_about(connection, C)
    judge(connection, 16, B)
    drift(connection, 16, "listen_hour", 0.3, 0.15)
    assert read_evidence(connection, [Training(day(16), "under_way")]) == before
    # A rollback holds from the newest day that was decided about: later than what was recommended.
    roll_back(connection, "worse")
    assert read_evidence(connection) == before


@pytest.mark.parametrize(
    ("runs", "outcome"),
    [
        (["failed", "under_way"], "under_way"),
        (["under_way", "failed"], "under_way"),
        (["promoted", "failed"], "promoted"),
        (["failed", "promoted"], "failed"),
    ],
)
def test_of_the_runs_of_a_day_the_newest_counts_unless_one_is_under_way(connection, runs, outcome):
    recommend(connection, 15, A)
    known = read_evidence(connection, [Training(day(12), run) for run in runs])
    assert known.trainings == (Training(day(12), outcome),)


def test_a_day_trained_twice_ended_as_the_later_decision_says(connection):
    decide_about(connection, A, "rejected")
    decide_about(connection, f"{day(10)}-ffffffff")
    recommend(connection, 15, A)
    assert read_evidence(connection).trainings == (Training(day(10), "promoted"),)


def test_what_was_decided_says_more_than_the_run(connection):
    decide_about(connection, A, "rejected")
    recommend(connection, 15, "popularity")
    runs = [Training(day(12), "failed"), Training(day(10), "failed")]
    assert read_evidence(connection, runs).trainings == (
        Training(day(10), "rejected"),
        Training(day(12), "failed"),
    )


def test_a_decision_of_a_day_rests_on_that_day_and_on_none_after_it():
    known = evidence(
        3,
        quality=quality(2, [0.08] * 3),
        drift=drifted(2, [0.1] * 3),
        trainings=trainings((2, "failed"), (3, "promoted"), (4, "under_way")),
        requested_on=day(3),
    ).judged(minimum_users=300)
    assert [past.day for past in known.quality] == [day(2), day(3)]
    assert [past.day for past in known.drift] == [day(2), day(3)]
    assert known.trainings == trainings((2, "failed"), (3, "promoted"))
    assert known.requested_on == day(3)
    assert known.judged(301).quality == ()


def test_a_feature_that_drifted_is_never_hidden_by_one_that_moved_further_and_did_not(connection):
    recommend(connection, 20, A)
    drift(connection, 20, "session_length", 0.39, 0.40)
    drift(connection, 20, "unknown_tracks", 0.16, 0.15)
    drift(connection, 20, "listen_hour", 0.30, 0.40)
    assert read_evidence(connection).drift == (DayDrift(day(20), "unknown_tracks", 0.16, 0.15, True),)


def test_two_features_as_far_over_their_thresholds_are_reported_in_the_order_of_their_names(connection):
    recommend(connection, 20, A)
    for feature in ("track_genre", "listen_hour", "user_genre"):
        drift(connection, 20, feature, 0.3, 0.15)
    assert read_evidence(connection).drift[0].feature == "listen_hour"


def test_a_request_for_a_later_day_is_known_and_a_training_of_one_is_not(connection):
    recommend(connection, 20, A)
    assert read_evidence(connection, requested_on=day(20)).requested_on == day(20)
    assert read_evidence(connection, requested_on=day(21)).requested_on == day(21)
    assert read_evidence(connection, [Training(day(20), "failed")]).trainings == (
        Training(day(20), "failed"),
    )
    assert read_evidence(connection, [Training(day(21), "failed")]).trainings == ()


def test_the_challenger_is_judged_by_its_own_rows_and_the_champion_by_none_of_them(connection):
    decide_about(connection, A)
    decide_about(connection, B, "shadow")
    recommend(connection, 16, A)
    judge(connection, 15, A)
    judge(connection, 15, B, role="challenger", ndcg=0.09)
    # A former challenger.
    judge(connection, 15, C, role="challenger")
    known = read_evidence(connection)
    assert known.standing == Standing(A, Challenger(B, day(14)), serving_since=day(10))
    assert (known.quality, known.challenger_quality) == ((measured(15, A),), (measured(15, B, 0.09),))
    assert known.trainings == (Training(day(10), "promoted"), Training(day(14), "shadow"))


def test_a_champion_in_shadow_is_judged_as_one_that_serves_and_popular_tracks_are_not(connection):
    decide_about(connection, A)
    recommend(connection, 16, "popularity")
    judge(connection, 15, "popularity", role="fallback")
    judge(connection, 15, A)
    known = read_evidence(connection)
    assert (known.quality, known.challenger_quality) == ((measured(15, A),), ())


def test_what_an_older_version_did_not_measure_is_not_known(connection):
    recommend(connection, 15, A)
    judge(connection, 15, A)
    connection.execute(
        "UPDATE recommendation_quality SET role = NULL, popularity_gain_standard_error = NULL, "
        "served_ndcg_at_10 = NULL, served_gain_standard_error = NULL, popularity_3_days_ndcg_at_10 = NULL, "
        "popularity_7_days_ndcg_at_10 = NULL"
    )
    (past,) = read_evidence(connection).quality
    assert past == DayQuality(day(15), A, 300, 0.08, 0.03, popularity_by_days={30: 0.03})


def test_the_gain_is_what_recommendations_earned_beyond_popular_tracks():
    assert DayQuality(day(1), A, 300, 0.08, 0.03).gain == pytest.approx(0.05)
