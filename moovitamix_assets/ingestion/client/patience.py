"""The client's patience with a server: limits, waits between tries, and a server that never answered.

Times only; requests and the meaning of answers do not belong here.
"""

from dataclasses import dataclass
from math import inf
from time import monotonic

from moovitamix_assets.ingestion.client.errors import NoSource


@dataclass(frozen=True)
class Limits:
    """The limits of a request, in seconds.

    Attributes:
        timeout_seconds: For connecting, and between two bytes of an answer.
        deadline_seconds: For a request from its connection to the last byte of its answer.
        patience_seconds: For a server that cannot be reached, as long as it never answered.
    """

    timeout_seconds: float
    deadline_seconds: float
    patience_seconds: float


@dataclass(frozen=True)
class RetryPolicy:
    """The number of retries, and the waits before them.

    Attributes:
        retries: Tries after the first.
        backoff_seconds: The first wait, doubled each time.
        limit_seconds: No wait is longer, whatever the server asks for.
    """

    retries: int
    backoff_seconds: float
    limit_seconds: float

    def wait_seconds(self, attempt: int, jitter: float, retry_after: float | None = None) -> float:
        """The seconds to wait after try number `attempt` (from 0), `jitter` being in [0, 1).

        Between half and the whole of the doubled backoff, so that clients which failed together do not come
        back together; and never before the server asks for it, within the limit.
        """
        # 2**60 seconds is beyond every limit; without the bound the power leaves the range of a float.
        whole = min(self.limit_seconds, self.backoff_seconds * 2.0 ** min(attempt, 60))
        return max(whole * (1 + jitter) / 2, min(retry_after or 0.0, self.limit_seconds))


class FirstContact:
    """The first contact with a server; until it answers, being unreachable is tolerated for a while only.

    Attributes:
        made: Whether a source answered: with something usable, a refusal, or that it is busy.
        unreachable: The failure that ended the tries, if any did.
    """

    def __init__(self, patience_seconds: float) -> None:
        """Tolerate it for so many seconds from the first request on."""
        self.made = False
        self.unreachable: NoSource | None = None
        self._patience_seconds = patience_seconds
        self._began: float | None = None

    def seconds_left(self) -> float:
        """The seconds left for trying; infinite once there was an answer."""
        if self.made:
            return inf
        if self._began is None:
            self._began = monotonic()
        return max(0.0, self._began + self._patience_seconds - monotonic())
