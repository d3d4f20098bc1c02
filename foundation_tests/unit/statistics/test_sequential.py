import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from foundation.statistics.sequential import (
    PairedDay,
    SequentialResult,
    critical_values,
    judge,
    pocock_spending,
)

DAYS = st.builds(
    PairedDay,
    users=st.integers(0, 5000),
    difference=st.floats(-1, 1),
    standard_error=st.just(0.0) | st.floats(1e-6, 0.5),
)


def pocock_type(fractions: Sequence[float], error: float) -> list[float]:
    return [error * math.log(1 + (math.e - 1) * fraction) for fraction in fractions]


def o_brien_fleming_type(fractions: Sequence[float], error: float) -> list[float]:
    return [2 * norm.sf(norm.isf(error / 2) / math.sqrt(fraction)) for fraction in fractions]


@pytest.mark.parametrize(
    ("fractions", "pocock", "o_brien_fleming"),
    [
        ([0.5, 1], [2.157, 2.201], [2.963, 1.969]),
        ([0.3, 0.9, 1], [2.312, 2.162, 2.342], [3.929, 2.094, 2.053]),
        ([0.25, 0.5, 0.75, 1], [2.368, 2.368, 2.358, 2.350], [4.333, 2.963, 2.359, 2.014]),
        ([0.2, 0.4, 0.9, 1], [2.438, 2.427, 2.224, 2.376], [4.877, 3.357, 2.097, 2.054]),
    ],
)
def test_critical_values_are_those_of_lan_and_demets(fractions, pocock, o_brien_fleming):
    """Tabulated for a one-sided error of 0.025, for even and uneven looks."""
    variances = np.diff(fractions, prepend=0)
    assert list(critical_values(variances, pocock_type(fractions, 0.025))) == pytest.approx(pocock, abs=6e-4)
    assert list(critical_values(variances, o_brien_fleming_type(fractions, 0.025))) == pytest.approx(
        o_brien_fleming, abs=6e-4
    )


def test_all_of_the_error_is_spent_by_the_last_day():
    assert pocock_spending(4, 0.025) == pytest.approx(pocock_type([0.25, 0.5, 0.75, 1], 0.025))
    assert pocock_spending(7, 0.05)[-1] == pytest.approx(0.05)


@pytest.mark.parametrize(
    "users",
    [
        [400] * 7,
        [20, 5000, 20, 20, 300, 5000, 5000],
        [5000, 20, 20, 20, 20, 20, 20],
        [20, 60, 180, 540, 1620, 4860, 5000],
        [100, 0, 0, 500, 0, 100, 0],
    ],
)
def test_equal_models_are_called_better_as_seldom_as_promised(users):
    runs, spending = 100_000, pocock_spending(7, 0.05)
    steps = np.random.default_rng(1).normal(size=(runs, 7)) * np.sqrt(users)
    standardised = steps.cumsum(axis=1) / np.sqrt(np.cumsum(users))
    bounds = [math.inf if value is None else value for value in critical_values(users, spending)]
    share = (standardised > bounds).any(axis=1).mean()
    last_look = max(day for day, bound in enumerate(bounds) if bound < math.inf)
    assert share == pytest.approx(spending[last_look], abs=4 * math.sqrt(0.05 / runs))


def test_a_clear_gain_is_seen_on_the_first_day_and_a_smaller_one_later():
    assert judge([PairedDay(400, 0.024, 0.01)], most_days=7).verdict == "better"
    small = [PairedDay(400, 0.015, 0.01)] * 7
    assert [judge(small[:days], most_days=7).verdict for days in (1, 2, 3)] == [
        "unclear",
        "unclear",
        "better",
    ]


def test_the_interval_of_one_day_of_few_users_is_that_of_student():
    result = judge([PairedDay(10, 0.1, 0.2)], most_days=1, error=0.05)
    reach = 0.2 * t.isf(0.8 * 0.05, df=9)  # A fifth of the error is kept back.
    assert result == SequentialResult(
        "unclear", 1, 10, pytest.approx(0.1), pytest.approx(0.1 - reach), pytest.approx(0.1 + reach)
    )


def test_days_are_pooled_by_users():
    result = judge([PairedDay(100, 0.1, 0.2), PairedDay(300, 0.02, 0.01)], most_days=7)
    assert (result.users, result.difference) == (400, pytest.approx(0.04))


@pytest.mark.parametrize(
    "day",
    [
        PairedDay(1, 0.9, 0.0),
        PairedDay(1, 0.9, math.nan),
        PairedDay(50, 0.3, 0.0),
        PairedDay(0, math.nan, math.nan),
    ],
)
def test_days_without_a_known_spread_prove_nothing(day):
    assert judge([day] * 7, most_days=7) == SequentialResult("unclear", 7, 0, 0.0, -1.0, 1.0)


def test_a_day_of_ties_dilutes_the_difference_and_spends_nothing():
    measured, ties = PairedDay(100, 0.05, 0.02), PairedDay(100, 0.0, 0.0)
    assert judge([measured, ties], most_days=7).users == 100
    result = judge([ties, measured], most_days=7)
    assert (result.verdict, result.difference) == ("better", pytest.approx(0.025))


def test_without_days_nothing_is_decided():
    assert judge([], most_days=7) == SequentialResult("unclear", 0, 0, 0.0, -1.0, 1.0)


def test_days_after_the_last_look_do_not_count():
    days = [PairedDay(100, 0.0, 0.01)] * 3
    assert judge([*days, PairedDay(5000, 0.5, 0.01)], most_days=3) == judge(days, most_days=3)


@settings(max_examples=40, deadline=None)
@given(st.lists(DAYS, max_size=7), st.integers(0, 7))
def test_a_verdict_stands(days, first):
    earlier, later = judge(days[:first], most_days=7), judge(days, most_days=7)
    assert earlier.verdict == "unclear" or later == earlier
    assert earlier.days <= later.days <= len(days)


@settings(max_examples=40, deadline=None)
@given(st.lists(DAYS, max_size=7), st.sampled_from([0.01, 0.05, 0.2]))
def test_exchanging_the_models_exchanges_the_verdict(days, error):
    result = judge(days, most_days=7, error=error)
    exchanged = [PairedDay(day.users, -day.difference, day.standard_error) for day in days]
    mirrored = judge(exchanged, most_days=7, error=error)
    opposite = {"better": "worse", "worse": "better", "unclear": "unclear"}
    assert mirrored.verdict == opposite[result.verdict]
    assert (mirrored.low, mirrored.high) == pytest.approx((-result.high, -result.low))
    assert -1 <= result.low <= result.difference <= result.high <= 1


@pytest.mark.parametrize(
    ("users", "difference", "standard_error"),
    [(-1, 0.0, 0.1), (5, 1.5, 0.1), (5, math.nan, 0.1), (5, 0.0, -0.1), (5, 0.0, math.inf)],
)
def test_impossible_days_are_refused(users, difference, standard_error):
    with pytest.raises(ValueError, match="give"):
        PairedDay(users, difference, standard_error)


@pytest.mark.parametrize(("most_days", "error"), [(0, 0.05), (7, 0.0), (7, 0.5)])
def test_impossible_tests_are_refused(most_days, error):
    with pytest.raises(ValueError, match="give"):
        judge([], most_days=most_days, error=error)
