"""Automatic rollback of a new champion: a pure function from evidence to a decision with its reason.

The evidence is read in `evidence.py`; the rollback itself is `training/gate/promotion.roll_back`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from foundation.counting import counted
from foundation.models.decisions import Champion
from foundation.statistics.significance import SIGNIFICANCE, chance_of_less
from moovitamix_assets.automation.evidence import DayQuality, Evidence
from moovitamix_assets.setting_groups import MonitoringSettings, RetrainingSettings

# Where popular tracks score zero, any score is a very large multiple of it.
_LEAST = 1e-6


@dataclass(frozen=True)
class RollbackDecision:
    """The decision whether to roll back a version, the version to return to, and the reason in one sentence."""

    roll_back: bool
    day: date
    model_version: str | None
    to: str | None
    reason: str


def decide_rollback(
    evidence: Evidence, retraining: RetrainingSettings, monitoring: MonitoringSettings
) -> RollbackDecision:
    """Return to the previous champion if the new one clearly gains less over popularity, and nothing drifted.

    Only a promoted champion in its first days is judged: a version that was returned to stays, so that nothing is
    rolled back twice automatically.

    Args:
        evidence: What is known; nothing after its day is considered.
        retraining: The limits; with `automatic_retraining` off, nothing is rolled back.
        monitoring: How many users a day must have to be judged.
    """
    known = evidence.judged(monitoring.quality_minimum_users)
    champion = known.champion
    version = champion.model_version if champion else None
    if champion is None or champion.previous_version is None or not retraining.automatic_retraining:
        return RollbackDecision(False, known.day, version, None, _why_never(champion, retraining))
    previous = champion.previous_version
    own = known.quality_of(champion.model_version)
    before = [past for past in known.quality_of(previous) if not own or past.day < own[0].day]
    compared = before[-retraining.rollback_first_days :]
    obstacle = _obstacle(champion, previous, known, len(own), len(compared), retraining)
    if obstacle:
        return RollbackDecision(False, known.day, version, None, obstacle)
    worse, figures = _clearly_worse(own, compared, retraining.rollback_drop)
    if not worse:
        return RollbackDecision(False, known.day, version, None, f"Not clearly worse: {figures}.")
    moved = _moved(known, champion, compared[0].day)
    if moved:
        reason = f"The data drifted ({moved}), so retraining is the remedy, not a rollback: {figures}."
        return RollbackDecision(False, known.day, version, None, reason)
    return RollbackDecision(True, known.day, version, previous, f"Clearly worse: {figures}.")


def _why_never(champion: Champion | None, retraining: RetrainingSettings) -> str:
    if not retraining.automatic_retraining:
        return "Automatic rollback is switched off (automatic_retraining)."
    if champion is None:
        return "There is no champion."
    return f"{champion.model_version} is the first champion: there is nothing to return to."


def _obstacle(
    champion: Champion,
    previous: str,
    known: Evidence,
    own: int,
    compared: int,
    retraining: RetrainingSettings,
) -> str | None:
    """Why the champion cannot be compared with the previous one; None if it can."""
    version, minimum = champion.model_version, retraining.rollback_minimum_days
    if known.standing.fallback is not None:
        return f"Popular tracks serve instead of {version}: an earlier champion would not do better."
    if champion.activated_by != "promoted":
        return f"{version} was returned to by a rollback: only a training replaces it."
    if previous not in known.recommending_versions:
        return f"{previous}, which {version} replaced, never made recommendations."
    if own > retraining.rollback_first_days:
        first = retraining.rollback_first_days
        return f"{version} was judged on {counted(own, 'day')}, and proved itself in the first {first}."
    if own < minimum:
        return f"{version} was judged on {own} of the {minimum} days needed."
    if compared < minimum:
        return f"{previous}, which {version} replaced, was judged on {compared} of the {minimum} days needed."
    return None


def _clearly_worse(
    own: Sequence[DayQuality], compared: Sequence[DayQuality], drop: float
) -> tuple[bool, str]:
    """Return whether the daily gain over popularity fell significantly, and by a share as a multiple of popularity.

    The multiple alone is too noisy to test, and the gain alone follows the data: as users come to know the catalogue,
    popular tracks and the model's both score less from week to week.
    """
    p = chance_of_less([past.gain for past in own], [past.gain for past in compared])
    now, before = _multiple(own), _multiple(compared)
    figures = (
        f"{own[-1].model_version} gains {now:.2f} times popularity's ndcg_at_10 on {counted(len(own), 'day')}, "
        f"{compared[-1].model_version} gained {before:.2f} times on {len(compared)} (p {p:.4f})"
    )
    return p < SIGNIFICANCE and now <= before - drop * abs(before), figures


def _multiple(days: Sequence[DayQuality]) -> float:
    """The gain of recommendations over popular tracks, as a multiple of the score of popular tracks."""
    popularity = sum(past.popularity_ndcg_at_10 for past in days)
    return sum(past.gain for past in days) / max(popularity, _LEAST)


def _moved(known: Evidence, champion: Champion, compared_from: date) -> str | None:
    """The drift on the champion's days that the days compared with did not have; None if there is none."""
    drifted = [past for past in known.drift if past.drifted and past.day >= compared_from]
    before = {past.feature for past in drifted if past.day <= champion.active_since}
    new = [past for past in drifted if past.day > champion.active_since and past.feature not in before]
    if not new:
        return None
    last = new[-1]
    return f"{last.feature} by {last.value:.3f} on {last.day}, threshold {last.threshold:.3f}"
