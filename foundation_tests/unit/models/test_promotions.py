import json
from datetime import date

import pytest

from foundation.models.decisions import Champion, Fallback, RecordedDecision, Standing
from foundation.models.gate import Decision
from foundation.models.promotions import (
    all_decisions,
    candidate_outcomes,
    champion_before_candidate,
    champion_version,
    current_champion,
    decision_about,
    decisions_after,
    fall_back,
    insert_decision,
    is_decided,
    last_decision,
    newest_decision_day,
    newest_trained_day,
    obsolete_versions,
    record,
    serving_decision,
    standing,
)
from foundation.models.rollback import NothingToRollBack, roll_back

PROMOTED = Decision("promoted", "Better.")
REJECTED = Decision("rejected", "Worse.")


def decide_about(connection, version: str, as_of: date, decision: Decision = PROMOTED) -> Decision:
    return record(connection, version, as_of, decision, {"ndcg_at_10": 0.1})


def undo(connection, reason: str, only_if: str | None = None, newest_served: date | None = None):
    return roll_back(connection, reason, newest_served=newest_served, only_if=only_if)


def day(number: int) -> date:
    return date(2026, 9, number)


def story(connection) -> list[tuple]:
    return connection.execute(
        "SELECT model_version, decision, previous_version FROM promotions ORDER BY decision_number"
    ).fetchall()


def test_the_champion_version_is_the_last_promoted_up_to_the_day(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12), REJECTED)
    decide_about(connection, "c", day(14))
    champions = {number: champion_version(connection, day(number)) for number in (9, 10, 13, 14, 20)}
    assert champions == {9: None, 10: "a", 13: "a", 14: "c", 20: "c"}
    assert story(connection) == [("a", "promoted", None), ("b", "rejected", "a"), ("c", "promoted", "a")]


def test_a_version_is_decided_about_once(connection):
    decide_about(connection, "a", day(10), REJECTED)
    again = decide_about(connection, "a", day(10), PROMOTED)
    assert again == REJECTED
    assert len(story(connection)) == 1


def test_a_day_trained_again_meets_the_champion_it_met_before(connection):
    decide_about(connection, "a", day(10))
    before = champion_before_candidate(connection, day(12))
    decide_about(connection, "b", day(12))
    assert before == champion_before_candidate(connection, day(12)) == "a"
    assert champion_before_candidate(connection, day(13)) == "b"


def test_a_rollback_returns_to_what_the_champion_replaced_and_leaves_earlier_days(connection):
    for number, version in ((10, "a"), (12, "b"), (14, "c")):
        decide_about(connection, version, day(number))
    assert undo(connection, "too many complaints") == ("b", "c")
    assert champion_version(connection, day(14)) == "b"
    assert champion_version(connection, day(13)) == "b"
    assert champion_version(connection, day(11)) == "a"
    assert undo(connection, "still") == ("a", "b")
    with pytest.raises(NothingToRollBack, match="a is the first champion"):
        undo(connection, "once more")


def test_decisions_follow_their_order_and_not_the_clock(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12))
    connection.execute("UPDATE promotions SET decided_at = '2099-01-01'")
    assert undo(connection, "worse") == ("a", "b")
    assert champion_version(connection, day(12)) == "a"
    decide_about(connection, "c", day(12))
    assert champion_version(connection, day(12)) == "c"
    assert story(connection)[1:] == [
        ("b", "promoted", "a"),
        ("a", "rolled_back", "b"),
        ("c", "promoted", "a"),
    ]


def test_a_rollback_of_one_version_asked_for_twice_goes_back_once(connection):
    for number, version in ((10, "a"), (12, "b"), (14, "c")):
        decide_about(connection, version, day(number))
    assert undo(connection, "worse", only_if="c") == ("b", "c")
    before = story(connection)
    assert undo(connection, "worse", only_if="c") is None
    assert undo(connection, "worse", only_if="a") is None
    assert story(connection) == before


def test_a_rollback_of_a_version_is_nothing_without_a_champion(connection):
    assert undo(connection, "worse", only_if="a") is None


def test_without_a_champion_there_is_nothing_to_roll_back(connection):
    decide_about(connection, "a", day(10), REJECTED)
    with pytest.raises(NothingToRollBack, match="no champion"):
        undo(connection, "why")


def test_the_next_candidate_after_a_rollback_replaces_the_champion(connection):
    for number, version in ((10, "a"), (12, "b")):
        decide_about(connection, version, day(number))
    undo(connection, "why")
    decide_about(connection, "c", day(15))
    assert story(connection)[-1] == ("c", "promoted", "a")


