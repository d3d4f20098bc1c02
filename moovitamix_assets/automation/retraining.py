"""Automatic retraining: a pure function from evidence to a decision with its reason.

The evidence is read in `evidence.py`; the sensor starts the training. Triggers are a user's request, bad quality, drift
and age. A cool-down and a budget bound them: without bounds, a lasting shift would start a training every day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import takewhile
from statistics import fmean
from typing import Literal

from foundation.counting import counted
from foundation.models.decisions import Champion
from foundation.statistics.significance import SIGNIFICANCE, chance_of_less
from moovitamix_assets.automation.evidence import DayQuality, Evidence, Training
from moovitamix_assets.automation.training_limits import obstacle_to_training
from moovitamix_assets.setting_groups import MonitoringSettings, RetrainingSettings

Trigger = Literal["requested", "recovery", "degraded", "drift", "age", "no champion"]


@dataclass(frozen=True)
class RetrainingDecision:
    """The decision whether to train as of a day, the first trigger, and the reason in one sentence."""

    retrain: bool
    day: date
    trigger: Trigger | None
    reason: str


@dataclass(frozen=True)
class Degradation:
    """Bad quality or drift that lasts.

    Attributes:
        since: The first bad day.
        findings: The measurements, a sentence each.
    """

    since: date
    findings: tuple[str, ...]


@dataclass(frozen=True)
class _Finding:
    """The state of one trigger; `fires` is None where it does not, `bad_since` where all is well."""

    fires: Trigger | None
    description: str
    bad_since: date | None = None


@dataclass(frozen=True)
class _Day:
    """A day by one trigger's limit: bad is beyond it, clear is well within; between the two it is neither."""

    day: date
    bad: bool
    clear: bool
    description: str


def decide_retraining(
    evidence: Evidence, retraining: RetrainingSettings, monitoring: MonitoringSettings
) -> RetrainingDecision:
    """Train if a trigger fires, there is something to learn, and no cool-down, budget or running training forbids it.

    Args:
        evidence: What is known; nothing after its day is considered.
        retraining: The limits; with `automatic_retraining` off, only a user's request counts.
        monitoring: What counts as bad quality.
    """
    known = evidence.judged(monitoring.quality_minimum_users)
    findings = _findings(known, retraining, monitoring)
    firing = [finding for finding in findings if finding.fires]
    if not firing:
        states = "; ".join(finding.description for finding in findings)
        return RetrainingDecision(False, known.day, None, f"No trigger fires: {states}.")
    causes = "; ".join(finding.description for finding in firing)
    recovers = any(finding.fires == "recovery" for finding in firing)
    obstacle = known.nothing_to_learn or obstacle_to_training(known, retraining, recovers=recovers)
    if obstacle:
        return RetrainingDecision(False, known.day, None, f"A training is due ({causes}) but {obstacle}.")
    return RetrainingDecision(
        True, known.day, firing[0].fires, f"A training is due on {known.day}: {causes}."
    )


def open_request(evidence: Evidence) -> date | None:
    """The day as of which a user requested a retraining that no training answers yet; None if there is none."""
    day = evidence.requested_on
    return None if day is None or any(past.day >= day for past in evidence.trainings) else day


def degradation(
    evidence: Evidence, retraining: RetrainingSettings, monitoring: MonitoringSettings
) -> Degradation | None:
    """The incidents of quality and drift, whether or not a training is allowed; None if there are none."""
    known = evidence.judged(monitoring.quality_minimum_users)
    if known.champion is None:
        return None
    findings = [_degraded(known, known.champion, retraining, monitoring), _drift(known, retraining)]
    bad = [(finding.bad_since, finding.description) for finding in findings if finding.bad_since]
    return Degradation(min(since for since, _ in bad), tuple(words for _, words in bad)) if bad else None


def _findings(
    known: Evidence, retraining: RetrainingSettings, monitoring: MonitoringSettings
) -> list[_Finding]:
    """The state of every trigger, the most important first."""
    requested = _requested(known)
    if not retraining.automatic_retraining:
        return [requested, _Finding(None, "automatic retraining is switched off (automatic_retraining)")]
    if known.champion is None:
        return [requested, _Finding("no champion", "there is no champion, all users get popular tracks")]
    return [
        requested,
        *_recovery(known),
        _degraded(known, known.champion, retraining, monitoring),
        _drift(known, retraining),
        _age(known.day, known.champion, retraining.retraining_age_days),
    ]


def _requested(known: Evidence) -> _Finding:
    if known.requested_on is None:
        return _Finding(None, "no user requested one")
    if known.requested_on > known.day:
        return _Finding(
            None,
            f"the request of a user waits for the recommendations of {known.requested_on}, "
            f"which the nightly run computes on {known.requested_on + timedelta(days=1)}",
        )
    answer = next((past.day for past in known.trainings if past.day >= known.requested_on), None)
    if answer:
        return _Finding(None, f"the request of {known.requested_on} was answered on {answer}")
    return _Finding("requested", f"a user requested it on {known.requested_on}")


