"""The generation that is served: found at the start, replaced while requests go on, kept where the next is damaged.

Requests take the snapshot once and finish on it. Files are described in `layout.py`, answers in `snapshot.py`.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from foundation.publishing.generations import GenerationDamaged, Generations, Stamp
from moovitamix_assets.recommendations.publishing.layout import read_publication
from moovitamix_serving.generation.snapshot import Snapshot

_RETRY_SECONDS = 30.0
_WARMED_USERS = 100

_log = logging.getLogger(__name__)


class Served:
    """The snapshot to answer from, followed by a thread while it is open."""

    def __init__(
        self,
        generations: Generations,
        watch_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve nothing yet.

        Args:
            generations: Where generations are published.
            watch_seconds: Between two looks at the pointer.
            clock: Seconds; decides when a damaged generation is tried again.
        """
        self.snapshot: Snapshot | None = None
        """One reference: reading and replacing it is atomic."""
        self.refused: str | None = None
        """Why the current generation is not the one served; None if it is."""
        self.refusals = 0
        self._generations, self._watch_seconds, self._clock = generations, watch_seconds, clock
        self._seen: Stamp | None = None
        self._retry_at = 0.0
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Load the current generation, and follow the pointer until `close`."""
        self.look()
        self._thread = threading.Thread(target=self._follow, name="generations", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Follow no longer; the snapshot stays for requests in flight."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Serve the current generation if it is another one and not damaged; at the cost of one `stat` if it is not.

        One that was refused is tried again after a while: its files may have been restored.
        """
        stamp = self._generations.stamp()
        again = self.refused is not None and self._clock() >= self._retry_at
        if stamp == self._seen and not again:
            return
        self._seen = stamp
        try:
            name = self._generations.current()
            if name is not None:
                self.snapshot = self._load(name)
            self.refused = None
        except (GenerationDamaged, OSError, ValueError, KeyError, TypeError) as error:
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        self.refused, self._retry_at = why, self._clock() + _RETRY_SECONDS
        self.refusals += 1
        _log.error("A published generation is refused: %s", why)
        if self.snapshot is None:
            # After a start there is none in memory: the last good one is among those that are kept.
            for name in reversed(self._generations.names()):
                with suppress(GenerationDamaged, OSError, ValueError, KeyError, TypeError):
                    self.snapshot = self._load(name)
                    return

    def _load(self, name: str) -> Snapshot:
        self._generations.verify(name)
        snapshot = Snapshot(name, read_publication(self._generations.folder(name)))
        # Warm before it is served: the first requests find what they need in memory.
        for user in snapshot.publication.user_ids[:_WARMED_USERS].tolist():
            for row in snapshot.recommend(user, snapshot.manifest.length, now=0.0).positions:
                snapshot.track_text(row)
        for row in snapshot.popular(_WARMED_USERS).positions:
            snapshot.track_text(row)
        return snapshot

    def _follow(self) -> None:
        while not self._closed.wait(self._watch_seconds):
            try:
                self.look()
            except Exception:
                # The thread must outlive whatever happens: without it, no later generation would be served.
                _log.exception("Looking for a new generation failed.")
