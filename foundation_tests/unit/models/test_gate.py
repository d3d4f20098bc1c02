from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.models.gate import Decision, Requirements, decide
from foundation.statistics.paired_difference import NO_USERS_MEASURED, Difference, paired_difference
from foundation_tests.unit.statistics.samples import ndcg_of_users

REQUIREMENTS = Requirements(minimum_users=30, minimum_ratio=1.05, tolerance=0.05, shadow=True)


def decided(
    candidate: pd.Series,
    champion: pd.Series | None,
    popularity: pd.Series,
    requirements: Requirements = REQUIREMENTS,
    proves_nothing: str | None = None,
) -> Decision:
    return decide(
        "ndcg_at_10",
        paired_difference(candidate, popularity, seed=1),
        None if champion is None else paired_difference(candidate, champion, seed=1),
        requirements,
        proves_nothing,
    )


def test_the_first_model_that_beats_popularity_is_promoted():
    decision = decided(ndcg_of_users(0.08, 1000, 1), None, ndcg_of_users(0.03, 1000, 2))
    assert decision.decision == "promoted"
    assert "popularity" in decision.reason


def test_a_model_no_better_than_popularity_goes_into_shadow_whatever_the_champion():
    popularity = ndcg_of_users(0.05, 1000, 1)
    candidate = popularity.sample(frac=1, random_state=1).set_axis(popularity.index)
    for champion in (None, ndcg_of_users(0.01, 1000, 3)):
        decision = decided(candidate, champion, popularity)
        assert decision.decision == "shadow"
        assert decision.reason.startswith("Not clearly better than popularity")


def test_a_better_candidate_replaces_the_champion_and_a_worse_one_does_not():
    popularity = ndcg_of_users(0.02, 1000, 1)
    champion = ndcg_of_users(0.08, 1000, 2)
    assert decided(champion * 1.3, champion, popularity).decision == "promoted"
    worse = decided(champion * 0.7, champion, popularity)
    assert worse.decision == "rejected"
    assert worse.reason.startswith("Clearly worse than the champion")


def test_an_identical_candidate_is_not_worse():
    champion = ndcg_of_users(0.08, 1000, 2)
    decision = decided(champion, champion, ndcg_of_users(0.02, 1000, 1))
    assert decision.decision == "promoted"
    # 5 % of the champion's figure.
    tolerated = 0.05 * champion.mean()
    assert decision.reason.startswith(
        f"Not worse than the champion by more than the {tolerated:.4f} tolerated: "
    )


def test_with_too_few_users_a_candidate_goes_into_shadow():
    decision = decided(ndcg_of_users(0.9, 29, 1), None, ndcg_of_users(0.01, 29, 2))
    assert decision == Decision("shadow", decision.reason)
    assert "29" in decision.reason


def test_without_users_a_candidate_goes_into_shadow():
    assert decide("ndcg_at_10", NO_USERS_MEASURED, None, REQUIREMENTS).decision == "shadow"


def test_a_candidate_clearly_worse_than_popularity_is_rejected():
    popularity = ndcg_of_users(0.08, 1000, 1)
    for champion in (None, ndcg_of_users(0.01, 1000, 3)):
        decision = decided(popularity * 0.5, champion, popularity)
        assert decision.decision == "rejected"
        assert decision.reason.startswith("Clearly worse than popularity")


def test_a_candidate_that_may_be_worse_than_the_champion_goes_into_shadow():
    champion = ndcg_of_users(0.08, 60, 2)
    candidate = champion.sample(frac=1, random_state=1).set_axis(champion.index)
    decision = decided(candidate, champion, ndcg_of_users(0.01, 60, 1))
    assert decision.decision == "shadow"
    assert decision.reason.startswith("Possibly worse than the champion by more than the ")


WHY = "popular tracks serve since the champion lost to them"


@pytest.mark.parametrize(("factor", "outcome"), [(1.3, "shadow"), (0.5, "rejected")])
def test_where_the_hold_out_proves_nothing_it_still_rejects_but_never_promotes(factor, outcome):
    champion, popularity = ndcg_of_users(0.08, 1000, 2), ndcg_of_users(0.02, 1000, 1)
    decision = decided(champion * factor, champion, popularity, proves_nothing=WHY)
    assert decision.decision == outcome
    if outcome == "shadow":
        assert decision.reason.startswith(
            f"It must prove itself in shadow, as {WHY}. Better than the champion"
        )


def test_without_shadow_the_hold_out_decides_alone():
    without = replace(REQUIREMENTS, shadow=False)
    champion, popularity = ndcg_of_users(0.08, 1000, 2), ndcg_of_users(0.02, 1000, 1)
    assert (
        decided(ndcg_of_users(0.9, 29, 1), None, ndcg_of_users(0.01, 29, 2), without).decision == "rejected"
    )
    # Else popular tracks would serve for good once the champion lost to them.
    assert decided(champion * 1.3, champion, popularity, without, WHY).decision == "promoted"


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
@given(
    differences, st.none() | differences, st.integers(2, 100), st.floats(1, 3), st.floats(0, 1), st.booleans()
)
def test_whatever_is_promoted_kept_every_promise(
    over_popularity, over_champion, users, ratio, tolerance, shadow
):
    requirements = Requirements(users, ratio, tolerance, shadow)
    decision = decide("ndcg_at_10", over_popularity, over_champion, requirements)
    kept = (
        over_popularity.users >= users
        and over_popularity.low > 0
        and over_popularity.ratio >= ratio
        and (over_champion is None or over_champion.low >= -tolerance * over_champion.other)
    )
    # What is rejected though shadow is switched on is clearly worse than one of them.
    clearly_worse = over_popularity.users >= users and (
        over_popularity.high < 0 or (over_champion is not None and over_champion.high < 0)
    )
    if kept:
        assert decision.decision == "promoted"
    elif shadow:
        assert decision.decision == "shadow" or clearly_worse
    else:
        assert decision.decision == "rejected"
    assert decision.reason.endswith(".")