def test_a_rollback_takes_effect_on_the_newest_day_served(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12))
    undo(connection, "why", newest_served=day(20))
    assert champion_version(connection, day(19)) == "b"
    assert champion_version(connection, day(20)) == "a"


def test_a_candidate_of_the_day_of_a_rollback_is_compared_with_the_version_returned_to(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12))
    undo(connection, "why", newest_served=day(20))
    assert champion_before_candidate(connection, day(19)) == "b"
    assert champion_before_candidate(connection, day(20)) == "a"


def test_versions_neither_new_nor_needed_are_obsolete(connection):
    for number, version in enumerate("abcdef", start=1):
        decide_about(connection, version, day(number), PROMOTED if version in "ac" else REJECTED)
    # c is the champion, a is what a rollback returns to, e and f are the newest.
    assert sorted(obsolete_versions(connection, kept=2, served_days=2)) == ["b", "d"]


def test_of_an_empty_table_nothing_is_known(connection):
    assert champion_version(connection, day(1)) is None
    assert current_champion(connection, day(1)) is None
    assert last_decision(connection, day(1)) is None
    assert newest_decision_day(connection) is None
    assert newest_trained_day(connection, day(30)) is None
    assert not is_decided(connection, day(1))
    assert decisions_after(connection, day(1)) == []
    assert candidate_outcomes(connection, day(30)) == []
    assert obsolete_versions(connection, kept=1, served_days=1) == []


def test_every_question_has_the_same_champion_for_an_answer(connection):
    """The champion, its origin and its alias agree after any history."""
    first, second, third = (f"2026-09-{number}-00000000" for number in (10, 12, 14))
    decide_about(connection, first, day(10))
    assert current_champion(connection, day(11)) == Champion(first, day(10), day(10), "promoted", None)
    decide_about(connection, second, day(12))
    assert current_champion(connection, day(13)) == Champion(second, day(12), day(12), "promoted", first)
    undo(connection, "worse", newest_served=day(13))
    decide_about(connection, third, day(14), REJECTED)
    assert current_champion(connection, day(14)) == Champion(first, day(10), day(13), "rolled_back", None)
    assert list(all_decisions(connection)["model_version"]) == [first, second, first, third]
    for number in range(9, 16):
        champion = current_champion(connection, day(number))
        assert champion_version(connection, day(number)) == (champion and champion.model_version)


def test_outcomes_and_recorded_decisions_are_those_taken(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12))
    undo(connection, "worse", newest_served=day(13))
    decide_about(connection, "c", day(14), REJECTED)
    assert candidate_outcomes(connection, day(30)) == [
        (day(10), "promoted"),
        (day(12), "rolled_back"),
        (day(14), "rejected"),
    ]
    assert candidate_outcomes(connection, day(12)) == [(day(10), "promoted"), (day(12), "promoted")]
    assert decisions_after(connection, day(12)) == [
        RecordedDecision("a", day(13), "rolled_back", "worse", "b"),
        RecordedDecision("c", day(14), "rejected", "Worse.", "a"),
    ]
    assert last_decision(connection, day(13)) == RecordedDecision("a", day(13), "rolled_back", "worse", "b")
    assert newest_decision_day(connection) == day(14)
    assert newest_trained_day(connection, day(13)) == day(12)
    assert is_decided(connection, day(13))
    assert not is_decided(connection, day(11))


SHADOW = Decision("shadow", "Unclear.")


def fall_back_on(connection, number: int, days: int = 7) -> None:
    fall_back(
        connection,
        day(number),
        "Lost.",
        popularity_days=days,
        worse_since=day(number - 1),
        metrics={"gain": -0.1},
    )


def decide_later(connection, version: str, as_of: date, verdict: str) -> None:
    insert_decision(
        connection, version, as_of, verdict, "In shadow.", {}, champion_version(connection, as_of)
    )


def test_a_fallback_is_recorded_with_what_serves_and_leaves_the_champion(connection):
    decide_about(connection, "a", day(10))
    fall_back_on(connection, 12)
    expected = Fallback(day(12), 7, day(11))
    assert standing(connection, day(11)) == Standing("a", serving_since=day(10))
    assert standing(connection, day(12)) == Standing("a", None, expected, expected, day(12))
    assert champion_version(connection, day(12)) == "a"
    assert story(connection)[-1] == ("popularity", "fallback", "a")
    assert json.loads(last_metrics(connection)) == {
        "gain": -0.1, "popularity_days": 7, "worse_since": "2026-09-11",
    }  # fmt: skip


