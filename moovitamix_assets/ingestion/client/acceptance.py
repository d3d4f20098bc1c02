"""Accepting a reading of an endpoint, and repeating it until one can be accepted.

The evidence for and against a reading is in reading.py; fetching pages is the concern of paging.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

from moovitamix_assets.ingestion.client.errors import SourceContradictsItself, SourceMoved
from moovitamix_assets.ingestion.client.reading import Reading
from moovitamix_assets.ingestion.client.records import Endpoint


@dataclass(frozen=True)
class Accepted:
    """An accepted reading, and the effort it took.

    Attributes:
        reading: The reading.
        pages: Pages read, over all readings.
        pulls: Readings made.
    """

    reading: Reading
    pages: int
    pulls: int


def read_until_accepted(
    endpoint: Endpoint,
    url: str,
    read: Callable[[int], Reading],
    page_size: int,
    attempts: int,
    pause: Callable[[int], None],
) -> Accepted:
    """Read all pages until a reading can be accepted.

    A reading is accepted at once if every envelope reports the same total, that many records came, and no identity
    twice. Otherwise everything is read again until two readings in a row got the same records, in the number that most
    envelopes report; if identities are repeated, in pages of two sizes. A reading whose pages contradict themselves or
    each other is never accepted.

    Args:
        endpoint: The endpoint.
        url: Its URL, for messages.
        read: Reads all pages of a given size.
        page_size: The usual size.
        attempts: The greatest number of readings, at least 1.
        pause: Waits before a repetition of a given number (from 0): a source that is being loaded gets time to settle.

    Raises:
        SourceMoved: No reading was accepted, since the source changed during each.
        SourceContradictsItself: No reading was accepted, since the source's statements cannot all be true.
    """
    pages, previous, size = 0, None, page_size
    for attempt in range(attempts):
        if previous is not None:
            pause(attempt - 1)
        reading = read(size)
        pages += reading.pages
        reading.compare_with(previous)
        if reading.settled or reading.confirms(previous):
            return Accepted(reading, pages, attempt + 1)
        size = _next_size(reading, size, page_size)
        reading.forget_records()
        previous = reading
    assert previous is not None, "attempts is at least 1"
    if previous.contradictions:
        raise SourceContradictsItself(endpoint, url, attempts, previous.contradictions)
    raise SourceMoved(endpoint, url, attempts, list(previous.totals), previous.received, previous.repeated)


def _next_size(reading: Reading, size: int, usual_size: int) -> int:
    """Choose the page size of the next reading: another one after a reading that repeats identities.

    Repeated records stay the same in pages of any size; a page sent twice does not.
    """
    if not reading.repeated or size != usual_size:
        return usual_size
    return reading.page_size - 1 if reading.page_size > 1 else 2
