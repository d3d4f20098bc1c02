"""The decision about a candidate: a pure function from measurements to a decision with its reason.

The statistics are in `foundation/statistics/paired_difference.py`; recording decisions belongs to `promotions.py`.
"""

from dataclasses import dataclass
from typing import Literal

from foundation.statistics.paired_difference import Difference


@dataclass(frozen=True)
class Decision:
    """The decision about a candidate, and the reason in one sentence."""

    decision: Literal["promoted", "rejected"]
    reason: str


def decide(
    metric: str,
    over_popularity: Difference,
    over_champion: Difference | None,
    *,
    minimum_users: int,
    minimum_ratio: float,
    tolerance: float,
) -> Decision:
    """Promote a candidate that clearly beats popularity and is not worse than the champion.

    Not worse means: with 97.5 % confidence at most `tolerance` of the champion's figure below it. A candidate
    that is equal is promoted where enough users were measured to be that sure: trained on newer days, it knows
    users and items that the champion does not.

    Args:
        metric: The metric measured, for the reason.
        over_popularity: The candidate against popularity, on the hold-out that neither has seen.
        over_champion: The candidate against the champion on the same; None where there is no champion.
        minimum_users: With fewer users measured nothing is clear.
        minimum_ratio: How many times popularity's figure the candidate must reach.
        tolerance: Share of the champion's figure.
    """
    if over_popularity.users < minimum_users:
        return Decision(
            "rejected",
            f"Only {over_popularity.users} users have anything new on the hold-out days, "
            f"fewer than the {minimum_users} that a decision needs.",
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
    if over_champion.low > 0:
        return Decision("promoted", f"Better than the champion: {_figures(metric, over_champion)}.")
    return Decision(
        "promoted",
        f"Not worse than the champion by more than the {-allowed:.4f} tolerated: {_figures(metric, over_champion)}.",
    )


def _figures(metric: str, difference: Difference) -> str:
    return (
        f"{metric} {difference.candidate:.4f} against {difference.other:.4f} ({difference.ratio:.2f} times, "
        f"gain between {difference.low:+.4f} and {difference.high:+.4f} over {difference.users} users)"
    )
