"""One reading of an endpoint, from its first page to its last, with a few pages in flight.

Which pages are fetched, when, and where they end. Parsed pages are in reading.py; whether a reading is
accepted is decided in acceptance.py, the request's parameters in source_api.py.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from math import ceil

from moovitamix_assets.ingestion.client.errand import Errand
from moovitamix_assets.ingestion.client.errors import PageFailed, SourceError
from moovitamix_assets.ingestion.client.reading import Page, Reading
from moovitamix_assets.ingestion.client.records import Endpoint

# Without a total, reading ends at an empty page; a source that never sends one repeats itself.
_EQUAL_PAGES_ALLOWED = 100
_NOT_FOUND = 404


def read_all_pages(
    endpoint: Endpoint,
    fetch: Callable[[int], Page],
    executor: Executor,
    pages_in_flight: int,
    errand: Errand,
    on_page: Callable[[int, int], None] | None = None,
) -> Reading:
    """Read every page once, up to the total that the first page reports, else to an empty page.

    Where there is a total, the page after the last one is requested as well, to check that it is empty.

    Args:
        endpoint: For messages.
        fetch: Fetches the page of a number (from 1); runs in the executor.
        executor: Does the fetching.
        pages_in_flight: How many pages the executor fetches at a time.
        errand: Ends the reading when it is over.
        on_page: Called with the pages done and the pages in total, as far as known, after each page.

    Raises:
        SourceError: A page could not be read.
        CancelledError: The errand is over.
    """
    reading = Reading(observed_at=datetime.now(UTC).replace(tzinfo=None))
    pages = _PagesInOrder(fetch, executor, errand)
    try:
        page = pages.next()
        total = page.envelope.total
        # The records received are a better measure of the page size than the size requested or reported.
        expected = 0 if total is None else max(1, ceil(total / max(1, page.envelope.received)))
        if expected:
            pages.read_ahead(2 * pages_in_flight, expected + 1)
        unending = _Repetition(endpoint)
        while True:
            reading.add(page)
            if on_page is not None:
                on_page(reading.pages, max(expected, reading.pages))
            # Later pages may be smaller than the first: then there are more of them than expected.
            if total is not None and reading.pages >= expected and reading.received >= total:
                reading.end(pages.next_if_any())
                return reading
            if not page.envelope.received:
                return reading
            unending.check(page)
            page = pages.next()
    finally:
        pages.cancel()


class _Repetition:
    """Detects a source that sends the same page forever."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._fingerprint, self._times = -1, 0

    def check(self, page: Page) -> None:
        """Raise SourceError if there were too many equal pages in a row."""
        self._times = self._times + 1 if page.fingerprint == self._fingerprint else 0
        self._fingerprint = page.fingerprint
        if self._times == _EQUAL_PAGES_ALLOWED:
            raise SourceError(
                f"{self._endpoint}: the source sent the same page {_EQUAL_PAGES_ALLOWED} times in a row, the last "
                f"time as page {page.envelope.number}: it seems to ignore `page`. Check MOOVITAMIX_API_URL."
            )


class _PagesInOrder:
    """Pages 1, 2, 3 ... in this order, fetched ahead; a failure of any is raised at once.

    A page after the last one expected may be refused as not found, which is a failure only if it is wanted.
    """

    def __init__(self, fetch: Callable[[int], Page], executor: Executor, errand: Errand) -> None:
        self._fetch, self._executor, self._errand = fetch, executor, errand
        self._ahead, self._last = 1, 0
        self._wanted, self._submitted = 1, 0
        self._in_flight: dict[Future[Page], int] = {}
        self._arrived: dict[int, Page | PageFailed] = {}

    def read_ahead(self, ahead: int, last: int) -> None:
        """From now on fetch up to `ahead` pages before they are wanted, none of them beyond page `last`."""
        self._ahead, self._last = ahead, last

    def next(self) -> Page:
        """Wait for the next page."""
        outcome = self._next()
        if isinstance(outcome, PageFailed):
            raise outcome
        return outcome

    def next_if_any(self) -> Page | None:
        """Wait for the next page; None if the source says that there is none."""
        outcome = self._next()
        return None if isinstance(outcome, PageFailed) else outcome

    def cancel(self) -> None:
        """Cancel the pages that were not begun."""
        for future in self._in_flight:
            future.cancel()

    def _next(self) -> Page | PageFailed:
        self._submit()
        while self._wanted not in self._arrived:
            for future in self._errand.first_of(self._in_flight):
                number = self._in_flight.pop(future)
                self._arrived[number] = self._outcome(number, future)
        outcome = self._arrived.pop(self._wanted)
        self._wanted += 1
        self._submit_ahead()
        return outcome

    def _outcome(self, number: int, future: Future[Page]) -> Page | PageFailed:
        try:
            return future.result()
        except PageFailed as failure:
            if failure.failure.status == _NOT_FOUND and number >= self._last > 0:
                return failure
            raise

    def _submit(self) -> None:
        if self._submitted < self._wanted:
            self._submit_one()
        self._submit_ahead()

    def _submit_ahead(self) -> None:
        while self._submitted < min(self._last, self._wanted + self._ahead - 1):
            self._submit_one()

    def _submit_one(self) -> None:
        self._submitted += 1
        self._in_flight[self._executor.submit(self._fetch, self._submitted)] = self._submitted
