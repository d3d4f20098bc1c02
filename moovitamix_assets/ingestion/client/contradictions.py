"""Which of a source's statements cannot all be true: `total`, `size` and `pages` against each other and what came.

Pure functions that say it in words, with the numbers; what follows from it is decided in source_api.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True)
class Envelope:
    """What a page says of itself; None where it does not.

    Attributes:
        number: The page's number, from 1.
        total: Records on all pages.
        size: The most records on a page.
        pages: Number of pages.
        received: Records that it brought.
    """

    number: int
    total: int | None
    size: int | None
    pages: int | None
    received: int


def within(envelope: Envelope) -> Iterator[str]:
    """Say where an envelope contradicts itself."""
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
    """Say where a page contradicts the first of the same reading.

    Another total is none: the source may have moved in between, and its number of pages with it.
    """
    if first.total != other.total:
        return
    for name in ("size", "pages"):
        one, two = getattr(first, name), getattr(other, name)
        if one is not None and two is not None and one != two:
            yield f"page {first.number} reports {name} {one} and page {other.number} {name} {two}"


def past_the_end(first: Envelope, last: int, other: Envelope) -> Iterator[str]:
    """Say whether a page after page `last`, with which the total was reached, contradicts that total."""
    if other.received and other.total in (first.total, None):
        yield (
            f"page {other.number} holds {other.received} records, and the reported total of {first.total} "
            f"was reached with page {last}"
        )
