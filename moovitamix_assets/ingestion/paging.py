"""One reading of an endpoint, from its first page to its last, with a few pages in flight.

It takes envelopes apart and keeps what is needed to judge the reading. Whether it is to be believed, and
what is asked for, is decided in source_api.py.
"""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil

from moovitamix_assets.ingestion.errors import SourceError
from moovitamix_assets.ingestion.http_session import UnusableAnswer
from moovitamix_assets.ingestion.records import (
    Endpoint,
    Identity,
    Record,
    canonical_json,
    changed_at,
    identity,
)

# Without a total, reading ends at an empty page; a source that never sends one repeats itself.
_EQUAL_PAGES_ALLOWED = 100
_HASH_BYTES = 32


@dataclass(frozen=True)
class Window:
    """The change times asked for: `[since, before)`, naive UTC; None is no lower bound."""

    since: datetime | None
    before: datetime


@dataclass(frozen=True)
class Page:
    """What is kept of one page.

    Attributes:
        total: What the envelope says, None if it does not.
        received: Number of records.
        records: Those within the window.
        earlier: Records before the window.
        later: Records at or after its end.
        undated_left_out: Records without a readable time, if the window has a lower bound.
        identities: Of all records that can be identified.
        fingerprint: Of all records, whatever their order: sums of fingerprints are equal where the records
            are the same, each as often.
    """

    total: int | None
    received: int
    records: list[Record]
    earlier: int
    later: int
    undated_left_out: int
    identities: list[Identity]
    fingerprint: int


@dataclass
class Reading:
    """All pages of one reading, added up in their order; the attributes are those of `Page`."""

    observed_at: datetime
    totals: Counter[int | None] = field(default_factory=Counter)
    pages: int = 0
    received: int = 0
    records: list[Record] = field(default_factory=list)
    earlier: int = 0
    later: int = 0
    undated_left_out: int = 0
    identities: set[Identity] = field(default_factory=set)
    repeated: int = 0
    fingerprint: int = 0

    def add(self, page: Page) -> None:
        """Add the next page."""
        identified = len(self.identities) + len(page.identities)
        self.identities.update(page.identities)
        self.repeated += identified - len(self.identities)
        self.totals[page.total] += 1
        self.pages += 1
        self.received += page.received
        self.records += page.records
        self.earlier += page.earlier
        self.later += page.later
        self.undated_left_out += page.undated_left_out
        self.fingerprint += page.fingerprint

    @property
    def settled(self) -> bool:
        """Whether it needs no second reading: one total throughout, that many records, none twice."""
        return list(self.totals) == [self.received] and not self.repeated

    @property
    def matches_total(self) -> bool:
        """Whether it has as many records as most envelopes say that there are, if any says so."""
        known = {total: times for total, times in self.totals.items() if total is not None}
        return not known or known.get(self.received, 0) == max(known.values())

    def same_records_as(self, other: "Reading | None") -> bool:
        """Whether another reading got the same records, each as often, in whatever order."""
        return other is not None and (self.received, self.fingerprint) == (other.received, other.fingerprint)


def page_reader(endpoint: Endpoint, window: Window, number: int) -> Callable[[object], Page]:
    """Make the function that takes the envelope of page `number` apart.

    What it makes raises `UnusableAnswer` for what is no envelope, or the envelope of another page.
    """

    def read(envelope: object) -> Page:
        if not isinstance(envelope, dict) or not isinstance(envelope.get("items"), list):
            raise UnusableAnswer("not_an_envelope", "200 with JSON that is no envelope with a list of items")
        total, page = envelope.get("total"), envelope.get("page")
        if total is not None and (not isinstance(total, int) or isinstance(total, bool) or total < 0):
            raise UnusableAnswer("not_an_envelope", f"an envelope with the total {total!r}")
        # A page sent in place of another has the right number of records and can have the right total.
        if page is not None and page != number:
            raise UnusableAnswer("another_page", f"an envelope of page {page!r}")
        return _sorted_out(endpoint, window, total, envelope["items"])

    return read


