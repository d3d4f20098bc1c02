import numpy as np
import pytest

from foundation.models.decisions import Fallback, Standing
from moovitamix_assets.automation.rollback import RollbackDecision, decide_rollback
from moovitamix_assets.settings import Settings
from moovitamix_assets_tests.unit.automation.served_days import (
    FIRST,
    SECOND,
    champion,
    day,
    drift,
    evidence,
    quality,
)

SETTINGS = Settings(rollback_drop=0.15)
BEFORE = [0.080, 0.083, 0.078, 0.081, 0.079, 0.082, 0.080]
WORSE = [0.050, 0.052, 0.049]


def decided(
    own: list[float],
    before: list[float] = BEFORE,
    settings: Settings = SETTINGS,
    today: int = 60,
    **known,
) -> RollbackDecision:
    """The second version, whose first judged day is day 16, beside the first, whose last is day 15."""
    defaults = {
        "champion": champion(SECOND, previous=FIRST),
        "quality": quality(16 - len(before), before) + quality(16, own, SECOND),
        "recommending_versions": frozenset({FIRST, SECOND}),
    }
    return decide_rollback(evidence(today, **(defaults | known)), settings.retraining, settings.monitoring)


def test_a_clearly_worse_champion_is_taken_back():
    decision = decided(WORSE)
    assert (decision.roll_back, decision.model_version, decision.to) == (True, SECOND, FIRST)
    assert f"{SECOND} gains 0.68 times popularity's ndcg_at_10 on 3 days" in decision.reason
    assert f"{FIRST} gained 1.68 times on 7" in decision.reason


def test_a_champion_as_good_stays():
    decision = decided(BEFORE[:5])
    assert (decision.roll_back, decision.to) == (False, None)
    assert decision.reason.startswith("Not clearly worse")


def test_a_difference_that_is_clear_but_small_is_none():
    assert not decided([value - 0.007 for value in BEFORE]).roll_back
    assert decided([value - 0.009 for value in BEFORE]).roll_back


def test_a_difference_that_may_be_chance_is_none():
    assert not decided([0.02, 0.09, 0.05]).roll_back


def test_the_gain_over_popularity_counts_not_the_figure():
    """A day on which everything is harder to guess is no fault of the champion's."""
    own = quality(16, [value - 0.03 for value in BEFORE[:3]], SECOND, popularity=0.0)
    assert not decided(WORSE, quality=quality(9, BEFORE) + own).roll_back


def test_what_popular_tracks_lose_as_well_is_no_fault_of_the_champions():
    """As people come to know the catalogue, everything earns less from week to week."""
    own = quality(16, [value * 0.7 for value in BEFORE], SECOND, popularity=0.021)
    assert not decided(WORSE, quality=quality(9, BEFORE) + own).roll_back


def test_what_does_not_vary_is_decided_by_its_difference():
    assert decided([0.05] * 3, [0.08] * 3).roll_back
    same = decided([0.08] * 3, [0.08] * 3)
    assert not same.roll_back
    assert "(p 1.0000)" in same.reason
    assert not decided([0.09] * 3, [0.08] * 3).roll_back
    assert not decided([0.03] * 3, [0.03] * 3).roll_back
    assert decided([0.03] * 3, BEFORE).roll_back


def test_a_share_of_a_loss_is_counted_downwards_too():
    before = [0.010, 0.011, 0.009]
    assert not decided([0.0098, 0.0099, 0.0097], before).roll_back
    assert decided([0.001, 0.002, 0.0015], before).roll_back
    # A tenth further below popularity is no drop of 15 %, though it is below 85 % of the loss.
    before = [0.0100, 0.0101, 0.0099]
    assert not decided([value - 0.002 for value in before], before).roll_back
    assert decided([value - 0.004 for value in before], before).roll_back


def test_it_takes_days_enough_on_both_sides():
    assert "judged on 2 of the 3 days needed" in decided(WORSE[:2]).reason
    assert "judged on 0 of the 3 days needed" in decided([]).reason
    assert "was judged on 2 of the 3 days needed" in decided(WORSE, BEFORE[:2]).reason
    few = quality(9, BEFORE) + quality(16, WORSE, SECOND, users=29)
    assert not decided([], quality=few).roll_back


def test_after_its_first_days_a_champion_is_no_longer_taken_back():
    assert decided([0.05, *BEFORE[:1], *[0.04] * 5]).roll_back
    assert "proved itself" in decided([0.05, 0.052] * 4).reason


