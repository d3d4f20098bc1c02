"""The difference between two recommenders measured on the same users, with its confidence interval.

Only the statistics belong here; what follows from a difference is decided in `foundation/models/gate.py`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Difference:
    """How much better one subject's recommendations are than another's, paired by user.

    Attributes:
        candidate: Mean of the candidate.
        other: Mean of the other.
        low: Lower end of the 95 % bootstrap interval of the difference.
        high: Upper end.
        users: Users measured.
    """

    candidate: float
    other: float
    low: float
    high: float
    users: int

    @property
    def ratio(self) -> float:
        """The candidate's mean as a multiple of the other's; infinite where the other's is 0."""
        return self.candidate / self.other if self.other else float("inf")


NO_USERS_MEASURED = Difference(0.0, 0.0, 0.0, 0.0, 0)
"""The difference where no user was measured for both subjects."""


def paired_difference(candidate: pd.Series, other: pd.Series, seed: int) -> Difference:
    """Compare two subjects over the users that both were measured on.

    The interval is the percentile bootstrap over users (Efron and Tibshirani 1993), 2,000 resamples.

    Args:
        candidate: A metric by user_id.
        other: The same metric by user_id.
        seed: Of the resampling.
    """
    paired = pd.DataFrame({"candidate": candidate, "other": other}).dropna()
    if paired.empty:
        return NO_USERS_MEASURED
    gains = (paired["candidate"] - paired["other"]).to_numpy(np.float64)
    random, users = np.random.default_rng(seed), len(gains)
    # One resample at a time: all at once would be 16 GB for a million users.
    means = [gains[random.integers(0, users, users)].mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, _INTERVAL)
    return Difference(
        float(paired["candidate"].mean()), float(paired["other"].mean()), float(low), float(high), users
    )
