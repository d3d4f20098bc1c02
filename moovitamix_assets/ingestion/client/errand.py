"""One piece of work at the source: its cost, and its end when it is cancelled or takes too long.

It knows nothing of HTTP: work to be stopped is passed in as a callable, work to be awaited as a future.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


@dataclass
class Traffic:
    """The cost of the requests of one errand. Threads share it.

    Attributes:
        latencies: Seconds of each request that was answered, in order of arrival.
        requests: All requests, answered or not.
        pages: Pages that arrived and could be read.
        retries_by_cause: How many requests were made again, by cause.
    """

    latencies: list[float] = field(default_factory=list)
    requests: int = 0
    pages: int = 0
    retries_by_cause: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_request(self) -> None:
        """Count a request that is about to be made."""
        with self._lock:
            self.requests += 1

    def count_page(self) -> None:
        """Count a page that arrived."""
        with self._lock:
            self.pages += 1

    def count_retry(self, cause: str) -> None:
        """Count a request that is about to be made again."""
        with self._lock:
            self.retries_by_cause[cause] += 1

    def latency_milliseconds(self, share: float) -> float:
        """The latency that `share` (0 to 1) of the answers did not exceed; 0 without an answer."""
        ordered = sorted(self.latencies)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 3) if ordered else 0.0


class Errand:
    """Work that ends with its `with` block, when it is called off, or when its time is up, whichever is first.

    Threads waiting through it are woken at once, and requests under way are stopped.

    Attributes:
        traffic: Its cost so far.
        seconds: The time it has.
        overdue: Whether its time was up before it was done.
    """

    def __init__(self, seconds: float) -> None:
        """Limit it to so many seconds, from now on."""
        self.traffic = Traffic()
        self.seconds = seconds
        self.overdue = False
        self._over: Future[None] = Future()
        self._lock = threading.Lock()
        self._stops: set[Callable[[], None]] = set()
        self._timer = threading.Timer(seconds, self._time_is_up)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self.call_off()

    @property
    def called_off(self) -> bool:
        """Return whether it is over."""
        return self._over.done()

    def call_off(self) -> None:
        """End it; again does nothing."""
        with self._lock:
            if self._over.done():
                return
            self._over.set_result(None)
            stops, self._stops = self._stops, set()
        for stop in stops:
            stop()

    def wait(self, seconds: float) -> None:
        """Wait, at most until it is over."""
        wait([self._over], timeout=seconds)

    def first_of(self, futures: Iterable[Future[Result]]) -> set[Future[Result]]:
        """Wait until one of the futures is done, and return those that are.

        Raises:
            CancelledError: It is over.
        """
        waited_for: list[Future[Any]] = [*futures, self._over]
        done = wait(waited_for, return_when=FIRST_COMPLETED).done
        if self._over in done:
            raise CancelledError
        return done

    @contextmanager
    def under_way(self, stop: Callable[[], None]) -> Iterator[None]:
        """Have `stop` called from another thread if the errand ends before the block does.

        Raises:
            CancelledError: It is over already.
        """
        with self._lock:
            if self._over.done():
                raise CancelledError
            self._stops.add(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.discard(stop)

    def _time_is_up(self) -> None:
        with self._lock:
            self.overdue = not self._over.done()
        self.call_off()
