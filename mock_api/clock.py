"""The source's clock: the real one, or a moment that stands still until it is set again.

Times are naive and UTC, as in the source's records.
"""

from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of a naive UTC moment, exactly."""
    difference = moment - EPOCH
    return (difference.days * 86_400 + difference.seconds) * 1_000_000 + difference.microseconds


class Clock:
    """The source's current time."""

    def __init__(self, now: datetime | None = None) -> None:
        self._fixed = now

    def now(self) -> datetime:
        """The current time, naive UTC."""
        return datetime.now(UTC).replace(tzinfo=None) if self._fixed is None else self._fixed

    def set(self, now: datetime) -> None:
        """Set the time to `now`."""
        self._fixed = now
