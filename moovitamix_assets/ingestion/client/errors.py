"""The errors of reading the source; each message says where, why, and what to do about it.

Only errors that leave the client belong here. No message carries a record's content or a password.
"""

from moovitamix_assets.ingestion.client.records import Endpoint

_CONTRADICTIONS_SHOWN = 3
_WANTS_CREDENTIALS = (401, 403)


class SourceError(Exception):
    """The source could not be read; the message says where, why, and what to do about it."""


class RequestFailed(SourceError):
    """A request was refused, or failed in every try.

    Attributes:
        url: The URL requested, without credentials.
        cause: The outcome of the last try, in plain words.
        tries: How often it was requested.
        status: The HTTP status of a refusal, else None.
    """

    _REMEDY = (
        "Check that the source is healthy, then run again; MOOVITAMIX_REQUEST_RETRIES, "
        "MOOVITAMIX_REQUEST_TIMEOUT_SECONDS and MOOVITAMIX_REQUEST_DEADLINE_SECONDS set the patience"
    )

    def __init__(self, url: str, cause: str, tries: int, status: int | None = None) -> None:
        self.url, self.cause, self.tries, self.status = url, cause, tries, status
        if status is None:
            how = f"failed in {tries} {'try' if tries == 1 else 'tries'}, the last time with: {cause}"
            remedy = self._REMEDY
        elif status in _WANTS_CREDENTIALS:
            how = f"was refused: {cause}"
            remedy = (
                "The source wants other credentials: set MOOVITAMIX_API_TOKEN, MOOVITAMIX_API_HEADERS, or user and "
                "password in MOOVITAMIX_API_URL"
            )
        else:
            how = f"was refused: {cause}"
            remedy = (
                "Asking again would not help; check MOOVITAMIX_API_URL and the values in the URL "
                "(MOOVITAMIX_PAGE_SIZE is its size)"
            )
        super().__init__(f"GET {url} {how}. {remedy}.")


class NoSource(RequestFailed):
    """Nothing at the address answered as a source does, from the first request on; each later one fails alike.

    Attributes:
        url: The URL of the first request, without credentials.
        cause: The outcome of its last try, in plain words.
        tries: How often it was requested.
    """

    _REMEDY = (
        "No source was found there. Check that it runs at MOOVITAMIX_API_URL (`make dev` starts the bundled one) or "
        "--source-url, then run again; MOOVITAMIX_CONNECT_PATIENCE_SECONDS sets how long it is tried"
    )


class PageFailed(SourceError):
    """A page was refused, or failed in every try.

    Attributes:
        endpoint: The endpoint.
        page: The page's number, from 1.
        failure: The failed request, with `url`, `cause`, `tries` and `status`.
    """

    def __init__(self, endpoint: Endpoint, page: int, failure: RequestFailed) -> None:
        super().__init__(f"Page {page} of {endpoint} could not be read. {failure}")
        self.endpoint, self.page, self.failure = endpoint, page, failure


class SourceMoved(SourceError):
    """No reading of an endpoint could be accepted: the source changed during each, or contradicts itself.

    Attributes:
        endpoint: The endpoint.
        totals: The totals that the envelopes of the last reading reported.
        received: The records of the last reading.
    """

    def __init__(
        self, endpoint: Endpoint, url: str, pulls: int, totals: list[int | None], received: int, repeated: int
    ) -> None:
        reported = " and ".join("none" if total is None else str(total) for total in totals)
        super().__init__(
            f"{endpoint}: none of {pulls} pulls from {url} can be accepted. The last one received {received} "
            f"records, {repeated} of them with an identity already seen, where the source reports a total of "
            f"{reported}; and no two in a row received the same records in the number reported. Run again "
            "when the source is at rest; MOOVITAMIX_PULL_ATTEMPTS sets the number of pulls."
        )
        self.endpoint, self.totals, self.received = endpoint, totals, received


class SourceContradictsItself(SourceError):
    """Every reading of an endpoint holds statements that cannot all be true, so that none can be accepted.

    Attributes:
        endpoint: The endpoint.
        contradictions: Those of the last reading, in words with their numbers.
    """

    def __init__(self, endpoint: Endpoint, url: str, pulls: int, contradictions: list[str]) -> None:
        more = len(contradictions) - _CONTRADICTIONS_SHOWN
        shown = "; ".join(contradictions[:_CONTRADICTIONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        super().__init__(
            f"{endpoint}: none of {pulls} pulls from {url} can be accepted, since the source contradicts itself: "
            f"{shown}. Records would be lost or counted twice. Have the source's pages fixed, or set "
            "MOOVITAMIX_API_URL to a healthy source, then run again; MOOVITAMIX_PULL_ATTEMPTS sets the number of pulls."
        )
        self.endpoint, self.contradictions = endpoint, contradictions


class PullTooSlow(SourceError):
    """The source did not deliver within the time limit.

    Attributes:
        asked: What was being read: an endpoint, or the source's description.
        pages: Pages that arrived.
        seconds: The time limit.
    """

    def __init__(self, asked: str, url: str, pages: int, seconds: float) -> None:
        super().__init__(
            f"{asked}: reading {url} was given up after {seconds:g} s, with {pages} "
            f"{'page' if pages == 1 else 'pages'} read. Find out why the source is slow, or allow more time with "
            "MOOVITAMIX_PULL_DEADLINE_MINUTES, then run again."
        )
        self.asked, self.pages, self.seconds = asked, pages, seconds


class ClientClosed(SourceError):
    """The client was closed while it was reading."""

    def __init__(self, asked: str, url: str) -> None:
        super().__init__(f"{asked}: reading {url} was called off, since the client was closed. Run again.")
