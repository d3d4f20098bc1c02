"""Distances against SciPy's own, what they must be for any data, and that chance alone raises no alarm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foundation.statistics.drift import Distribution, ks, psi


def distribution(counts):
    total = sum(counts.values())
    return Distribution(total, {str(value): count / total for value, count in counts.items() if count})


def sample(numbers):
    values, counts = np.unique(numbers, return_counts=True)
    return distribution(dict(zip(values.tolist(), counts.tolist(), strict=True)))


counted = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 500), min_size=1).filter(
    lambda counts: sum(counts.values()) > 0
)
numbers = st.lists(st.integers(-20, 20), min_size=1, max_size=200)


def test_psi_is_the_divergence_in_both_directions():
    before, after = {"a": 500, "b": 300, "c": 200}, {"a": 100, "b": 100, "c": 200}
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.25, 0.25, 0.5])
    value, by_chance = psi(distribution(before), distribution(after))
    assert value == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))
    assert value == pytest.approx(0.25 * np.log(2) + 0.05 * np.log(1.2) + 0.3 * np.log(2.5))
    assert by_chance == pytest.approx(13.8155 * (1 / 1000 + 1 / 400), rel=1e-4)


def test_a_value_that_one_side_lacks_counts_as_half_an_observation():
    value, _ = psi(distribution({"a": 100}), distribution({"a": 100, "b": 100}))
    assert value == pytest.approx(0.5 * np.log(2) + (0.5 - 0.005) * np.log(0.5 / 0.005))


def test_rare_values_are_counted_as_one():
    before = {"a": 5000, "b": 5000} | {f"rare {number}": 10 for number in range(20)}
    after = {"a": 100, "b": 100, "never seen": 4}
    value, by_chance = psi(distribution(before), distribution(after))
    pooled, pooled_by_chance = psi(
        distribution({"a": 5000, "b": 5000, "rest": 200}), distribution({"a": 100, "b": 100, "rest": 4})
    )
    assert value == pytest.approx(pooled)
    assert by_chance == pytest.approx(pooled_by_chance)


@given(counted, counted)
def test_psi_is_a_distance_whatever_the_order(one, other):
    value, by_chance = psi(distribution(one), distribution(other))
    assert value >= 0
    assert by_chance > 0
    assert psi(distribution(other), distribution(one))[0] == pytest.approx(value)
    turned = dict(reversed(list(one.items())))
    assert psi(distribution(turned), distribution(other)) == (value, by_chance)
    assert psi(distribution(one), distribution(one))[0] == 0


@settings(deadline=None)
@given(numbers, numbers)
def test_the_distance_of_cumulated_shares_is_scipys(one, other):
    value, _ = ks(sample(one), sample(other))
    assert value == pytest.approx(stats.ks_2samp(one, other, method="asymp").statistic)
    assert 0 <= value <= 1 + 1e-9
    assert ks(sample(one), sample(one))[0] == 0


def test_what_chance_makes_of_the_distance_is_scipys_distribution():
    _, by_chance = ks(sample(range(700)), sample(range(3500)))
    effective = np.sqrt(700 * 3500 / 4200)
    assert stats.kstwobign.sf(by_chance * effective) == pytest.approx(0.001, rel=1e-3)


@pytest.mark.parametrize(("measure", "values"), [(psi, 20), (ks, 15)])
def test_chance_alone_exceeds_what_chance_gives_about_once_in_a_thousand_times(measure, values):
    random = np.random.default_rng(11)
    odds = random.dirichlet(np.full(values, 3.0))
    alarms = 0
    for _ in range(1500):
        day, week = (random.multinomial(rows, odds) for rows in (400, 2800))
        value, by_chance = measure(
            *(distribution(dict(enumerate(counts.tolist()))) for counts in (week, day))
        )
        alarms += value > by_chance
    assert alarms <= 6  # of 1500: 1.5 expected, and 7 or more would come up once in 1000 times
