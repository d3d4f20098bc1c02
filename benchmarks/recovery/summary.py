"""Figures over the days of a replayed story: pure functions of its table.

The days are replayed in `days.py`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.recovery.days import Day
from benchmarks.recovery.hindsight import Hindsight
from benchmarks.recovery.story import Story

LEAST_RATIO = 0.9
"""A day below this many times the NDCG@10 of popular tracks is a bad day."""

_RECOVERED_FROM, _RECOVERED_TO = 5, 14
"""The days after tastes have settled, counted from 1, by which recovery is judged."""


@dataclass(frozen=True)
class Summary:
    """One story replayed with one gate.

    Attributes:
        scenario, seed, shift_on, gate: Which.
        before: Mean NDCG@10 on the days before the shift (on all days where there is none).
        bad_days: Judged days from the shift on, below 0.9 times popular tracks.
        recovered: Mean NDCG@10 on days 5 to 14 after tastes have settled, as a share of `before`.
        oracle: The same for the model of `Hindsight.oracle`.
        promoted, shadows, rolled_back, fallbacks: Decisions by verdict.
        judged, wrong: Promotions in a world without shift whose true gain is known, and those of them with a negative
            one.
        judged_shadow, wrong_shadow: The same of promotions after shadow.
        mean_gain: The mean of these gains.
        trainings: By trigger.
        alerts: Incidents of quality and drift: days with one after a day without.
        seconds: Mean processor time of a night without training.
    """

    scenario: str
    seed: int
    shift_on: int
    gate: str
    before: float | None
    bad_days: int
    recovered: float | None
    oracle: float | None
    promoted: int
    shadows: int
    rolled_back: int
    fallbacks: int
    judged: int
    wrong: int
    judged_shadow: int
    wrong_shadow: int
    mean_gain: float | None
    trainings: Mapping[str, int]
    alerts: int
    seconds: float | None


def summarise(
    story: Story, gate: str, days: Sequence[Day], hindsight: Hindsight, minimum_users: int
) -> Summary:
    """Sum up the days of a story.

    Args:
        story: The story.
        gate: The name of its settings.
        days: All of its days.
        hindsight: The figures that need later days.
        minimum_users: Days with fewer users measured are not judged.
    """
    judged = [day for day in days if day.users >= minimum_users]
    before = mean(day.ndcg_at_10 for day in judged if not story.shift_on or day.number < story.shift_on)
    settled = story.settled_on - 1
    recovered = mean(
        day.ndcg_at_10
        for day in judged
        if story.shift_on and settled + _RECOVERED_FROM <= day.number <= settled + _RECOVERED_TO
    )
    gains = hindsight.gains
    verdicts = Counter(word.split()[0] for day in days for word in day.decisions.split(", ") if word)
    return Summary(
        scenario=story.scenario,
        seed=story.seed,
        shift_on=story.shift_on,
        gate=gate,
        before=before,
        bad_days=sum(
            day.ndcg_at_10 < LEAST_RATIO * day.popularity_ndcg_at_10
            for day in judged
            if story.shift_on and day.number >= story.shift_on
        ),
        recovered=share(recovered, before),
        oracle=share(hindsight.oracle, before),
        promoted=verdicts["promoted"],
        shadows=verdicts["shadow"],
        rolled_back=verdicts["rolled_back"],
        fallbacks=verdicts["fallback"],
        judged=len(gains),
        wrong=sum(each.ndcg_at_10 < 0 for each in gains),
        judged_shadow=sum(each.after_shadow for each in gains),
        wrong_shadow=sum(each.after_shadow and each.ndcg_at_10 < 0 for each in gains),
        mean_gain=mean(each.ndcg_at_10 for each in gains),
        trainings=dict(Counter(day.trigger for day in days if day.trigger)),
        alerts=sum(
            bool(day.alert) and not (earlier and earlier.alert)
            for day, earlier in zip(days, [None, *days[:-1]], strict=True)
        ),
        seconds=mean(day.seconds for day in days if not day.trigger),
    )


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are there; None where none is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def share(part: float | None, whole: float | None) -> float | None:
    """One value as a share of another; None where either is missing or the whole is zero."""
    return part / whole if part is not None and whole else None
