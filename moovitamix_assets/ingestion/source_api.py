"""The client of the source API: pulls the records of a window of change times, and believes no pull unproven.

What is decided here: which filters the server gets, and when a pull is accepted. Connections and retries are
in http_session.py, pages in paging.py; storing what was pulled belongs to landing.py.
"""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Self, get_args

from moovitamix_assets.ingestion.errors import PageFailed, RequestFailed, SourceError, SourceMoved
from moovitamix_assets.ingestion.http_session import HttpSession, RetryPolicy, Traffic, UnusableAnswer
from moovitamix_assets.ingestion.paging import Page, Window, page_reader, read_all_pages
from moovitamix_assets.ingestion.pull import Pull, PullStatistics, pull_of, statistics_of
from moovitamix_assets.ingestion.records import Endpoint, Identity, Record, identity
from moovitamix_assets.settings import Settings

__all__ = [
    "Endpoint",
    "Identity",
    "PageFailed",
    "Pull",
    "PullStatistics",
    "Record",
    "RequestFailed",
    "Sample",
    "SourceApi",
    "SourceDescription",
    "SourceError",
    "SourceMoved",
    "identity",
]

_FILTERS = frozenset({"updated_since", "updated_before"})


@dataclass(frozen=True)
class SourceDescription:
    """What a source says of itself.

    Attributes:
        url: Its address, without credentials.
        title: From its OpenAPI document; None without one.
        version: Likewise.
        totals: Records that each endpoint reports; None where it does not say.
        filtered: The endpoints that can be filtered by change time.
        source_time: Its own clock (the `Date` header of its newest answer), naive UTC; None where it sends
            none that can be read.
    """

    url: str
    title: str | None
    version: str | None
    totals: dict[Endpoint, int | None]
    filtered: tuple[Endpoint, ...]
    source_time: datetime | None = None


@dataclass(frozen=True)
class Sample:
    """The first page of an endpoint, unfiltered.

    Attributes:
        endpoint: The endpoint.
        received: Its records.
        records: The same, whenever they changed.
        source_time: The source's own clock, naive UTC; None where it sends none that can be read.
    """

    endpoint: Endpoint
    received: int
    records: list[Record]
    source_time: datetime | None = None


