"""What time it is: the machine's, or in a replay the bundled source's, which stands still until it is moved.

Whoever asks "which day has ended?" asks here. What a decision is taken on is partition time, never this.
"""

from datetime import UTC, date, datetime, timedelta

from foundation.errors import Explained
from moovitamix_assets.settings import Settings

_TIMEOUT_SECONDS = 10.0


class ClockUnreadable(Explained):
    """A clock to follow is set and does not tell the time; the message names the setting."""


def now(settings: Settings) -> datetime:
    """The present moment, naive UTC.

    Raises:
        ClockUnreadable: If a clock to follow is set and does not tell it.
    """
    if not settings.clock_url:
        return datetime.now(UTC).replace(tzinfo=None)
    import requests
    from requests.auth import HTTPBasicAuth

    credentials = settings.clock_url.credentials
    try:
        answer = requests.get(
            f"{settings.clock_url.without_credentials}/_clock",
            auth=credentials and HTTPBasicAuth(*credentials),
            timeout=_TIMEOUT_SECONDS,
        )
        answer.raise_for_status()
        return datetime.fromisoformat(answer.json()["now"])
    except (requests.RequestException, LookupError, TypeError, ValueError) as error:
        raise ClockUnreadable(
            f"MOOVITAMIX_CLOCK_URL = {settings.clock_url}: no bundled source tells the time there ({error}). Start it, "
            "give its address alone, such as http://127.0.0.1:8000, or leave it out for the machine's clock."
        ) from error


def last_ended_day(moment: datetime) -> date:
    """The newest partition at a moment (naive UTC): the day before it."""
    return moment.date() - timedelta(days=1)


def due_day(moment: datetime, settings: Settings, after: timedelta = timedelta(0)) -> date:
    """The newest day whose nightly run has come, and `after` has passed since, at a moment (naive UTC)."""
    hours, minutes = map(int, settings.schedule.nightly_at.split(":"))
    return last_ended_day(moment - timedelta(hours=hours, minutes=minutes) - after)
