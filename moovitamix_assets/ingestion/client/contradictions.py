"""Contradictions in a source's statements: `total`, `size` and `pages` compared with each other and the records.

Pure functions that describe them with the numbers; the consequences are decided in acceptance.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True)
class Envelope:
    """A page's own statements; None where it makes none.

    Attributes:
        number: The page's number, from 1.
        total: Records on all pages.
        size: The most records on a page.
        pages: Number of pages.
        received: Records on it.
    """

    number: int
    total: int | None
    size: int | None
    pages: int | None
    received: int


def within(envelope: Envelope) -> Iterator[str]:
    """The contradictions within an envelope."""
    number, total, size, pages = envelope.number, envelope.total, envelope.size, envelope.pages
    last = pages
    if total is not None and size:
        last = ceil(total / size)
        if pages is not None and pages != last and not (total == 0 and pages == 1):
            yield (
                f"page {number} reports total {total}, size {size} and pages {pages}, "
                f"and {total} records in pages of {size} are {last} pages"
            )
    if size is None:
        return
    if envelope.received > size:
        yield f"page {number} holds {envelope.received} records and reports size {size}"
    elif last is not None and number < last and envelope.received < size:
        yield (
            f"page {number} holds {envelope.received} records, and as one before the last of {last} pages "
            f"it would hold {size}"
        )


def between(first: Envelope, other: Envelope) -> Iterator[str]:
    """The contradictions between a page and the first of the same reading.

    Another total is none: the source may have changed in between, and its number of pages with it.
    """
    if first.total != other.total:
        return
    for name in ("size", "pages"):
        one, two = getattr(first, name), getattr(other, name)
        if one is not None and two is not None and one != two:
            yield f"page {first.number} reports {name} {one} and page {other.number} {name} {two}"


def past_the_end(first: Envelope, last: int, other: Envelope) -> Iterator[str]:
    """The contradiction between a reached total and a page after page `last`, which reached it."""
    if other.received and other.total in (first.total, None):
        yield (
            f"page {other.number} holds {other.received} records, and the reported total of {first.total} "
            f"was reached with page {last}"
        )
