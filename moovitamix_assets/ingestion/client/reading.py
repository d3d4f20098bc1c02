"""The pages of an endpoint: each parsed, and all of one reading added up.

A reading holds the evidence for and against it. Fetching pages is the concern of paging.py; whether a reading is
accepted is decided in acceptance.py.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

from foundation.json_records import canonical_json
from moovitamix_assets.ingestion.client.answers import UnusableAnswer
from moovitamix_assets.ingestion.client.contradictions import Envelope, between, past_the_end, within
from moovitamix_assets.ingestion.client.records import Endpoint, Identity, Record, changed_at, identity

_HASH_BYTES = 32
_VALUE_SHOWN = 50


@dataclass(frozen=True)
class Window:
    """The change times asked for: `[since, before)`, naive UTC; None is no lower bound."""

    since: datetime | None
    before: datetime


@dataclass(frozen=True)
class Page:
    """The parsed content of one page.

    Attributes:
        envelope: Its own statements.
        records: Records within the window.
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
        repeated: Records whose identity had occurred before.
        contradictions: Its contradictions, in words.

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
        self._compare_with_the_others(page)
        self.totals[page.envelope.total] += 1
        self.pages += 1
        self.received += page.envelope.received
        self.records += page.records
        self.earlier += page.earlier
        self.later += page.later
        self.undated_left_out += page.undated_left_out
        self.fingerprint += page.fingerprint

    def end(self, page: Page | None) -> None:
        """Check the page after the last one: None if there is none; otherwise it must be empty."""
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
        """Return whether it needs no second reading: one total throughout, that many records, none twice."""
        return list(self.totals) == [self.received] and not self.repeated and not self.contradictions

    @property
    def matches_total(self) -> bool:
        """Return whether it has the number of records that most envelopes report, if any reports one."""
        known = {total: times for total, times in self.totals.items() if total is not None}
        return not known or known.get(self.received, 0) == max(known.values())

    def same_records_as(self, other: "Reading | None") -> bool:
        """Return whether another reading got the same records, each as often, in whatever order."""
        return other is not None and (self.received, self.fingerprint) == (other.received, other.fingerprint)

    def confirms(self, previous: "Reading | None") -> bool:
        """Return whether it confirms the reading before it."""
        if previous is None or self.contradictions or previous.contradictions:
            return False
        return self.same_records_as(previous) and self.matches_total

    def compare_with(self, previous: "Reading | None") -> None:
        """Record a contradiction if identities are repeated, and pages had the same size as in the reading before it.

        A source that sends one page in place of another does it again. Pages of another size show it, since
        repeated records are the same in pages of any size.
        """
        if previous is not None and self.repeated and self.page_size == previous.page_size:
            self.contradictions.append(
                f"{self.repeated} records repeat an identity, and pages of {self.page_size} came whatever size was "
                "requested, so that nothing shows whether a page was sent twice"
            )

    def forget_records(self) -> None:
        """Keep only what a later reading is compared with."""
        self.records, self.identities, self._page_of = [], set(), {}

    def _compare_with_the_others(self, page: Page) -> None:
        self.first = self.first or page.envelope
        self.contradictions += within(page.envelope)
        self.contradictions += between(self.first, page.envelope)
        number, received = page.envelope.number, page.envelope.received
        other = self._page_of.setdefault(page.fingerprint, number)
        # One record may well be at the end of a page and at the beginning of the next.
        if other != number and received > 1:
            self.contradictions.append(f"page {number} holds the same {received} records as page {other}")


def page_reader(endpoint: Endpoint, window: Window, number: int) -> Callable[[object], Page]:
    """Return the function that parses the envelope of page `number`.

    It raises `UnusableAnswer` for anything that is not an envelope, or is the envelope of another page.
    """

    def read(envelope: object) -> Page:
        if not isinstance(envelope, dict) or not isinstance(envelope.get("items"), list):
            raise UnusableAnswer(
                "not_an_envelope", "200 with JSON that is not an envelope with a list of items"
            )
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
            records.append(Record(text, moment, known))
    return Page(envelope, records, earlier, later, undated_left_out, identities, fingerprint)
