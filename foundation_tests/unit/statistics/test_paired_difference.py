import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

from foundation.statistics.paired_difference import NO_USERS_MEASURED, paired_difference
from foundation_tests.unit.statistics.samples import ndcg_of_users


def test_the_interval_is_the_percentile_bootstrap_of_scipy():
    candidate, other = ndcg_of_users(0.10, 400, 1), ndcg_of_users(0.08, 400, 2)
    ours = paired_difference(candidate, other, seed=3)
    reference = bootstrap(
        ((candidate - other).to_numpy(),), np.mean, method="percentile", n_resamples=20_000, rng=4
    ).confidence_interval
    spread = reference.high - reference.low
    assert ours.low == pytest.approx(reference.low, abs=0.05 * spread)
    assert ours.high == pytest.approx(reference.high, abs=0.05 * spread)
    assert ours.candidate == pytest.approx(candidate.mean())


def test_only_users_measured_for_both_are_compared():
    candidate = pd.Series([1.0, 0.5], index=[7, 8])
    other = pd.Series([0.25, 0.9], index=[8, 9])
    difference = paired_difference(candidate, other, seed=1)
    assert (difference.users, difference.candidate, difference.other) == (1, 0.5, 0.25)


def test_no_user_measured_for_both_is_no_difference():
    assert paired_difference(pd.Series([1.0], index=[1]), pd.Series([1.0], index=[2]), 1) == NO_USERS_MEASURED
