from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.models.gate import Decision, decide
from foundation.statistics.paired_difference import NO_USERS_MEASURED, Difference, paired_difference
from foundation_tests.unit.statistics.samples import ndcg_of_users

THRESHOLDS: dict[str, Any] = {"minimum_users": 30, "minimum_ratio": 1.05, "tolerance": 0.05}


def decided(candidate: pd.Series, champion: pd.Series | None, popularity: pd.Series) -> Decision:
    return decide(
        "ndcg_at_10",
        paired_difference(candidate, popularity, seed=1),
        None if champion is None else paired_difference(candidate, champion, seed=1),
        **THRESHOLDS,
    )


def test_the_first_model_that_beats_popularity_is_promoted():
    decision = decided(ndcg_of_users(0.08, 1000, 1), None, ndcg_of_users(0.03, 1000, 2))
    assert decision.decision == "promoted"
    assert "popularity" in decision.reason


def test_a_model_no_better_than_popularity_is_rejected_whatever_the_champion():
    popularity = ndcg_of_users(0.05, 1000, 1)
    candidate = popularity.sample(frac=1, random_state=1).set_axis(popularity.index)
    for champion in (None, ndcg_of_users(0.01, 1000, 3)):
        decision = decided(candidate, champion, popularity)
        assert decision.decision == "rejected"
        assert decision.reason.startswith("Not clearly better than popularity")


def test_a_better_candidate_replaces_the_champion_and_a_worse_one_does_not():
    popularity = ndcg_of_users(0.02, 1000, 1)
    champion = ndcg_of_users(0.08, 1000, 2)
    assert decided(champion * 1.3, champion, popularity).decision == "promoted"
    worse = decided(champion * 0.7, champion, popularity)
    assert worse.decision == "rejected"
    assert worse.reason.startswith("Possibly worse than the champion")


def test_an_identical_candidate_is_not_worse():
    champion = ndcg_of_users(0.08, 1000, 2)
    decision = decided(champion, champion, ndcg_of_users(0.02, 1000, 1))
    assert decision.decision == "promoted"
    # 5 % of the champion's figure.
    tolerated = 0.05 * champion.mean()
    assert decision.reason.startswith(
        f"Not worse than the champion by more than the {tolerated:.4f} tolerated: "
    )


def test_with_too_few_users_a_candidate_is_rejected():
    decision = decided(ndcg_of_users(0.9, 29, 1), None, ndcg_of_users(0.01, 29, 2))
    assert decision == Decision("rejected", decision.reason)
    assert "29" in decision.reason


def test_without_users_a_candidate_is_rejected():
    assert decide("ndcg_at_10", NO_USERS_MEASURED, None, **THRESHOLDS).decision == "rejected"


def test_hardly_any_candidate_that_is_a_tenth_worse_is_let_in():
    """Twice the tolerance below the champion, seen through the noise of users: at most one in twelve."""
    champion = ndcg_of_users(0.08, 1000, 100)
    popularity = ndcg_of_users(0.02, 1000, 101)
    promoted = 0
    for seed in range(12):
        noise = np.random.default_rng(seed).normal(0, 0.05, len(champion))
        candidate = champion * 0.9 + noise
        promoted += decided(candidate, champion, popularity).decision == "promoted"
    assert promoted <= 1


differences = st.builds(
    lambda candidate, other, below, above, users: Difference(
        candidate, other, candidate - other - below, candidate - other + above, users
    ),
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 500),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(differences, st.none() | differences, st.integers(2, 100), st.floats(1, 3), st.floats(0, 1))
def test_whatever_is_promoted_kept_every_promise(over_popularity, over_champion, users, ratio, tolerance):
    decision = decide(
        "ndcg_at_10",
        over_popularity,
        over_champion,
        minimum_users=users,
        minimum_ratio=ratio,
        tolerance=tolerance,
    )
    kept = (
        over_popularity.users >= users
        and over_popularity.low > 0
        and over_popularity.ratio >= ratio
        and (over_champion is None or over_champion.low >= -tolerance * over_champion.other)
    )
    assert decision.decision == ("promoted" if kept else "rejected")
    assert decision.reason.endswith(".")
