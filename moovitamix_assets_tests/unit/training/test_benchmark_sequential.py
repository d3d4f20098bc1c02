"""The comparisons that the benchmark of the sequential test draws are those it claims."""

import numpy as np
import pytest

from benchmarks.sequential import DAYS, Case, Pool, as_table, simulate, simulated_days


@pytest.fixture(scope="module")
def pool():
    """One model is far better than the other; half of the users are measured on a day."""
    random = np.random.default_rng(1)
    one, other = random.random((2, 300, DAYS))
    one[random.random(one.shape) < 0.5] = np.nan
    return Pool(one, np.where(np.isnan(one), np.nan, other / 4))


@pytest.mark.parametrize("lasting", [True, False])
def test_both_sides_are_equal_however_different_the_models(pool, lasting):
    days = simulated_days(pool, Case((20_000, 20_000), 0.0, lasting), np.random.default_rng(2))
    assert [day.users for day in days] == pytest.approx([20_000] * DAYS, rel=0.2)
    assert [day.difference for day in days] == pytest.approx([0.0] * DAYS, abs=0.015)


def test_the_challenger_is_better_by_the_gain(pool):
    days = simulated_days(pool, Case((50_000, 50_000), 0.25), np.random.default_rng(3))
    challenger = np.nanmean([pool.one, pool.other])
    assert np.mean([day.difference for day in days]) == pytest.approx(challenger * (1 - 1 / 1.25), rel=0.05)


def test_a_clear_gain_is_found_in_the_table(pool):
    row = simulate(pool, Case((400, 400), 1.0), runs=5, seed=1)
    assert (row.better, row.worse, row.median_days) == (1.0, 0.0, 1)
    assert "| 400 | 100% | 100.0% | 0.0% | 1 | 100% |" in as_table([row])
