"""When the model is trained anew by itself: a pure function from evidence to a decision with its reason.

What the evidence is, and where it is read, is in `evidence.py`; starting the training is the sensor's.
A training is asked for by a person, by bad quality, by drift or by age, and held back by a cool-down and a budget:
a trigger that nothing bounds trains every night as long as the world stays odd.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import takewhile
from statistics import fmean
from typing import Literal

from foundation.models.decisions import Champion
from foundation.statistics.significance import SIGNIFICANCE, chance_of_less
from moovitamix_assets.automation.evidence import DayQuality, Evidence, Training
from moovitamix_assets.settings import Settings

_BUDGET_DAYS = 30

Trigger = Literal["asked", "degraded", "drift", "age", "no champion"]


@dataclass(frozen=True)
class RetrainingDecision:
    """Whether to train as of a day, what asked for it first, and why (not), in one sentence."""

    retrain: bool
    day: date
    trigger: Trigger | None
    reason: str


@dataclass(frozen=True)
class Degradation:
    """That lists became worse, or the world another one.

    Attributes:
        since: The first bad day.
        findings: What was measured, a sentence each.
    """

    since: date
    findings: tuple[str, ...]


@dataclass(frozen=True)
class _Finding:
    """What one trigger has to say; `asks` is None where it asks for nothing, `bad_since` where all is well."""

    asks: Trigger | None
    words: str
    bad_since: date | None = None


@dataclass(frozen=True)
class _Day:
    """A day as a trigger sees it: bad is beyond its limit, clear is well within; between the two it is neither."""

    day: date
    bad: bool
    clear: bool
    words: str


def decide_retraining(evidence: Evidence, settings: Settings) -> RetrainingDecision:
    """Train if something asks for it and neither cool-down nor budget nor a training under way forbids it.

    Args:
        evidence: What is known; nothing after its day is looked at.
        settings: The thresholds; `automatic_retraining` off leaves only what a person asked for.
    """
    known = evidence.judged(settings.monitoring.quality_minimum_users)
    findings = _findings(known, settings)
    asking = [finding for finding in findings if finding.asks]
    if not asking:
        looked_at = "; ".join(finding.words for finding in findings)
        return RetrainingDecision(False, known.day, None, f"Nothing asks for a training: {looked_at}.")
    causes = "; ".join(finding.words for finding in asking)
    obstacle = _obstacle(known.day, known.trainings, settings)
    if obstacle:
        return RetrainingDecision(
            False, known.day, None, f"A training is asked for ({causes}) but {obstacle}."
        )
    return RetrainingDecision(True, known.day, asking[0].asks, f"A training is due on {known.day}: {causes}.")


def degradation(evidence: Evidence, settings: Settings) -> Degradation | None:
    """What is wrong with quality or drift, whether or not anything may be done about it; None if nothing is."""
    known = evidence.judged(settings.monitoring.quality_minimum_users)
    if known.champion is None:
        return None
    findings = [_degraded(known, known.champion, settings), _drift(known, settings)]
    bad = [(finding.bad_since, finding.words) for finding in findings if finding.bad_since]
    return Degradation(min(since for since, _ in bad), tuple(words for _, words in bad)) if bad else None


def _findings(known: Evidence, settings: Settings) -> list[_Finding]:
    """What every trigger says, the most telling first."""
    asked = _asked(known)
    if not settings.retraining.automatic_retraining:
        return [asked, _Finding(None, "retraining by itself is switched off (automatic_retraining)")]
    if known.champion is None:
        return [asked, _Finding("no champion", "no version is in force, everyone gets popular tracks")]
    return [
        asked,
        _degraded(known, known.champion, settings),
        _drift(known, settings),
        _age(known.day, known.champion, settings.retraining.retraining_age_days),
    ]


def _asked(known: Evidence) -> _Finding:
    if known.asked_on is None:
        return _Finding(None, "nobody asked")
    answer = next((past.day for past in known.trainings if past.day >= known.asked_on), None)
    if answer:
        return _Finding(None, f"what a person asked for on {known.asked_on} was answered on {answer}")
    return _Finding("asked", f"a person asked for it on {known.asked_on}")


def _degraded(known: Evidence, champion: Champion, settings: Settings) -> _Finding:
    days = {version: _quality_days(known.quality_of(version), settings) for version in _versions(known)}
    # The episode runs through promotions, but a champion is asked about for days of its own only.
    episode = sorted((past for of_version in days.values() for past in of_version), key=lambda past: past.day)
    own = days.get(champion.model_version, [])
    finding = _in_a_row("degraded", "quality", own, episode, known.trainings, settings)
    if finding.bad_since and _may_be_chance(known.quality_of(champion.model_version), own, settings):
        return _Finding(None, f"{finding.words}, which may be chance, as days differ")
    return finding


def _may_be_chance(measured: Sequence[DayQuality], days: Sequence[_Day], settings: Settings) -> bool:
    """Whether the last bad days may be no worse than the reference; days under popularity's figure are no chance."""
    streak = len(list(takewhile(lambda past: past.bad, reversed(days))))
    bad, first = measured[-streak:], measured[: settings.monitoring.quality_reference_days]
    if all(
        past.ndcg_at_10 < settings.monitoring.quality_minimum_ratio * past.popularity_ndcg_at_10
        for past in bad
    ):
        return False
    figures = ([past.ndcg_at_10 for past in some] for some in (bad, first))
    return chance_of_less(*figures) >= SIGNIFICANCE


