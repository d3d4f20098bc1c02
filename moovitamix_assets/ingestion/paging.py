"""One reading of an endpoint, from its first page to its last, with a few pages in flight.

It takes envelopes apart and keeps what is needed to judge the reading. Whether it is to be believed, and
what is asked for, is decided in source_api.py; what contradicts what, in contradictions.py.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil

from moovitamix_assets.ingestion.contradictions import Envelope, between, past_the_end, within
from moovitamix_assets.ingestion.errand import Errand
from moovitamix_assets.ingestion.errors import PageFailed, SourceError
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
_VALUE_SHOWN = 50
_NOT_FOUND = 404


@dataclass(frozen=True)
class Window:
    """The change times asked for: `[since, before)`, naive UTC; None is no lower bound."""

    since: datetime | None
    before: datetime


@dataclass(frozen=True)
class Page:
    """What is kept of one page.

    Attributes:
        envelope: What it says of itself.
        records: Those within the window.
        earlier: Records before the window.
        later: Records at or after its end.
        undated_left_out: Records without a readable time, if the window has a lower bound.
        identities: Of all records that can be identified.
        fingerprint: Of all records, whatever their order: sums of fingerprints are equal where the records
            are the same, each as often.
    """

    envelope: Envelope
    records: list[Record]
    earlier: int
    later: int
    undated_left_out: int
    identities: list[Identity]
    fingerprint: int


@dataclass
class Reading:
    """All pages of one reading, added up in their order.

    Attributes:
        first: The envelope of the first page.
        totals: How many envelopes report which total.
        repeated: Records with an identity that was there already.
        contradictions: What cannot be true of it, in words.

    The others are those of `Page`, or sums of them.
    """

    observed_at: datetime
    first: Envelope | None = None
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
    contradictions: list[str] = field(default_factory=list)
    _page_of: dict[int, int] = field(default_factory=dict)

    def add(self, page: Page) -> None:
        """Add the next page."""
        identified = len(self.identities) + len(page.identities)
        self.identities.update(page.identities)
        self.repeated += identified - len(self.identities)
        self._hold_against_the_others(page)
        self.totals[page.envelope.total] += 1
        self.pages += 1
        self.received += page.envelope.received
        self.records += page.records
        self.earlier += page.earlier
        self.later += page.later
        self.undated_left_out += page.undated_left_out
        self.fingerprint += page.fingerprint

    def end(self, page: Page | None) -> None:
        """Look at the page after the last one; None if there is none, and otherwise it has to be empty."""
        if page is None or self.first is None:
            return
        self.contradictions += past_the_end(self.first, self.pages, page.envelope)
        if page.envelope.total is not None:
            self.totals[page.envelope.total] += 1
        self.received += page.envelope.received

    @property
    def page_size(self) -> int:
        """Records of the first page: a better measure of the page size than what was asked for."""
        return 0 if self.first is None else self.first.received

    @property
    def settled(self) -> bool:
        """Whether it needs no second reading: one total throughout, that many records, none twice."""
        return list(self.totals) == [self.received] and not self.repeated and not self.contradictions

    @property
    def matches_total(self) -> bool:
        """Whether it has as many records as most envelopes say that there are, if any says so."""
        known = {total: times for total, times in self.totals.items() if total is not None}
        return not known or known.get(self.received, 0) == max(known.values())

    def same_records_as(self, other: "Reading | None") -> bool:
        """Whether another reading got the same records, each as often, in whatever order."""
        return other is not None and (self.received, self.fingerprint) == (other.received, other.fingerprint)

    def confirms(self, previous: "Reading | None") -> bool:
        """Whether it shows that the reading before it can be believed."""
        if previous is None or self.contradictions or previous.contradictions:
            return False
        return self.same_records_as(previous) and self.matches_total

    def hold_against(self, previous: "Reading | None") -> None:
        """Note if identities are repeated, and pages of the same size came as in the reading before it.

        A source that sends one page in place of another does it again. Pages of another size show it, since
        records that are there twice are the same in pages of any size.
        """
        if previous is not None and self.repeated and self.page_size == previous.page_size:
            self.contradictions.append(
                f"{self.repeated} records repeat an identity, and pages of {self.page_size} came whatever size was "
                "asked for, so that nothing shows whether they are more than a page sent twice"
            )

    def forget_records(self) -> None:
        """Keep only what a later reading is compared with."""
        self.records, self.identities, self._page_of = [], set(), {}

    def _hold_against_the_others(self, page: Page) -> None:
        self.first = self.first or page.envelope
        self.contradictions += within(page.envelope)
        self.contradictions += between(self.first, page.envelope)
        number, received = page.envelope.number, page.envelope.received
        twin = self._page_of.setdefault(page.fingerprint, number)
        # One record may well stand at the end of a page and at the beginning of the next.
        if twin != number and received > 1:
            self.contradictions.append(f"page {number} holds the same {received} records as page {twin}")


def page_reader(endpoint: Endpoint, window: Window, number: int) -> Callable[[object], Page]:
    """Make the function that takes the envelope of page `number` apart.

    What it makes raises `UnusableAnswer` for what is no envelope, or the envelope of another page.
    """

    def read(envelope: object) -> Page:
        if not isinstance(envelope, dict) or not isinstance(envelope.get("items"), list):
            raise UnusableAnswer("not_an_envelope", "200 with JSON that is no envelope with a list of items")
        page = envelope.get("page")
        total, size, pages = (_count(envelope, name) for name in ("total", "size", "pages"))
        # A page sent in place of another has the right number of records and can have the right total.
        if page is not None and page != number:
            raise UnusableAnswer("another_page", f"an envelope of page {page!r}")
        items = envelope["items"]
        return _sorted_out(endpoint, window, Envelope(number, total, size, pages, len(items)), items)

    return read


def _count(envelope: dict[str, object], name: str) -> int | None:
    value = envelope.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise UnusableAnswer("not_an_envelope", f"an envelope with the {name} {str(value)[:_VALUE_SHOWN]!r}")


def _sorted_out(endpoint: Endpoint, window: Window, envelope: Envelope, items: list[object]) -> Page:
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
    return Page(envelope, records, earlier, later, undated_left_out, identities, fingerprint)


def read_all_pages(
    endpoint: Endpoint,
    fetch: Callable[[int], Page],
    executor: Executor,
    pages_in_flight: int,
    errand: Errand,
    on_page: Callable[[int, int], None] | None = None,
) -> Reading:
    """Read every page once, up to the total that the first page reports, else to an empty page.

    Where there is a total, the page after the last one is asked for as well, to see that it is empty.

    Args:
        endpoint: For messages.
        fetch: Fetches the page of a number (from 1); runs in the executor.
        executor: Does the fetching.
        pages_in_flight: How many pages the executor fetches at a time.
        errand: Ends the reading when it is over.
        on_page: Told the pages done and the pages in all, as far as known, after each page.

    Raises:
        SourceError: A page could not be had.
        CancelledError: The errand is over.
    """
    reading = Reading(observed_at=datetime.now(UTC).replace(tzinfo=None))
    pages = _PagesInOrder(fetch, executor, errand)
    try:
        page = pages.next()
        total = page.envelope.total
        # What came is a better measure of the page size than what was asked for, or what the envelope says.
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
            unending.look_at(page)
            page = pages.next()
    finally:
        pages.cancel()


class _Repetition:
    """Notices a source that sends one and the same page for ever."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._fingerprint, self._times = -1, 0

    def look_at(self, page: Page) -> None:
        """Raise SourceError if there were too many equal pages in a row."""
        self._times = self._times + 1 if page.fingerprint == self._fingerprint else 0
        self._fingerprint = page.fingerprint
        if self._times == _EQUAL_PAGES_ALLOWED:
            raise SourceError(
                f"{self._endpoint}: the source sent the same page {_EQUAL_PAGES_ALLOWED} times in a row, the last "
                f"time as page {page.envelope.number}: it seems to ignore `page`. Check MOOVITAMIX_API_URL."
            )


class _PagesInOrder:
    """Pages 1, 2, 3 ... in this order, fetched ahead; a failure of any surfaces at once.

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
        """Drop the pages that were not begun."""
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