def test_only_the_last_days_of_the_previous_version_count():
    assert not decided(WORSE, [0.2, 0.21] * 10 + [value - 0.03 for value in BEFORE]).roll_back
    assert decided(WORSE, [0.2, *BEFORE]) == decided(WORSE, BEFORE)
    assert decided(WORSE, BEFORE[1:]) != decided(WORSE, BEFORE)


def test_days_of_the_previous_version_beside_the_champions_own_do_not_count():
    beside = quality(16, [0.5] * 3)
    both = quality(9, BEFORE) + quality(16, WORSE, SECOND) + beside
    assert decided(WORSE, quality=both) == decided(WORSE)


def test_only_what_was_promoted_over_a_version_that_served_is_taken_back():
    cases = {
        "There is no champion": {"champion": None},
        "is the first champion": {"champion": champion(SECOND)},
        "was returned to by a rollback": {"champion": champion(SECOND, by="rolled_back", previous=FIRST)},
        "never made recommendations": {"recommending_versions": frozenset({SECOND})},
    }
    for said, known in cases.items():
        decision = decided(WORSE, **known)
        assert (decision.roll_back, decision.to) == (False, None)
        assert said in decision.reason


def test_with_the_switch_off_nothing_is_taken_back():
    decision = decided(WORSE, settings=Settings(automatic_retraining=False))
    assert not decision.roll_back
    assert "switched off" in decision.reason


def test_where_the_world_moved_the_model_is_not_to_blame():
    calm, moved = drift(9, [0.2] * 7), drift(16, [0.2, 1.5, 0.2])
    decision = decided(WORSE, drift=calm + moved)
    assert not decision.roll_back
    assert "The data drifted (listen_hour by 1.500 on 2026-09-17" in decision.reason
    assert decided(BEFORE, drift=calm + moved).reason.startswith("Not clearly worse")


def test_drift_that_the_previous_version_stood_under_excuses_nothing():
    assert decided(WORSE, drift=drift(9, [1.2] * 10)).roll_back
    # So it does if it began, and ended, on the first of the days compared.
    assert decided(WORSE, drift=drift(9, [1.2]) + drift(16, [1.2] * 3)).roll_back
    # On the day as of which it was trained the champion had not served yet.
    assert decided(WORSE, drift=drift(15, [1.2] * 4)).roll_back
    other = drift(9, [1.2] * 7, "track_genre") + drift(16, [1.2] * 3)
    assert not decided(WORSE, drift=other).roll_back
    assert not decided(WORSE, drift=drift(2, [1.2] * 5) + drift(16, [1.2] * 3)).roll_back


def test_what_comes_after_the_day_is_not_known():
    assert not decided(WORSE, today=17).roll_back
    assert decided(WORSE, today=18).roll_back
    assert decided(WORSE, today=18, drift=drift(19, [1.2])).roll_back


def served_gains(random: np.random.Generator, days: int, gain: float, people: int = 300) -> list[float]:
    """Means of NDCG@10 as it is spread in practice (most people nothing), on days that differ by a tenth."""
    means = []
    for ease in random.normal(1, 0.1, days):
        hit = random.random(people) < 4 * (0.03 + gain) * ease
        popular = random.random(people) < 4 * 0.03 * ease
        lists, others = (np.where(who, random.uniform(0, 0.5, people), 0.0) for who in (hit, popular))
        means.append(float(lists.mean() - others.mean()) + 0.03)
    return means


@pytest.mark.parametrize(
    ("share", "least", "most"), [(1.0, 0.0, 0.03), (0.5, 0.4, 1.0), (0.25, 0.85, 1.0), (0.0, 0.97, 1.0)]
)
def test_chance_hardly_ever_takes_back_and_half_the_gain_is_mostly_seen(
    share: float, least: float, most: float
):
    """Looked at daily from the third judged day to the seventh, as the service does."""
    taken_back = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        before, own = served_gains(random, 7, 0.05), served_gains(random, 7, 0.05 * share)
        taken_back += any(decided(own[:days], before).roll_back for days in range(3, 8))
    assert least <= taken_back / 300 <= most


def test_the_same_evidence_is_decided_the_same():
    assert decided(WORSE) == decided(WORSE)
    assert decided(WORSE, today=40) == RollbackDecision(True, day(40), SECOND, FIRST, decided(WORSE).reason)


def test_while_popular_tracks_serve_nothing_is_rolled_back():
    lost = Fallback(day(17), 7, day(16))
    decision = decided(WORSE, standing=Standing(SECOND, None, lost, lost, day(17)))
    assert not decision.roll_back
    assert decision.reason.startswith(f"Popular tracks serve instead of {SECOND}")
    assert decided(WORSE, standing=Standing(SECOND, None, None, lost, day(17))).roll_back