def _drift(known: Evidence, settings: Settings) -> _Finding:
    # Measured against whichever champion was in force: what goes on through a promotion is the same episode.
    days = [
        _Day(
            past.day,
            bad=past.drifted,
            clear=past.value < settings.retraining.retraining_rearm_share * past.threshold,
            words=f"{past.feature} moved by {past.value:.3f}, threshold {past.threshold:.3f}",
        )
        for past in known.drift
    ]
    return _in_a_row("drift", "drift", days, days, known.trainings, settings)


def _age(day: date, champion: Champion, limit: int) -> _Finding:
    age = (day - champion.as_of).days
    words = f"{champion.model_version} was trained {age} days ago, the limit is {limit}"
    return _Finding("age" if age >= limit else None, words)


def _versions(known: Evidence) -> list[str]:
    return sorted({past.model_version for past in known.quality})


def _quality_days(of_version: Sequence[DayQuality], settings: Settings) -> list[_Day]:
    """Each judged day of a version beside what popularity earned, and beside the version's own first days."""
    first = of_version[: settings.monitoring.quality_reference_days]
    days = []
    for number, past in enumerate(of_version):
        limit = settings.monitoring.quality_minimum_ratio * past.popularity_ndcg_at_10
        if number >= settings.monitoring.quality_reference_days:
            # Only days after those that make the reference are compared with it.
            reference = fmean(judged.ndcg_at_10 for judged in first)
            limit = max(limit, (1 - settings.monitoring.quality_drop) * reference)
        days.append(
            _Day(
                past.day,
                bad=past.ndcg_at_10 < limit,
                clear=past.ndcg_at_10 >= limit / settings.retraining.retraining_rearm_share,
                words=f"ndcg_at_10 {past.ndcg_at_10:.4f}, at least {limit:.4f} wanted",
            )
        )
    return days


def _in_a_row(
    trigger: Trigger,
    name: str,
    days: Sequence[_Day],
    episode: Sequence[_Day],
    trainings: Sequence[Training],
    settings: Settings,
) -> _Finding:
    """Ask if the last days were all bad, unless a promotion answered already and no day was clear since.

    A candidate that was rejected answers nothing: only the growing wait holds the next one back.
    """
    if not days:
        return _Finding(None, f"{name} was not measured yet")
    wanted = settings.retraining.retraining_days_in_a_row
    streak = len(list(takewhile(lambda past: past.bad, reversed(days))))
    last = f"{days[-1].words} on {days[-1].day}"
    if streak < wanted:
        return _Finding(None, f"{name}: {streak} bad days in a row of {wanted} needed ({last})")
    since_clear = list(takewhile(lambda past: not past.clear, reversed(episode)))
    began = min(past.day for past in since_clear if past.bad)
    answer = next((past.day for past in trainings if past.outcome == "promoted" and past.day >= began), None)
    if answer:
        answered = f"answered by the training of {answer} and not clear for a day since"
        return _Finding(None, f"{name}: bad since {began}, {answered} ({last})", began)
    return _Finding(trigger, f"{name}: bad on the last {streak} days measured, since {began} ({last})", began)


def _obstacle(day: date, trainings: Sequence[Training], settings: Settings) -> str | None:
    """What forbids a training on a day, and until when; None if nothing does."""
    under_way = [past.day for past in trainings if past.outcome == "under_way"]
    if under_way:
        return f"the training of {under_way[-1]} is under way"
    if not trainings:
        return None
    in_vain = len(list(takewhile(lambda past: past.outcome != "promoted", reversed(trainings))))
    cooldown = settings.retraining.retraining_cooldown_days
    # A longest wait below the cool-down never shortens it.
    wait = max(cooldown, min(cooldown * 2**in_vain, settings.retraining.retraining_longest_wait_days))
    rested = trainings[-1].day + timedelta(days=wait)
    if day < rested:
        said = f", {in_vain} in a row not promoted" if in_vain else ""
        return f"it waits until {rested}, {wait} days after the training of {trainings[-1].day}{said}"
    recent = [past.day for past in trainings if past.day > day - timedelta(days=_BUDGET_DAYS)]
    if len(recent) >= settings.retraining.retraining_budget:
        free = recent[-settings.retraining.retraining_budget] + timedelta(days=_BUDGET_DAYS)
        return (
            f"it waits until {free}, as the {settings.retraining.retraining_budget} trainings "
            f"allowed in {_BUDGET_DAYS} days are used up"
        )
    return None