class SourceApi:
    """Reads users, tracks and listening sessions. May be used by several threads; close it, or use `with`."""

    def __init__(
        self,
        base_url: str,
        *,
        page_size: int = 100,
        pages_in_flight: int = 2,
        timeout_seconds: float = 30.0,
        retries: int = 6,
        backoff_seconds: float = 0.5,
        backoff_limit_seconds: float = 30.0,
        pull_attempts: int = 5,
        sleep: Callable[[float], None] | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        """Connect to nothing yet; the arguments are those of `Settings`, the last two are for tests."""
        policy = RetryPolicy(retries, backoff_seconds, backoff_limit_seconds)
        self._http = HttpSession(base_url, timeout_seconds, policy, sleep, randomness)
        self._page_size = page_size
        self._pages_in_flight = pages_in_flight
        self._pull_attempts = pull_attempts
        self._executor = ThreadPoolExecutor(pages_in_flight, thread_name_prefix="source-api")
        self._openapi_lock = threading.Lock()
        self._openapi: dict[str, object] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make the client that the settings describe."""
        return cls(
            settings.api_url,
            page_size=settings.page_size,
            pages_in_flight=settings.pages_in_flight,
            timeout_seconds=settings.request_timeout_seconds,
            retries=settings.request_retries,
            backoff_seconds=settings.retry_backoff_seconds,
            backoff_limit_seconds=settings.retry_backoff_limit_seconds,
            pull_attempts=settings.pull_attempts,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client cannot be used any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    def pull(
        self,
        endpoint: Endpoint,
        since: datetime | None,
        before: datetime,
        on_page: Callable[[int, int], None] | None = None,
    ) -> Pull:
        """Get every record whose change time lies in `[since, before)`, as often as the source has it.

        A reading is accepted at once if every envelope reports the same total, that many records came, and no
        identity twice. Otherwise all is read again until two readings in a row got the same records, in the
        number that most envelopes report.

        Args:
            endpoint: The endpoint.
            since: Naive UTC; None for no lower bound, which also takes records without a readable time.
            before: Naive UTC.
            on_page: Told the pages done and the pages in all, as far as known, after each page of a reading.

        Raises:
            PageFailed: A page was refused, or failed in every try.
            SourceMoved: No reading was accepted.
            RequestFailed: The OpenAPI document failed in every try.
            ValueError: A time with a timezone.
        """
        if before.tzinfo is not None or (since is not None and since.tzinfo is not None):
            raise ValueError(f"since and before are naive UTC, not {since!r} and {before!r}")
        traffic, began = Traffic(), perf_counter()
        filters = self._filters(endpoint, since, before, traffic)
        pages, previous = 0, None
        for attempt in range(self._pull_attempts):
            if previous is not None:
                # A source that is being loaded gets some time to come to rest.
                self._http.wait(attempt - 1, threading.Event())
            called_off = threading.Event()
            fetch = partial(self._page, endpoint, Window(since, before), filters, traffic, called_off)
            reading = read_all_pages(
                endpoint, fetch, self._executor, self._pages_in_flight, called_off, on_page
            )
            pages += reading.pages
            if reading.settled or (reading.same_records_as(previous) and reading.matches_total):
                seconds = perf_counter() - began
                statistics = statistics_of(traffic, reading, pages, attempt + 1, seconds, bool(filters))
                part_only = "updated_since" in filters
                return pull_of(endpoint, reading, statistics, part_only, self._http.source_time)
            # Only its fingerprint and totals are needed from here on.
            reading.records, reading.identities = [], set()
            previous = reading
        assert previous is not None, "pull_attempts is at least 1"
        url = self._http.shown_url(f"/{endpoint}")
        raise SourceMoved(
            endpoint, url, self._pull_attempts, list(previous.totals), previous.received, previous.repeated
        )

    def supports_filters(self, endpoint: Endpoint) -> bool:
        """Say whether the server's OpenAPI document lists both filters for the endpoint; it is read once.

        Raises:
            RequestFailed: The document failed in every try. (One that is refused lists nothing.)
        """
        return self._supports_filters(endpoint, Traffic())

    def probe(self, endpoint: Endpoint) -> Sample:
        """Get the first page of an endpoint without any filter, in one request.

        Raises:
            PageFailed: It was refused, or failed in every try.
        """
        page = self._page(endpoint, Window(None, datetime.max), {}, Traffic(), threading.Event(), 1)
        return Sample(endpoint, page.received, page.records, self._http.source_time)

    def check(self) -> SourceDescription:
        """Ask the source who it is, and each endpoint for one record.

        Raises:
            SourceError: The source does not answer, or not as this API does.
        """
        traffic, everything = Traffic(), Window(None, datetime.max)
        info = self._document(traffic).get("info")
        info = info if isinstance(info, dict) else {}
        totals: dict[Endpoint, int | None] = {}
        for endpoint in get_args(Endpoint):
            page = self._page(endpoint, everything, {"size": 1}, traffic, threading.Event(), 1)
            totals[endpoint] = page.total
        return SourceDescription(
            url=self._http.shown_url(),
            title=str(info["title"]) if "title" in info else None,
            version=str(info["version"]) if "version" in info else None,
            totals=totals,
            filtered=tuple(name for name in totals if self._supports_filters(name, traffic)),
            source_time=self._http.source_time,
        )

    def _filters(
        self, endpoint: Endpoint, since: datetime | None, before: datetime, traffic: Traffic
    ) -> dict[str, str | int]:
        if not self._supports_filters(endpoint, traffic):
            return {}
        lower: dict[str, str | int] = {} if since is None else {"updated_since": since.isoformat()}
        return {**lower, "updated_before": before.isoformat()}

    def _page(
        self,
        endpoint: Endpoint,
        window: Window,
        parameters: dict[str, str | int],
        traffic: Traffic,
        called_off: threading.Event,
        number: int,
    ) -> Page:
        query = {"page": number, "size": self._page_size, **parameters}
        reader = page_reader(endpoint, window, number)
        try:
            return self._http.get(f"/{endpoint}", query, reader, traffic, called_off)
        except RequestFailed as failure:
            raise PageFailed(endpoint, number, failure) from failure

    def _supports_filters(self, endpoint: Endpoint, traffic: Traffic) -> bool:
        return _query_parameters(self._document(traffic), f"/{endpoint}") >= _FILTERS

    def _document(self, traffic: Traffic) -> dict[str, object]:
        with self._openapi_lock:
            if self._openapi is None:
                try:
                    self._openapi = self._http.get(
                        "/openapi.json", {}, _openapi_document, traffic, threading.Event()
                    )
                except RequestFailed as failure:
                    if failure.status is None:
                        raise
                    # Refused (404, or 403 where documentation is kept back): a source that promises nothing.
                    self._openapi = {}
            return self._openapi


def _openapi_document(decoded: object) -> dict[str, object]:
    if not isinstance(decoded, dict):
        raise UnusableAnswer("not_openapi", "200 with JSON that is no OpenAPI document")
    return decoded


def _query_parameters(document: dict[str, object], path: str) -> set[object]:
    """Names of the query parameters that an OpenAPI document lists for GET on a path."""
    paths = document.get("paths")
    item = paths.get(path) if isinstance(paths, dict) else None
    if not isinstance(item, dict):
        return set()
    operation = item.get("get")
    places = [item, operation] if isinstance(operation, dict) else []
    listed = [place.get("parameters") for place in places]
    entries = [entry for some in listed if isinstance(some, list) for entry in some]
    return {e.get("name") for e in entries if isinstance(e, dict) and e.get("in") == "query"}
