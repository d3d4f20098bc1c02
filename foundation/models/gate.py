"""The gate: a pure function from the measurements of a candidate to a decision with its reason.

The statistics are in `foundation/statistics/paired_difference.py`; recording decisions belongs to `promotions.py`, and
deciding about a candidate in shadow, from days that had not happened when it was trained, to the product.
"""

from dataclasses import dataclass

from foundation.models.decisions import Verdict
from foundation.statistics.paired_difference import Difference


@dataclass(frozen=True)
class Decision:
    """The decision about a candidate, and the reason in one sentence."""

    decision: Verdict
    reason: str


@dataclass(frozen=True)
class Requirements:
    """The requirements that a candidate must meet.

    Attributes:
        minimum_users: With fewer users measured nothing is clear.
        minimum_ratio: How many times popularity's figure the candidate must reach.
        tolerance: Share of the champion's figure by which the candidate may be worse.
        shadow: Whether a candidate that the hold-out cannot judge goes into shadow. Otherwise it is rejected, and the
            hold-out is all there is to go by.
    """

    minimum_users: int
    minimum_ratio: float
    tolerance: float
    shadow: bool


def decide(
    metric: str,
    over_popularity: Difference,
    over_champion: Difference | None,
    requirements: Requirements,
    holdout_proves_nothing: str | None = None,
) -> Decision:
    """Promote a candidate that clearly beats popularity and is not worse than the champion.

    Not worse means: with 97.5 % confidence at most the tolerated share of the champion's figure below it. A candidate
    that is equal is promoted where enough users were measured to be that sure: trained on newer days, it knows
    users and items that the champion does not. A candidate that is clearly worse is rejected; where the hold-out
    cannot tell, the days to come can: the candidate goes into shadow.

    Args:
        metric: The metric measured, for the reason.
        over_popularity: The candidate against popularity, on the hold-out that neither has seen.
        over_champion: The candidate against the champion on the same; None where there is no champion.
        requirements: What it must meet.
        holdout_proves_nothing: Why no measurement on the hold-out promotes a candidate, a clause; None if it may.
    """
    decision = _by_holdout(metric, over_popularity, over_champion, requirements)
    if not requirements.shadow:
        return Decision("rejected", decision.reason) if decision.decision == "shadow" else decision
    if decision.decision == "promoted" and holdout_proves_nothing:
        return Decision(
            "shadow", f"It must prove itself in shadow, as {holdout_proves_nothing}. {decision.reason}"
        )
    return decision


def _by_holdout(
    metric: str, over_popularity: Difference, over_champion: Difference | None, requirements: Requirements
) -> Decision:
    if over_popularity.users < requirements.minimum_users:
        return Decision(
            "shadow",
            f"Only {over_popularity.users} users have anything new on the hold-out days, "
            f"fewer than the {requirements.minimum_users} that a decision needs.",
        )
    popularity = _figures(metric, over_popularity)
    if over_popularity.high < 0:
        return Decision("rejected", f"Clearly worse than popularity: {popularity}.")
    if over_popularity.low <= 0 or over_popularity.ratio < requirements.minimum_ratio:
        return Decision("shadow", f"Not clearly better than popularity: {popularity}.")
    if over_champion is None:
        return Decision("promoted", f"Clearly better than popularity: {popularity}.")
    champion = _figures(metric, over_champion)
    tolerated = f"{requirements.tolerance * over_champion.other:.4f}"
    if over_champion.low < -requirements.tolerance * over_champion.other:
        if over_champion.high < 0:
            return Decision("rejected", f"Clearly worse than the champion: {champion}.")
        return Decision(
            "shadow", f"Possibly worse than the champion by more than the {tolerated} tolerated: {champion}."
        )
    if over_champion.low > 0:
        return Decision("promoted", f"Better than the champion: {champion}.")
    return Decision(
        "promoted", f"Not worse than the champion by more than the {tolerated} tolerated: {champion}."
    )


def _figures(metric: str, difference: Difference) -> str:
    return (
        f"{metric} {difference.candidate:.4f} against {difference.other:.4f} ({difference.ratio:.2f} times, "
        f"gain between {difference.low:+.4f} and {difference.high:+.4f} over {difference.users} users)"
    )