def _sorted_out(endpoint: Endpoint, window: Window, total: int | None, items: list[object]) -> Page:
    records: list[Record] = []
    identities: list[Identity] = []
    earlier = later = undated_left_out = fingerprint = 0
    for item in items:
        text = canonical_json(item)
        moment = changed_at(item)
        known = identity(endpoint, item)
        fingerprint += int.from_bytes(blake2b(text.encode(), digest_size=_HASH_BYTES).digest())
        if known is not None:
            identities.append(known)
        if moment is None and window.since is not None:
            undated_left_out += 1
        elif moment is not None and moment >= window.before:
            later += 1
        elif moment is not None and window.since is not None and moment < window.since:
            earlier += 1
        else:
            records.append(Record(text, moment))
    return Page(total, len(items), records, earlier, later, undated_left_out, identities, fingerprint)


def read_all_pages(
    endpoint: Endpoint,
    fetch: Callable[[int], Page],
    executor: Executor,
    pages_in_flight: int,
    called_off: threading.Event,
    on_page: Callable[[int, int], None] | None = None,
) -> Reading:
    """Read every page once, up to the total that the first page reports, else to an empty page.

    Args:
        endpoint: For messages.
        fetch: Fetches the page of a number (from 1); runs in the executor.
        executor: Does the fetching.
        pages_in_flight: How many pages the executor fetches at a time.
        called_off: Set when the reading ends before its pages do, to end their waits.
        on_page: Told the pages done and the pages in all, as far as known, after each page.

    Raises:
        SourceError: A page could not be had; the others are called off.
    """
    reading = Reading(observed_at=datetime.now(UTC).replace(tzinfo=None))
    pages = _PagesInOrder(fetch, executor, ahead=1)
    try:
        first = page = pages.next()
        total = first.total
        # What came is a better measure of the page size than what was asked for, or what the envelope says.
        expected = None if total is None else max(1, ceil(total / max(1, first.received)))
        if expected is not None:
            pages.read_ahead(2 * pages_in_flight, expected)
        equal_pages = 0
        while True:
            reading.add(page)
            if on_page is not None:
                on_page(reading.pages, max(expected or 0, reading.pages))
            if not page.received or (total is not None and _complete(reading, total, expected)):
                return reading
            previous, page = page, pages.next()
            equal_pages = equal_pages + 1 if page == previous else 0
            if equal_pages == _EQUAL_PAGES_ALLOWED:
                raise SourceError(
                    f"{endpoint}: the source sent the same page {_EQUAL_PAGES_ALLOWED} times in a row, "
                    f"the last time as page {reading.pages + 1}: it seems to ignore `page`. Check MOOVITAMIX_API_URL."
                )
    finally:
        called_off.set()
        pages.cancel()


def _complete(reading: Reading, total: int, expected: int | None) -> bool:
    # Later pages may be smaller than the first: then there are more of them than expected.
    return reading.pages >= (expected or 0) and reading.received >= total


class _PagesInOrder:
    """Pages 1, 2, 3 ... in this order, fetched ahead; a failure of any surfaces at once."""

    def __init__(self, fetch: Callable[[int], Page], executor: Executor, ahead: int) -> None:
        self._fetch, self._executor, self._ahead = fetch, executor, ahead
        self._last = 0
        self._wanted, self._submitted = 1, 0
        self._in_flight: dict[Future[Page], int] = {}
        self._arrived: dict[int, Page] = {}

    def read_ahead(self, ahead: int, last: int) -> None:
        """From now on fetch up to `ahead` pages before they are wanted, none of them beyond page `last`."""
        self._ahead, self._last = ahead, last

    def next(self) -> Page:
        """Wait for the next page."""
        self._submit()
        while self._wanted not in self._arrived:
            done, _ = wait(self._in_flight, return_when=FIRST_COMPLETED)
            for future in done:
                self._arrived[self._in_flight.pop(future)] = future.result()
        page = self._arrived.pop(self._wanted)
        self._wanted += 1
        self._submit_ahead()
        return page

    def cancel(self) -> None:
        """Drop the pages that were not begun."""
        for future in self._in_flight:
            future.cancel()

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
