"""Welch's test against SciPy's own statistics, and its edges."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from foundation.statistics.significance import chance_of_less

FIGURES = st.lists(st.integers(1, 1000).map(lambda figure: figure / 1000), min_size=2, max_size=8)


def test_the_chance_is_that_of_welchs_test():
    low, high = [0.05, 0.06, 0.052], [0.08, 0.085, 0.07, 0.09]
    expected = ttest_ind(low, high, equal_var=False, alternative="less").pvalue
    assert chance_of_less(low, high) == pytest.approx(expected)


@given(FIGURES, FIGURES)
def test_both_ways_add_up_to_certainty(some: list[float], others: list[float]):
    assume(len({*some}) > 1 or len({*others}) > 1)
    assert chance_of_less(some, others) + chance_of_less(others, some) == pytest.approx(1)


@pytest.mark.parametrize(
    ("days", "others", "chance"),
    [
        ([0.1] * 3, [0.2] * 3, 0.0),
        ([0.2] * 3, [0.2] * 3, 1.0),
        ([0.1], [0.2, 0.3], 0.0),
        ([0.4], [0.2, 0.3], 1.0),
    ],
)
def test_where_nothing_tells_how_much_days_differ_the_mean_decides(days, others, chance):
    assert chance_of_less(days, others) == chance
