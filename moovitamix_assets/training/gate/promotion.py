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


NOBODY_MEASURED = Difference(0.0, 0.0, 0.0, 0.0, 0)
"""What there is to say where nobody heard anything new on the hold-out days."""


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
        return NOBODY_MEASURED
    gains = (paired["candidate"] - paired["other"]).to_numpy(np.float64)
    random, people = np.random.default_rng(seed), len(gains)
    # One resample at a time: all at once would be 16 GB for a million people.
    means = [gains[random.integers(0, people, people)].mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, _INTERVAL)
    return Difference(
        float(paired["candidate"].mean()), float(paired["other"].mean()), float(low), float(high), len(gains)
    )


def decide(
    metric: str,
    over_popularity: Difference,
    over_champion: Difference | None,
    *,
    minimum_users: int,
    minimum_ratio: float,
    tolerance: float,
) -> Decision:
    """Let in what clearly beats popularity and is not worse than the champion.

    Not worse means: with 97.5 % confidence at most `tolerance` of the champion's figure below it. A candidate
    that is equal is let in where enough people were measured to be so sure; being trained on newer days, it
    knows people and tracks that the champion does not.

    Args:
        metric: What was measured, for the reason.
        over_popularity: The candidate beside popularity, on listens that neither has seen.
        over_champion: The candidate beside the champion on the same; None where there is no champion.
        minimum_users: With fewer people measured nothing is clear.
        minimum_ratio: How many times popularity's figure the candidate must reach.
        tolerance: Share of the champion's figure.
    """
    if over_popularity.users < minimum_users:
        return Decision(
            "rejected",
            f"Only {over_popularity.users} people heard anything new on the hold-out days, "
            f"fewer than the {minimum_users} that a judgement needs.",
        )
    if over_popularity.low <= 0 or over_popularity.ratio < minimum_ratio:
        return Decision(
            "rejected", f"Not clearly better than popularity: {_figures(metric, over_popularity)}."
        )
    if over_champion is None:
        return Decision("promoted", f"Clearly better than popularity: {_figures(metric, over_popularity)}.")
    allowed = -tolerance * over_champion.other
    if over_champion.low < allowed:
        return Decision(
            "rejected",
            f"Possibly worse than the champion by more than the {-allowed:.4f} tolerated: "
            f"{_figures(metric, over_champion)}.",
        )
    better = "Better than" if over_champion.low > 0 else "Not worse than"
    return Decision("promoted", f"{better} the champion: {_figures(metric, over_champion)}.")


def _figures(metric: str, difference: Difference) -> str:
    return (
        f"{metric} {difference.candidate:.4f} against {difference.other:.4f} ({difference.ratio:.2f} times, "
        f"gain between {difference.low:+.4f} and {difference.high:+.4f} over {difference.users} people)"
    )
