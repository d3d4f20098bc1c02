"""The decision which version serves, from a day's evidence: the challenger in shadow, the champion, or popular tracks.

A pure function; the evidence is read in `evidence.py`. Only one thing changes at a time: with the new standing the next
decision is taken. Rollbacks and trainings are decided in `rollback.py` and `retraining.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import sqrt
from statistics import NormalDist
from typing import Literal

import duckdb

from foundation.models import promotions
from foundation.models.decisions import Challenger
from foundation.statistics.sequential import PairedDay, SequentialResult, judge
from foundation.statistics.significance import SIGNIFICANCE
from moovitamix_assets.automation.evidence import DayQuality, Evidence
from moovitamix_assets.setting_groups import MonitoringSettings, PromotionSettings, RetrainingSettings

Action = Literal["promote", "reject", "fall_back", "return"]

_CLEAR = NormalDist().inv_cdf(1 - SIGNIFICANCE)


@dataclass(frozen=True)
class ServingDecision:
    """What changes about the version that serves, from a day on.

    Attributes:
        action: Promote or reject the challenger, fall back to popular tracks, or return to the champion; None if
            nothing changes.
        day: The day from which it holds.
        model_version: The version that the action is about: the challenger, or the champion.
        reason: One sentence for each thing considered.
        popularity_days: For a fallback, the days whose plays make tracks popular.
        worse_since: For a fallback, the first of the days on which the champion lost.
        metrics: The figures that it rests on.
    """

    action: Action | None
    day: date
    model_version: str | None
    reason: str
    popularity_days: int | None = None
    worse_since: date | None = None
    metrics: dict[str, float] = field(default_factory=dict)


def decide_serving(
    evidence: Evidence,
    promotion: PromotionSettings,
    retraining: RetrainingSettings,
    monitoring: MonitoringSettings,
) -> ServingDecision:
    """Decide about the challenger first, then about the champion against popular tracks.

    Args:
        evidence: What is known; nothing after its day is considered.
        promotion: How long a challenger stays in shadow.
        retraining: The days that a fallback and a return need; with `automatic_retraining` off, nothing changes.
        monitoring: How many users a day must have to be judged.
    """
    known = evidence.judged(monitoring.quality_minimum_users)
    if not retraining.automatic_retraining:
        return _nothing(known, "Automatic changes are switched off (automatic_retraining).")
    about_challenger = _about_challenger(known, promotion.shadow_days)
    if about_challenger.action:
        return about_challenger
    about_champion = _about_champion(known, retraining.fallback_days)
    if about_champion.action:
        return about_champion
    return _nothing(known, f"{about_challenger.reason} {about_champion.reason}".strip())


def decide_about_challenger(
    evidence: Evidence, promotion: PromotionSettings, monitoring: MonitoringSettings
) -> ServingDecision:
    """Decide about the challenger alone; the reason says what it waits for."""
    return _about_challenger(evidence.judged(monitoring.quality_minimum_users), promotion.shadow_days)


def apply(connection: duckdb.DuckDBPyConnection, decision: ServingDecision) -> None:
    """Record a decision in `promotions`.

    Args:
        connection: The warehouse, inside a transaction.
        decision: One with an action.
    """
    if decision.action == "fall_back" and decision.popularity_days and decision.worse_since:
        promotions.fall_back(
            connection,
            decision.day,
            decision.reason,
            popularity_days=decision.popularity_days,
            worse_since=decision.worse_since,
            metrics=decision.metrics,
        )
    elif decision.model_version is not None:
        promotions.insert_decision(
            connection,
            decision.model_version,
            decision.day,
            "rejected" if decision.action == "reject" else "promoted",
            decision.reason,
            decision.metrics,
            promotions.champion_version(connection, decision.day),
        )


def _nothing(known: Evidence, reason: str) -> ServingDecision:
    return ServingDecision(None, known.day, None, reason)


def _about_challenger(known: Evidence, shadow_days: int) -> ServingDecision:
    challenger = known.standing.challenger
    if challenger is None:
        return _nothing(known, "")
    days = _shadow_days(known, challenger)
    result = judge([_against_served(past) for past in days], most_days=max(shadow_days, 1))
    figures = _shadow_figures(challenger, known.standing.serving, days, result)
    metrics = {"difference": result.difference, "low": result.low, "high": result.high, "days": result.days}
    if result.verdict == "better":
        action: Action | None = "promote"
        reason = f"Clearly better in shadow: {figures}."
    elif result.verdict == "worse":
        action, reason = "reject", f"Clearly worse in shadow: {figures}."
    elif known.day >= challenger.since + timedelta(days=shadow_days):
        action, reason = "reject", f"Not clearly better after {shadow_days} days in shadow: {figures}."
    else:
        action = None
        until = challenger.since + timedelta(days=shadow_days)
        reason = f"{challenger.model_version} stays in shadow until {until} at the latest: {figures}."
    return ServingDecision(action, known.day, challenger.model_version, reason, metrics=metrics)


def _shadow_days(known: Evidence, challenger: Challenger) -> Sequence[DayQuality]:
    """The days on which the challenger was measured against the version that serves now."""
    since = max(challenger.since, known.standing.serving_since or date.min)
    return [past for past in known.challenger_quality if past.day > since]


def _shadow_figures(
    challenger: Challenger, serving: str, days: Sequence[DayQuality], result: SequentialResult
) -> str:
    if not days:
        return f"{challenger.model_version} was not measured against {serving} yet"
    own = sum(past.users * past.ndcg_at_10 for past in days) / sum(past.users for past in days)
    return (
        f"ndcg_at_10 {own:.4f} against {own - result.difference:.4f} of {serving} on {result.days} days (gain between "
        f"{result.low:+.4f} and {result.high:+.4f} over {result.users} users)"
    )


def _against_served(past: DayQuality) -> PairedDay:
    served = past.ndcg_at_10 if past.served_ndcg_at_10 is None else past.served_ndcg_at_10
    return PairedDay(past.users, past.ndcg_at_10 - served, past.served_gain_standard_error or 0.0)


def _about_champion(known: Evidence, fallback_days: int) -> ServingDecision:
    standing = known.standing
    if standing.champion is None or not fallback_days:
        return _nothing(known, "")
    since = standing.serving_since or date.min
    own = [past for past in known.quality_of(standing.champion) if past.day > since]
    last = own[-fallback_days:]
    if len(last) < fallback_days:
        what = "popular tracks serve" if standing.fallback else f"{standing.champion} serves"
        return _nothing(
            known, f"Since {what}, {len(last)} days were judged of {fallback_days} that a change needs."
        )
    if standing.fallback is not None:
        return _return(known, standing.champion, last)
    return _fall_back(known, standing.champion, last)


def _fall_back(known: Evidence, champion: str, last: Sequence[DayQuality]) -> ServingDecision:
    gain, error = _pooled([(past.users, past.gain, past.gain_standard_error) for past in last])
    figures = _champion_figures(champion, last, gain, "popular tracks")
    if error is None or any(past.gain >= 0 for past in last) or gain > -_CLEAR * error:
        return _nothing(known, f"Not clearly worse than popular tracks: {figures}.")
    earned = {
        days: sum(past.users * past.popularity_by_days.get(days, 0.0) for past in last)
        for days in last[-1].popularity_by_days
    }
    best = max(earned, key=lambda days: earned[days], default=30)
    return ServingDecision(
        "fall_back",
        known.day,
        champion,
        f"Clearly worse than popular tracks: {figures}. Those of the last {best} days serve instead.",
        popularity_days=best,
        worse_since=last[0].day,
        metrics={"gain": gain, "standard_error": error},
    )


def _return(known: Evidence, champion: str, last: Sequence[DayQuality]) -> ServingDecision:
    days = [_against_served(past) for past in last]
    gain, error = _pooled([(past.users, past.difference, past.standard_error) for past in days])
    figures = _champion_figures(champion, last, gain, "the popular tracks that serve")
    if error is None or any(past.difference <= 0 for past in days) or gain < _CLEAR * error:
        return _nothing(known, f"Not clearly better than popular tracks again: {figures}.")
    return ServingDecision(
        "return",
        known.day,
        champion,
        f"Clearly better than popular tracks again: {figures}.",
        metrics={"gain": gain, "standard_error": error},
    )


def _champion_figures(champion: str, last: Sequence[DayQuality], gain: float, other: str) -> str:
    users = sum(past.users for past in last)
    own = sum(past.users * past.ndcg_at_10 for past in last) / users
    return (
        f"{champion} has ndcg_at_10 {own:.4f}, {gain:+.4f} against {other}, on the last {len(last)} days "
        f"({users} users)"
    )


def _pooled(days: Sequence[tuple[int, float, float | None]]) -> tuple[float, float | None]:
    """The mean difference over all users of some days, and its standard error; None where that is not known."""
    users = sum(count for count, _, _ in days)
    mean = sum(count * difference for count, difference, _ in days) / users
    if not all(error is not None and error > 0 for _, _, error in days):
        return mean, None
    return mean, sqrt(sum((count * (error or 0.0)) ** 2 for count, _, error in days)) / users
