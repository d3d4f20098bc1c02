"""A sequential test of daily paired differences, valid however often it is read while the days come in.

Only the statistics belong here; what follows from a verdict is decided in `foundation/models/`. The difference of
a single set of users is in `paired_difference.py`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Verdict = Literal["better", "worse", "unclear"]

_RESERVE = 0.2
"""The share of the error that is not spent: it is kept for what the normal distribution of independent days leaves
out, skewed differences and users who return. `benchmarks/sequential.py` measures what becomes of it."""

_LEAST_INFORMATION = 0.01
"""A day that adds at most this share of the information so far is no look: it could hardly change the verdict."""

_NODES = 200
"""Of the integration: enough for nine digits, also where a look adds as little information as it may."""

_FARTHEST = 8.0
"""Standard deviations below 0 where the distribution of the sum is cut off; what is cut off is below 1e-15."""


@dataclass(frozen=True)
class PairedDay:
    """A challenger compared with the champion on one day, over the users measured on it.

    Attributes:
        users: Users measured for both.
        difference: Mean of the challenger's metric minus the champion's, over users; the metric is from 0 to 1.
        standard_error: Of that mean; 0 or NaN where it is unknown or all users tie.

    Raises:
        ValueError: If there are fewer than 0 users, the difference of any users is not within -1 and 1, or the
            standard error is negative or infinite.
    """

    users: int
    difference: float
    standard_error: float

    def __post_init__(self) -> None:
        if self.users < 0:
            raise ValueError(f"{self.users} users were measured; give 0 or more")
        if self.users and not -1.0 <= self.difference <= 1.0:
            raise ValueError(f"a difference of {self.difference}; give that of a metric from 0 to 1")
        if self.standard_error < 0 or math.isinf(self.standard_error):
            raise ValueError(f"a standard error of {self.standard_error}; give 0 or NaN if it is unknown")

    @property
    def is_informative(self) -> bool:
        """Whether the spread over users is known: a single user proves nothing, and neither do ties alone."""
        return self.users > 1 and self.standard_error > 0

    @property
    def variance(self) -> float:
        """Of the sum of the users' differences; 0 where it is unknown."""
        return (self.users * self.standard_error) ** 2 if self.is_informative else 0.0


@dataclass(frozen=True)
class SequentialResult:
    """The verdict on a challenger after some days.

    Attributes:
        verdict: `unclear` as long as the interval contains 0.
        days: Days counted: up to the verdict, at most the `most_days` of the test.
        users: Users measured up to the last look, those of several days more than once; 0 before the first.
        difference: Mean difference over all of them.
        low: Lower end of the interval of the difference, from -1. Over all looks together, the true difference is
            ever below it with at most the probability `error`.
        high: Upper end, to 1; the same holds above it.
    """

    verdict: Verdict
    days: int
    users: int
    difference: float
    low: float
    high: float


def judge(days: Sequence[PairedDay], *, most_days: int, error: float = 0.05) -> SequentialResult:
    """Decide whether the challenger is better or worse than the champion, as soon as its days allow.

    A group sequential test with one look a day. The error is spent over the days by the Pocock-type function of
    Lan and DeMets (1983), in calendar time (Lan and DeMets 1989): the users of days to come need not be known. The
    critical values follow from the information of the days so far, however uneven. The interval is the repeated
    confidence interval of Jennison and Turnbull (1989). For days of few users, critical values are carried over
    from the normal to Student's t distribution at equal p-values (Jennison and Turnbull 2000), with the degrees
    of freedom of Welch and Satterthwaite.

    Days are pooled by users, not by precision: where most users tie, a day's standard error goes with its mean,
    and weights that follow it would bias the sum. A day without a known spread counts as a day of ties.

    Days count as independent. Users who return every day, and for whom one model is better every day, make them
    less so; a part of the error is kept back for that.

    A verdict stands: days after the one that brought it are not counted, nor are days after `most_days`.

    Args:
        days: In order, the first day of the comparison first.
        most_days: Days after which the test ends, fixed before the first.
        error: The probability, at most, with which equal models are ever called "better"; the same for "worse".

    Raises:
        ValueError: If `most_days` is below 1 or `error` is not between 0 and 0.5.
    """
    if most_days < 1:
        raise ValueError(f"most_days is {most_days}; give 1 or more")
    if not 0.0 < error < 0.5:
        raise ValueError(f"error is {error}; give a probability between 0 and 0.5")
    counted = days[:most_days]
    spending = pocock_spending(most_days, (1.0 - _RESERVE) * error)[: len(counted)]
    result = SequentialResult("unclear", 0, 0, 0.0, -1.0, 1.0)
    looks = critical_values([day.variance for day in counted], spending)
    for number, critical in enumerate(looks, start=1):
        result = replace(result, days=number) if critical is None else _at_look(counted[:number], critical)
        if result.verdict != "unclear":
            break
    return result