def last_metrics(connection) -> str:
    return connection.execute("SELECT metrics FROM promotions ORDER BY decision_number DESC").fetchone()[0]


def test_the_standing_of_a_day_knows_no_later_decision(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12), SHADOW)
    decide_later(connection, "b", day(15), "promoted")
    shadows = {number: standing(connection, day(number)).shadows for number in (11, 12, 14, 15)}
    assert shadows == {11: (), 12: ("b",), 14: ("b",), 15: ()}
    assert standing(connection, day(15)).serving == "b"


@pytest.mark.parametrize(("later", "outcome"), [("promoted", "promoted"), ("rejected", "rejected")])
def test_the_outcome_of_a_candidate_in_shadow_is_that_until_it_is_decided(connection, later, outcome):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12), SHADOW)
    decide_later(connection, "b", day(15), later)
    assert candidate_outcomes(connection, day(14)) == [(day(10), "promoted"), (day(12), "shadow")]
    assert candidate_outcomes(connection, day(15)) == [(day(10), "promoted"), (day(12), outcome)]
    assert newest_trained_day(connection, day(20)) == day(12)
    assert decision_about(connection, "b") == SHADOW


def test_a_candidate_promoted_out_of_shadow_and_rolled_back_counts_as_that(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12), SHADOW)
    decide_later(connection, "b", day(15), "promoted")
    assert undo(connection, "worse") == ("a", "b")
    assert candidate_outcomes(connection, day(15))[-1] == (day(12), "rolled_back")


def test_fallbacks_and_returns_are_no_trainings(connection):
    decide_about(connection, "a", day(10))
    fall_back_on(connection, 12)
    decide_later(connection, "a", day(14), "promoted")
    assert candidate_outcomes(connection, day(20)) == [(day(10), "promoted")]
    assert newest_trained_day(connection, day(20)) == day(10)
    assert standing(connection, day(14)).serving == "a"


def test_a_rollback_during_a_fallback_ends_it(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12))
    fall_back_on(connection, 14)
    assert undo(connection, "a user wants it") == ("a", "b")
    now = standing(connection, day(14))
    assert (now.serving, now.fallback, now.shadows) == ("a", None, ())


def test_a_champion_that_returned_still_knows_what_it_replaced(connection):
    a, b = "2026-09-10-aaaaaaaa", "2026-09-12-bbbbbbbb"
    decide_about(connection, a, day(10))
    decide_about(connection, b, day(12))
    fall_back_on(connection, 14)
    decide_later(connection, b, day(16), "promoted")
    assert current_champion(connection, day(16)) == Champion(b, day(12), day(16), "promoted", a)
    assert undo(connection, "worse") == (a, b)


def test_a_candidate_of_the_day_meets_the_challenger_promoted_on_it(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12), SHADOW)
    decide_later(connection, "b", day(15), "promoted")
    assert champion_before_candidate(connection, day(15)) == "b"
    decide_about(connection, "c", day(15))
    assert champion_before_candidate(connection, day(15)) == "b"


def test_versions_in_shadow_on_the_days_kept_are_not_obsolete(connection):
    decide_about(connection, "a", day(1))
    decide_about(connection, "b", day(10), SHADOW)
    decide_later(connection, "b", day(12), "rejected")
    for number in (13, 14):
        decide_about(connection, f"r{number}", day(number), REJECTED)
    assert obsolete_versions(connection, kept=1, served_days=4) == ["r13"]
    assert set(obsolete_versions(connection, kept=1, served_days=3)) == {"r13", "b"}


def test_popular_tracks_are_no_version_to_keep_or_remove(connection):
    decide_about(connection, "a", day(1))
    decide_about(connection, "b", day(2), REJECTED)
    decide_about(connection, "c", day(3), REJECTED)
    fall_back_on(connection, 4)
    assert obsolete_versions(connection, kept=1, served_days=1) == ["b"]


def test_the_decision_by_which_a_version_serves_is_not_one_about_another(connection):
    assert serving_decision(connection, day(9)) is None
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(11), REJECTED)
    decide_about(connection, "c", day(11), Decision("shadow", "Not clear."))
    assert serving_decision(connection, day(11)).model_version == "a"
    assert last_decision(connection, day(11), ("rejected",)).model_version == "b"
    fall_back(connection, day(12), "Worse.", popularity_days=7, worse_since=day(11), metrics={})
    assert serving_decision(connection, day(12)).reason == "Worse."
    insert_decision(connection, "c", day(13), "promoted", "Better in shadow.", {}, "a")
    assert [serving_decision(connection, day(number)).reason for number in (11, 13)] == [
        "Better.",
        "Better in shadow.",
    ]