def _recovery(known: Evidence) -> list[_Finding]:
    """After a fallback: train at once, and again whenever twice as many days since the change are known."""
    last = known.standing.last_fallback
    if last is None or not known.standing.recovers(known.day):
        return []
    days = (known.day - last.worse_since).days + 1
    trained = [past.day for past in known.trainings if past.day >= last.worse_since]
    learned = (trained[-1] - last.worse_since).days + 1 if trained else 0
    description = (
        f"since tastes changed on {last.worse_since}, {days} days have passed, of which the last training knew "
        f"{learned}"
    )
    return [_Finding("recovery" if days >= 2 * learned else None, description)]


def _degraded(
    known: Evidence, champion: Champion, retraining: RetrainingSettings, monitoring: MonitoringSettings
) -> _Finding:
    days = {
        version: _quality_days(known.quality_of(version), retraining, monitoring)
        for version in _versions(known)
    }
    # The episode runs through promotions, but a champion is judged on its own days only.
    episode = sorted((past for of_version in days.values() for past in of_version), key=lambda past: past.day)
    own = days.get(champion.model_version, [])
    finding = _in_a_row("degraded", "quality", own, episode, known.trainings, retraining)
    if finding.bad_since and _may_be_chance(known.quality_of(champion.model_version), own, monitoring):
        return _Finding(None, f"{finding.description}, which may be chance")
    return finding


def _may_be_chance(
    measured: Sequence[DayQuality], days: Sequence[_Day], monitoring: MonitoringSettings
) -> bool:
    """Return whether the last bad days may equal the reference by chance; days below popularity are no chance."""
    streak = len(list(takewhile(lambda past: past.bad, reversed(days))))
    bad, first = measured[-streak:], measured[: monitoring.quality_reference_days]
    if all(past.ndcg_at_10 < monitoring.quality_minimum_ratio * past.popularity_ndcg_at_10 for past in bad):
        return False
    figures = ([past.ndcg_at_10 for past in some] for some in (bad, first))
    return chance_of_less(*figures) >= SIGNIFICANCE


def _drift(known: Evidence, retraining: RetrainingSettings) -> _Finding:
    # Measured against the champion of each day: what goes on through a promotion is the same episode.
    days = [
        _Day(
            past.day,
            bad=past.drifted,
            clear=past.value < retraining.retraining_rearm_share * past.threshold,
            description=f"{past.feature} moved by {past.value:.3f}, threshold {past.threshold:.3f}",
        )
        for past in known.drift
    ]
    return _in_a_row("drift", "drift", days, days, known.trainings, retraining)


def _age(day: date, champion: Champion, limit: int) -> _Finding:
    age = (day - champion.as_of).days
    description = f"{champion.model_version} was trained {counted(age, 'day')} ago, the limit is {limit}"
    return _Finding("age" if age >= limit else None, description)


def _versions(known: Evidence) -> list[str]:
    return sorted({past.model_version for past in known.quality})


def _quality_days(
    of_version: Sequence[DayQuality], retraining: RetrainingSettings, monitoring: MonitoringSettings
) -> list[_Day]:
    """Each judged day of a version compared with popularity, and with the version's own first days."""
    first = of_version[: monitoring.quality_reference_days]
    days = []
    for number, past in enumerate(of_version):
        limit = monitoring.quality_minimum_ratio * past.popularity_ndcg_at_10
        if number >= monitoring.quality_reference_days:
            # Only days after the reference days are compared with the reference.
            reference = fmean(judged.ndcg_at_10 for judged in first)
            limit = max(limit, (1 - monitoring.quality_drop) * reference)
        days.append(
            _Day(
                past.day,
                bad=past.ndcg_at_10 < limit,
                clear=past.ndcg_at_10 >= limit / retraining.retraining_rearm_share,
                description=f"ndcg_at_10 {past.ndcg_at_10:.4f}, at least {limit:.4f} required",
            )
        )
    return days


def _in_a_row(
    trigger: Trigger,
    name: str,
    days: Sequence[_Day],
    episode: Sequence[_Day],
    trainings: Sequence[Training],
    retraining: RetrainingSettings,
) -> _Finding:
    """Fire if the last days were all bad, unless a promotion answered already and no day was clear since.

    A rejected candidate is no answer: only the growing cool-down delays the next one.
    """
    if not days:
        return _Finding(None, f"{name} was not measured yet")
    required = retraining.retraining_days_in_a_row
    streak = len(list(takewhile(lambda past: past.bad, reversed(days))))
    last = f"{days[-1].description} on {days[-1].day}"
    if streak < required:
        return _Finding(None, f"{name}: {streak} bad days in a row of {required} needed ({last})")
    since_clear = list(takewhile(lambda past: not past.clear, reversed(episode)))
    began = min(past.day for past in since_clear if past.bad)
    answer = next((past.day for past in trainings if past.outcome == "promoted" and past.day >= began), None)
    if answer:
        answered = f"answered by the training of {answer} and not clear for a day since"
        return _Finding(None, f"{name}: bad since {began}, {answered} ({last})", began)
    return _Finding(
        trigger, f"{name}: bad on the last {counted(streak, 'day')} measured, since {began} ({last})", began
    )
