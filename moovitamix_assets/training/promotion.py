"""Whether a candidate is let in: a pure function from measurements to a decision with its reason.

Reading measurements and recording decisions belong to `registry.py` and `assets.py`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Difference:
    """How much better one subject's lists are than another's, paired by person.

    Attributes:
        candidate: Mean of the candidate.
        other: Mean of the other.
        low: Lower end of the 95 % bootstrap interval of the difference.
        high: Upper end.
        users: People measured.
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


@dataclass(frozen=True)
class Decision:
    """What was decided about a candidate, and why, in one sentence."""

    decision: Literal["promoted", "rejected"]
    reason: str


def paired_difference(candidate: pd.Series, other: pd.Series, seed: int) -> Difference:
    """Compare two subjects over the people that both were measured on.

    The interval is the percentile bootstrap over people (Efron and Tibshirani 1993), 2,000 resamples.

    Args:
        candidate: A metric by user_id.
        other: The same metric by user_id.
        seed: Of the resampling.
    """
    paired = pd.DataFrame({"candidate": candidate, "other": other}).dropna()
    if paired.empty:
        return Difference(0.0, 0.0, 0.0, 0.0, 0)
    gains = (paired["candidate"] - paired["other"]).to_numpy(np.float64)
    drawn = np.random.default_rng(seed).multinomial(
        len(gains), np.full(len(gains), 1 / len(gains)), _RESAMPLES
    )
    low, high = np.percentile(drawn @ gains / len(gains), _INTERVAL)
    return Difference(
        float(paired["candidate"].mean()), float(paired["other"].mean()), float(low), float(high), len(gains)
    )


def decide(over_popularity: Difference, *, minimum_users: int, minimum_ratio: float) -> Decision:
    """Promote what clearly beats popularity.

    Args:
        over_popularity: NDCG@10 of the candidate and of popularity on listens that neither has seen.
        minimum_users: With fewer people measured nothing is clear.
        minimum_ratio: How many times popularity's figure the candidate must reach.
    """
    figures = (
        f"NDCG@10 {over_popularity.candidate:.4f} against popularity's {over_popularity.other:.4f} "
        f"({over_popularity.ratio:.2f} times, gain between {over_popularity.low:+.4f} and "
        f"{over_popularity.high:+.4f} over {over_popularity.users} people)"
    )
    if over_popularity.users < minimum_users:
        return Decision(
            "rejected",
            f"Only {over_popularity.users} people heard anything new on the hold-out days, "
            f"fewer than the {minimum_users} that a judgement needs.",
        )
    if over_popularity.low <= 0 or over_popularity.ratio < minimum_ratio:
        return Decision("rejected", f"Not clearly better than popularity: {figures}.")
    return Decision("promoted", f"Clearly better than popularity: {figures}.")
