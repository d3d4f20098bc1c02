from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from foundation.models.gate import Decision
from foundation.tables import empty_frame
from moovitamix_assets.training.gate.registry import (
    Candidate,
    ModelMissing,
    NoCandidate,
    NothingToRollBack,
    champion_before,
    load_model,
    newest_candidate_day,
    old_models,
    read_candidate,
    record_decision,
    remove_models,
    roll_back,
    version_in_force,
)
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS

PROMOTED = Decision("promoted", "Better.")
REJECTED = Decision("rejected", "Worse.")


@pytest.fixture
def connection(tmp_path):
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        yield connection


def day(number: int) -> date:
    return date(2026, 9, number)


def decide_about(connection, version: str, as_of: date, decision: Decision = PROMOTED) -> Decision:
    candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), pd.DataFrame())
    return record_decision(connection, candidate, as_of, decision, {"ndcg_at_10": 0.1})


def story(connection) -> list[tuple]:
    return connection.execute(
        "SELECT model_version, decision, previous_version FROM promotions ORDER BY decision_number"
    ).fetchall()


def test_the_version_in_force_is_the_last_promoted_up_to_the_day(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12), REJECTED)
    decide_about(connection, "c", day(14))
    in_force = {number: version_in_force(connection, day(number)) for number in (9, 10, 13, 14, 20)}
    assert in_force == {9: None, 10: "a", 13: "a", 14: "c", 20: "c"}
    assert story(connection) == [("a", "promoted", None), ("b", "rejected", "a"), ("c", "promoted", "a")]


def test_a_version_is_decided_about_once(connection):
    decide_about(connection, "a", day(10), REJECTED)
    again = decide_about(connection, "a", day(10), PROMOTED)
    assert again == REJECTED
    assert len(story(connection)) == 1


def test_a_day_trained_again_meets_the_champion_it_met_before(connection):
    decide_about(connection, "a", day(10))
    before = champion_before(connection, day(12))
    decide_about(connection, "b", day(12))
    assert before == champion_before(connection, day(12)) == "a"
    assert champion_before(connection, day(13)) == "b"


def test_a_rollback_returns_to_what_the_champion_replaced_and_leaves_earlier_days(connection):
    for number, version in ((10, "a"), (12, "b"), (14, "c")):
        decide_about(connection, version, day(number))
    assert roll_back(connection, "too many complaints") == ("b", "c")
    assert version_in_force(connection, day(14)) == "b"
    assert version_in_force(connection, day(13)) == "b"
    assert version_in_force(connection, day(11)) == "a"
    assert roll_back(connection, "still") == ("a", "b")
    with pytest.raises(NothingToRollBack, match="a is the first champion"):
        roll_back(connection, "once more")


def test_decisions_follow_their_order_and_not_the_clock(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12))
    connection.execute("UPDATE promotions SET decided_at = '2099-01-01'")
    assert roll_back(connection, "worse") == ("a", "b")
    assert version_in_force(connection, day(12)) == "a"
    decide_about(connection, "c", day(12))
    assert version_in_force(connection, day(12)) == "c"
    assert story(connection)[1:] == [
        ("b", "promoted", "a"),
        ("a", "rolled_back", "b"),
        ("c", "promoted", "a"),
    ]


def test_decisions_of_an_older_version_stay_in_their_order(tmp_path):
    path = tmp_path / "old.duckdb"
    with write_warehouse(path) as connection:
        for number, version in ((10, "a"), (12, "b"), (12, "c")):
            decide_about(connection, version, day(number))
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE promotions DROP COLUMN decision_number")
    with read_warehouse(path) as connection:
        assert version_in_force(connection, day(12)) == "c"
    with write_warehouse(path) as connection:
        assert roll_back(connection, "worse") == ("b", "c")
        assert version_in_force(connection, day(12)) == "b"


def test_a_rollback_of_one_version_asked_for_twice_goes_back_once(connection):
    for number, version in ((10, "a"), (12, "b"), (14, "c")):
        decide_about(connection, version, day(number))
    assert roll_back(connection, "worse", only_if="c") == ("b", "c")
    before = story(connection)
    assert roll_back(connection, "worse", only_if="c") is None
    assert roll_back(connection, "worse", only_if="a") is None
    assert story(connection) == before


def test_a_rollback_of_a_version_is_nothing_where_none_is_in_force(connection):
    assert roll_back(connection, "worse", only_if="a") is None


def test_a_rollback_takes_effect_on_the_newest_day_recommended(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12))
    connection.execute(
        """INSERT INTO recommendations VALUES
           (1, 1, 1, 1.0, 'model', 'b', '2026-09-20', '2026-09-21', '2026-09-23')"""
    )
    roll_back(connection, "why")
    assert version_in_force(connection, day(19)) == "b"
    assert version_in_force(connection, day(20)) == "a"


def test_without_a_champion_there_is_nothing_to_roll_back(connection):
    decide_about(connection, "a", day(10), REJECTED)
    with pytest.raises(NothingToRollBack, match="popular tracks"):
        roll_back(connection, "why")


def test_the_next_candidate_after_a_rollback_replaces_what_is_in_force(connection):
    for number, version in ((10, "a"), (12, "b")):
        decide_about(connection, version, day(number))
    roll_back(connection, "why")
    decide_about(connection, "c", day(15))
    assert story(connection)[-1] == ("c", "promoted", "a")


def test_old_models_go_but_those_in_use_stay(connection, tmp_path):
    versions = "abcdef"
    for number, version in enumerate(versions, start=1):
        decide_about(connection, version, day(number), PROMOTED if version in "ac" else REJECTED)
        (tmp_path / version).mkdir()
    old = old_models(connection, tmp_path, kept=2, served_days=2)
    assert (tmp_path / "b").exists(), "nothing goes before the decision is committed"
    remove_models(tmp_path, old)
    # c is in force, a is what a rollback returns to, e and f are the newest.
    assert sorted(old) == ["b", "d"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["a", "c", "e", "f"]


def test_what_is_not_there_is_named_with_the_remedy(tmp_path: Path):
    with pytest.raises(NoCandidate, match="materialize lightfm_model for 2026-09-10"):
        read_candidate(tmp_path, day(10))
    with pytest.raises(NoCandidate, match="No model was trained yet"):
        newest_candidate_day(tmp_path)
    with pytest.raises(ModelMissing, match=r"gone-1.*moovitamix rollback"):
        load_model(tmp_path, "gone-1")
