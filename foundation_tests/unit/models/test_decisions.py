"""The standing of versions, folded from decisions."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.models.decisions import (
    POPULARITY,
    Challenger,
    Fallback,
    RecordedDecision,
    Standing,
    standing_after,
)

DAY = date(2026, 9, 10)
FELL_BACK = Fallback(DAY, 7, DAY - timedelta(days=1))


def decision(version: str, verdict: str, days: int = 0) -> RecordedDecision:
    return RecordedDecision(version, DAY + timedelta(days=days), verdict, "Why.", None)


def after(*steps: tuple[str, str]) -> Standing:
    return standing_after(
        (decision(version, verdict), FELL_BACK if verdict == "fallback" else None)
        for version, verdict in steps
    )


def test_before_any_decision_popular_tracks_serve():
    assert (Standing().serving, Standing().shadows) == (POPULARITY, ())


def test_a_first_candidate_in_shadow_does_not_serve():
    standing = after(("a", "shadow"))
    assert (standing.champion, standing.serving, standing.shadows) == (None, POPULARITY, ("a",))
    assert standing.challenger == Challenger("a", DAY)


def test_a_promoted_challenger_leaves_shadow():
    standing = after(("a", "promoted"), ("b", "shadow"), ("b", "promoted"))
    assert standing == Standing("b", None, None, None, DAY)


@pytest.mark.parametrize("verdict", ["promoted", "rolled_back"])
def test_another_champion_leaves_the_challenger_in_shadow(verdict):
    standing = after(("a", "promoted"), ("c", "shadow"), ("b", verdict))
    assert (standing.serving, standing.shadows) == ("b", ("c",))


def test_only_the_challengers_own_rejection_ends_its_time_in_shadow():
    before = after(("a", "promoted"), ("c", "shadow"))
    assert before.after(decision("b", "rejected")) == before
    assert before.after(decision("c", "rejected")) == replace(before, challenger=None)


@pytest.mark.parametrize(("version", "verdict"), [("a", "promoted"), ("b", "promoted"), ("b", "rolled_back")])
def test_a_fallback_ends_with_the_next_champion_and_is_remembered(version, verdict):
    during = after(("a", "promoted"), ("popularity", "fallback"))
    assert (during.champion, during.serving, during.shadows) == ("a", POPULARITY, ("a",))
    ended = during.after(decision(version, verdict, 3))
    assert (ended.serving, ended.shadows, ended.fallback) == (version, (), None)
    assert (ended.last_fallback, ended.serving_since) == (FELL_BACK, DAY + timedelta(days=3))


def test_during_a_fallback_the_champion_is_in_shadow_before_its_challenger():
    standing = after(("a", "promoted"), ("b", "shadow"), ("popularity", "fallback"))
    assert standing.shadows == ("a", "b")


def test_what_serves_does_not_change_when_a_candidate_enters_shadow_or_leaves_it():
    before = after(("a", "promoted"))
    assert before.after(decision("b", "shadow", 2)).serving_since == DAY
    assert before.after(decision("b", "rejected", 2)).serving_since == DAY


def test_tastes_changed_lately_for_thirty_days_from_the_first_lost_day():
    standing = after(("a", "promoted"), ("popularity", "fallback"), ("a", "promoted"))
    first = FELL_BACK.worse_since
    assert [standing.recovers(first + timedelta(days=days)) for days in (0, 29, 30)] == [True, True, False]
    assert not after(("a", "promoted")).recovers(DAY)


steps = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from("abcd"), st.sampled_from(["promoted", "rejected", "shadow", "rolled_back"])
        ),
        st.just((POPULARITY, "fallback")),
    ),
    max_size=12,
)


@given(steps)
def test_whatever_is_decided_one_version_serves_and_few_are_in_shadow(decided):
    standing = after(*decided)
    champions = [version for version, verdict in decided if verdict in ("promoted", "rolled_back")]
    assert standing.champion == (champions[-1] if champions else None)
    assert len(standing.shadows) <= 2
    assert POPULARITY not in standing.shadows
    last = next((verdict for _, verdict in reversed(decided) if verdict not in ("rejected", "shadow")), None)
    assert (standing.fallback is not None) == (last == "fallback")
    if standing.champion and last != "fallback":
        assert standing.serving == standing.champion
    if standing.challenger:
        version = standing.challenger.model_version
        # Nothing that ends its time in shadow came after it entered.
        own = [verdict for other, verdict in decided if other == version]
        assert own[len(own) - own[::-1].index("shadow") :].count("promoted") == 0
        assert own[len(own) - own[::-1].index("shadow") :].count("rejected") == 0


@pytest.mark.parametrize(
    ("version", "verdict", "previous", "kind", "sentence"),
    [
        ("b", "promoted", "a", "promoted", "b was promoted."),
        ("a", "promoted", "a", "returned", "a serves again."),
        ("a", "promoted", None, "promoted", "a was promoted."),
        ("b", "rejected", "a", "rejected", "b was rejected."),
        ("b", "shadow", "a", "shadow", "b goes into shadow."),
        (POPULARITY, "fallback", "a", "fallback", "Popular tracks serve instead of a."),
        ("a", "rolled_back", "b", "rolled_back", "a is the champion again, instead of b."),
    ],
)
def test_a_decision_is_said_in_a_sentence(version, verdict, previous, kind, sentence):
    decided = RecordedDecision(version, DAY, verdict, "Why.", previous)
    assert (decided.kind, decided.sentence) == (kind, sentence)
