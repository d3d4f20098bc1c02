"""Days as they are served, and what is known of them: short ways to write evidence down."""

from collections.abc import Sequence
from datetime import date, timedelta

from foundation.models.decisions import Champion
from moovitamix_assets.automation.evidence import DayDrift, DayQuality, Evidence, Training

FIRST, SECOND = "2026-09-01-aaaaaaaa", "2026-09-15-bbbbbbbb"


def day(number: int) -> date:
    """Day 1 is 1 September 2026; there is no end to them."""
    return date(2026, 8, 31) + timedelta(days=number)


def quality(
    start: int, ndcg: Sequence[float], version: str = FIRST, users: int = 300, popularity: float = 0.03
) -> tuple[DayQuality, ...]:
    """One day after another, from a day on."""
    return tuple(
        DayQuality(day(start + number), version, users, value, popularity)
        for number, value in enumerate(ndcg)
    )


def drift(start: int, values: Sequence[float], feature: str = "listen_hour") -> tuple[DayDrift, ...]:
    """One day after another, from a day on, beside a threshold of 1."""
    return tuple(
        DayDrift(day(start + number), feature, value, 1.0, value > 1.0) for number, value in enumerate(values)
    )


def champion(
    version: str = FIRST, since: int | None = None, by: str = "promoted", previous: str | None = None
) -> Champion:
    """A version in force, if not told otherwise since the day as of which it was trained."""
    as_of = date.fromisoformat(version[:10])
    return Champion(version, as_of, day(since) if since else as_of, by, previous)


def trainings(*outcomes: tuple[int, str]) -> tuple[Training, ...]:
    """By number of the day."""
    return tuple(Training(day(number), outcome) for number, outcome in outcomes)


def evidence(today: int, **known) -> Evidence:
    """What is known on a day: nothing but a champion, if not told otherwise."""
    defaults = {"champion": champion(), "quality": (), "drift": (), "trainings": ()}
    return Evidence(day=day(today), **(defaults | known))
