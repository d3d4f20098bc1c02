"""When a new champion is taken back by itself: a pure function from evidence to a decision with its reason.

What the evidence is, and where it is read, is in `evidence.py`; doing it is `training/registry.roll_back`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from foundation.models.decisions import Champion
from foundation.statistics.significance import SIGNIFICANCE, chance_of_less
from moovitamix_assets.automation.evidence import DayQuality, Evidence
from moovitamix_assets.settings import Settings

# Where popular tracks earned nothing at all, everything is a very great multiple of it.
_LEAST = 1e-6


@dataclass(frozen=True)
class RollbackDecision:
    """Whether to take back a version, which one to return to, and why (not), in one sentence."""

    roll_back: bool
    day: date
    model_version: str | None
    to: str | None
    reason: str


def decide_rollback(evidence: Evidence, settings: Settings) -> RollbackDecision:
    """Return to the previous champion if the new one clearly gains less over popularity, and the world stayed.

    Only a champion in its first days is looked at, and only if it was promoted: what was returned to stays, so
    nothing goes back twice by itself.

    Args:
        evidence: What is known; nothing after its day is looked at.
        settings: The thresholds; `automatic_retraining` off means never.
    """
    known = evidence.judged(settings.monitoring.quality_minimum_users)
    champion = known.champion
    version = champion.model_version if champion else None
    if champion is None or champion.previous_version is None or not settings.retraining.automatic_retraining:
        return RollbackDecision(False, known.day, version, None, _why_never(champion, settings))
    previous = champion.previous_version
    own = known.quality_of(champion.model_version)
    before = [past for past in known.quality_of(previous) if not own or past.day < own[0].day]
    compared = before[-settings.retraining.rollback_first_days :]
    obstacle = _obstacle(champion, previous, known, len(own), len(compared), settings)
    if obstacle:
        return RollbackDecision(False, known.day, version, None, obstacle)
    worse, figures = _clearly_worse(own, compared, settings.retraining.rollback_drop)
    if not worse:
        return RollbackDecision(False, known.day, version, None, f"Not clearly worse: {figures}.")
    moved = _moved(known, champion, compared[0].day)
    if moved:
        reason = f"The world moved ({moved}), so retraining is the answer, not going back: {figures}."
        return RollbackDecision(False, known.day, version, None, reason)
    return RollbackDecision(True, known.day, version, previous, f"Clearly worse: {figures}.")


def _why_never(champion: Champion | None, settings: Settings) -> str:
    if not settings.retraining.automatic_retraining:
        return "Rolling back by itself is switched off (automatic_retraining)."
    if champion is None:
        return "No version is in force."
    return f"{champion.model_version} is the first champion: there is nothing to return to."


def _obstacle(
    champion: Champion, previous: str, known: Evidence, own: int, compared: int, settings: Settings
) -> str | None:
    """Why the champion cannot be compared with the previous one; None if it can."""
    version, minimum = champion.model_version, settings.retraining.rollback_minimum_days
    if champion.activated_by != "promoted":
        return f"{version} was itself returned to: it is not left again without a training."
    if previous not in known.listed_versions:
        return f"{previous}, which {version} replaced, never made a list that people got."
    if own > settings.retraining.rollback_first_days:
        first = settings.retraining.rollback_first_days
        return f"{version} was judged on {own} days, and proved itself in the first {first}."
    if own < minimum:
        return f"{version} was judged on {own} of the {minimum} days needed."
    if compared < minimum:
        return f"{previous}, which {version} replaced, was judged on {compared} of the {minimum} days needed."
    return None


def _clearly_worse(
    own: Sequence[DayQuality], compared: Sequence[DayQuality], drop: float
) -> tuple[bool, str]:
    """Whether the daily gain over popularity fell clearly, and as a multiple of popularity's figure by a share.

    The multiple alone is too noisy to test, the gain alone follows the world: as people come to know the catalogue,
    both popular tracks and the model's earn less from week to week.
    """
    p = chance_of_less([past.gain for past in own], [past.gain for past in compared])
    now, before = _multiple(own), _multiple(compared)
    figures = (
        f"{own[-1].model_version} gains {now:.2f} times popularity's ndcg_at_10 on {len(own)} days, "
        f"{compared[-1].model_version} gained {before:.2f} times on {len(compared)} (p {p:.4f})"
    )
    return p < SIGNIFICANCE and now <= before - drop * abs(before), figures


def _multiple(days: Sequence[DayQuality]) -> float:
    """What lists earn beyond popular tracks, as a multiple of what those earn."""
    popularity = sum(past.popularity_ndcg_at_10 for past in days)
    return sum(past.gain for past in days) / max(popularity, _LEAST)


def _moved(known: Evidence, champion: Champion, compared_from: date) -> str | None:
    """The drift on the champion's days that the days compared with did not stand under; None if there is none."""
    drifted = [past for past in known.drift if past.drifted and past.day >= compared_from]
    before = {past.feature for past in drifted if past.day <= champion.active_since}
    new = [past for past in drifted if past.day > champion.active_since and past.feature not in before]
    if not new:
        return None
    last = new[-1]
    return f"{last.feature} by {last.value:.3f} on {last.day}, threshold {last.threshold:.3f}"
