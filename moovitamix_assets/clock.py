"""The current time: the machine's, or in a replay the bundled source's, which stands still until it is moved.

Which day has ended is answered here. Decisions use partition time, never this.
"""

from datetime import UTC, date, datetime, timedelta

from foundation.errors import Explained
from moovitamix_assets.setting_groups import ScheduleSettings
from moovitamix_assets.settings import Settings

_TIMEOUT_SECONDS = 10.0


class ClockUnreadable(Explained):
    """A clock to follow is set and does not give the time; the message names the setting."""


def now(settings: Settings) -> datetime:
    """The current time, naive UTC.

    Raises:
        ClockUnreadable: If a clock to follow is set and does not give it.
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
            f"MOOVITAMIX_CLOCK_URL = {settings.clock_url}: no bundled source gives the time there ({error}). Start it, "
            "give its address alone, such as http://127.0.0.1:8000, or leave it out for the machine's clock."
        ) from error


def last_ended_day(moment: datetime) -> date:
    """The newest partition at a moment (naive UTC): the day before it."""
    return moment.date() - timedelta(days=1)


def due_day(moment: datetime, schedule: ScheduleSettings, after: timedelta = timedelta(0)) -> date:
    """The newest day whose nightly run was due `after` or longer before a moment (naive UTC)."""
    hours, minutes = map(int, schedule.nightly_at.split(":"))
    return last_ended_day(moment - timedelta(hours=hours, minutes=minutes) - after)
