"""The significance test behind decisions: were some days worse than others, or is it chance?"""

from collections.abc import Sequence
from statistics import fmean, stdev

SIGNIFICANCE = 0.01
"""A difference that chance alone would produce less often than this counts as clear."""


def chance_of_less(days: Sequence[float], others: Sequence[float]) -> float:
    """The p-value of one set of days being lower than another.

    Welch's t-test over days, one-sided (Welch 1947): days differ by more than the users measured on them do.

    Args:
        days: One figure a day; at least one.
        others: The same of the days compared with; at least one.

    Returns:
        From 0 to 1. Where the spread of days is unknown (all alike, or a single day on one side), 0 if the mean
        is lower, else 1.
    """
    low, high = fmean(days), fmean(others)
    spreads = [stdev(figures) if len(figures) > 1 else None for figures in (days, others)]
    if None in spreads or not any(spreads):
        return 0.0 if low < high else 1.0
    from scipy.stats import ttest_ind_from_stats

    test = ttest_ind_from_stats(
        low, spreads[0], len(days), high, spreads[1], len(others), equal_var=False, alternative="less"
    )
    return float(test.pvalue)
