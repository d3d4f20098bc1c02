"""Distances between two samples, each with the distance that chance alone rarely exceeds.

Pure statistics: what is compared, and from which distance on it counts as drift, is for a product to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# One day in a thousand may exceed the bound by chance, for each feature.
_CONFIDENCE = 0.999

# Values expected less often than this in the smaller sample are pooled (Cochran 1954).
_LEAST_EXPECTED = 5


@dataclass(frozen=True)
class Distribution:
    """How often each value occurs.

    Attributes:
        rows: Independent observations behind it.
        shares: Share of the observations by value, adding up to 1; numbers stand as their decimal texts.
    """

    rows: int
    shares: Mapping[str, float]


def psi(one: Distribution, other: Distribution) -> tuple[float, float]:
    """The population stability index, and the value that chance exceeds once in a thousand times.

    PSI is the sum of (p - q) ln(p / q). Between samples of m and n from one population it is distributed as
    (1/m + 1/n) times chi-square with one degree of freedom less than there are values (Yurdakul 2018, Statistical
    Properties of Population Stability Index), provided that no value is rare: rare ones are pooled. A value
    that a sample lacks counts as half an observation of it, as its logarithm would be infinite.
    """
    values = sorted(one.shares.keys() | other.shares.keys())
    shares = np.array([[side.shares.get(value, 0.0) for value in values] for side in (one, other)])
    rows = np.array([one.rows, other.rows], dtype=np.float64)
    together = rows @ shares / rows.sum()
    rare = together * rows.min() < _LEAST_EXPECTED
    pooled = np.column_stack([shares[:, ~rare], shares[:, rare].sum(axis=1)]) if rare.any() else shares
    p, q = np.maximum(pooled, 0.5 / rows[:, None])
    value = float(((p - q) * np.log(p / q)).sum())
    by_chance = _chi_square(_CONFIDENCE, max(len(p) - 1, 1)) * float((1 / rows).sum())
    return value, by_chance


def ks(one: Distribution, other: Distribution) -> tuple[float, float]:
    """The Kolmogorov-Smirnov distance, and the value that chance exceeds at most once in a thousand times.

    The distance is the greatest difference of the two cumulated shares. By chance it exceeds
    sqrt(-ln(alpha / 2) / 2) sqrt(1/m + 1/n) with probability alpha, less often where values repeat (Smirnov 1939).
    """
    values = sorted({float(value) for side in (one, other) for value in side.shares})
    place = {value: number for number, value in enumerate(values)}
    cumulated = []
    for side in (one, other):
        shares = np.zeros(len(values))
        for value, share in side.shares.items():
            shares[place[float(value)]] = share
        cumulated.append(shares.cumsum() / shares.sum())
    by_chance = np.sqrt(-np.log((1 - _CONFIDENCE) / 2) / 2) * np.sqrt(1 / one.rows + 1 / other.rows)
    return float(np.abs(cumulated[0] - cumulated[1]).max()), float(by_chance)


def share_by_chance(share: float, count: int) -> float:
    """The share that chance exceeds once in a thousand times where the true one is `share` (normal bound).

    For shares that have no reference to compare with.

    Args:
        share: The true share, from 0 to 1.
        count: Independent observations.
    """
    from scipy.special import ndtri

    return float(share + ndtri(_CONFIDENCE) * np.sqrt(max(share * (1 - share), 0.0) / count))


def _chi_square(probability: float, degrees: int) -> float:
    """The value that a chi-square variable with so many degrees of freedom stays below with a probability.

    By scipy.special: scipy.stats takes longer to import than all the rest of a command.
    """
    from scipy.special import gammaincinv

    return float(2 * gammaincinv(degrees / 2, probability))
