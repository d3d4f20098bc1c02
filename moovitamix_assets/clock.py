"""What time it is: the machine's, or in a replay the bundled source's, which stands still until it is moved.

Whoever asks "which day has ended?" asks here. What a decision is taken on is partition time, never this.
"""

from datetime import UTC, date, datetime, timedelta

from moovitamix_assets.settings import Settings

_TIMEOUT_SECONDS = 10.0


def now(settings: Settings) -> datetime:
    """The present moment, naive UTC.

    Raises:
        requests.RequestException: If a clock to follow is set and does not answer.
    """
    if not settings.clock_url:
        return datetime.now(UTC).replace(tzinfo=None)
    import requests

    answer = requests.get(f"{settings.clock_url}/_clock", timeout=_TIMEOUT_SECONDS)
    answer.raise_for_status()
    return datetime.fromisoformat(answer.json()["now"])


def last_ended_day(moment: datetime) -> date:
    """The newest partition at a moment (naive UTC): the day before it."""
    return moment.date() - timedelta(days=1)


def due_day(moment: datetime, settings: Settings, after: timedelta = timedelta(0)) -> date:
    """The newest day whose nightly run has come, and `after` has passed since, at a moment (naive UTC)."""
    hours, minutes = map(int, settings.nightly_at.split(":"))
    return last_ended_day(moment - timedelta(hours=hours, minutes=minutes) - after)