def pocock_spending(most_days: int, error: float) -> list[float]:
    """Return the error that may have been spent by the end of each day, `error` on the last (Lan, DeMets 1983)."""
    return [error * math.log1p((math.e - 1.0) * day / most_days) for day in range(1, most_days + 1)]


def critical_values(variances: Sequence[float], spending: Sequence[float]) -> Iterator[float | None]:
    """Yield the critical value of the standardised sum at each look, on the scale of the normal distribution.

    Found by recursive numerical integration (Armitage, McPherson and Rowe 1969). Only crossing upwards is counted,
    which is safe: a run that was stopped for being too low can no longer cross.

    Args:
        variances: What each day adds to the variance of the sum.
        spending: The probability with which the sum may have crossed by the end of each day, increasing.

    Yields:
        One value a day; None where a day adds next to no information and is no look: what it adds counts at the
        next one, and so does the error that it might have spent.
    """
    spent, seen, new, uncrossed = 0.0, 0.0, 0.0, _Uncrossed(np.zeros(1), np.ones(1))
    for variance, allowed in zip(variances, spending, strict=True):
        new += variance
        if new <= _LEAST_INFORMATION * seen:
            yield None
            continue
        seen += new
        step, scale = math.sqrt(new), math.sqrt(seen)
        bound = uncrossed.bound(step, scale, allowed - spent)
        yield bound / scale
        uncrossed = uncrossed.after(step, -_FARTHEST * scale, bound)
        spent, new = allowed, 0.0


@dataclass(frozen=True)
class _Uncrossed:
    """The distribution of the sum among the runs that have not crossed at any look so far.

    Attributes:
        sums: The nodes of the integration, float64 (n,).
        masses: The probability at each; together less than 1 by what was spent.
    """

    sums: Floats
    masses: Floats

    def bound(self, step: float, scale: float, allowed: float) -> float:
        """Return the sum that is exceeded at the next look with the probability allowed there.

        Args:
            step: Standard deviation of what the next look adds.
            scale: Standard deviation of the sum at the next look, had no run been stopped.
            allowed: Probability of crossing there and not before.
        """
        from scipy.optimize import brentq
        from scipy.special import ndtr, ndtri

        def excess(sum_exceeded: float) -> float:
            return float(self.masses @ ndtr((self.sums - sum_exceeded) / step)) - allowed

        # A run never stopped exceeds the upper end less often than allowed.
        highest = scale * (1.0 - ndtri(allowed))
        return float(brentq(excess, -_FARTHEST * scale, highest, xtol=1e-9 * scale))

    def after(self, step: float, low: float, high: float) -> "_Uncrossed":
        """Return the distribution after the next look, of the runs between two sums."""
        nodes, weights = _quadrature()
        sums = low + (high - low) * (nodes + 1.0) / 2.0
        distances = (sums[:, None] - self.sums[None, :]) / step
        density = np.exp(-0.5 * distances**2) @ self.masses / (step * math.sqrt(2.0 * math.pi))
        return _Uncrossed(sums, density * weights * (high - low) / 2.0)


@cache
def _quadrature() -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on -1 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _at_look(days: Sequence[PairedDay], critical: float) -> SequentialResult:
    users = sum(day.users for day in days)
    difference = sum(day.users * day.difference for day in days if day.is_informative) / users
    reach = _students(critical, days) * math.sqrt(sum(day.variance for day in days)) / users
    # The difference of a metric from 0 to 1 is within -1 and 1.
    low, high = max(-1.0, difference - reach), min(1.0, difference + reach)
    verdict: Verdict = "better" if low > 0 else "worse" if high < 0 else "unclear"
    return SequentialResult(verdict, len(days), users, difference, low, high)


def _students(critical: float, days: Sequence[PairedDay]) -> float:
    """Return the value that Student's t exceeds as seldom as the normal distribution exceeds a critical one."""
    from scipy.special import ndtr, stdtrit

    variances = [day.variance for day in days if day.is_informative]
    users = [day.users for day in days if day.is_informative]
    parts = (variance**2 / (count - 1) for variance, count in zip(variances, users, strict=True))
    return -float(stdtrit(sum(variances) ** 2 / sum(parts), ndtr(-critical)))
