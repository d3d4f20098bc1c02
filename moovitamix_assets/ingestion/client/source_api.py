"""The client of the source API: pulls the records of a window of change times, and verifies every pull.

Which filters the server gets is decided here. Connections and retries are in http_session.py, pages in paging.py,
the verification in acceptance.py; storing records belongs to landing.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, get_args

from foundation.daemon_threads import DaemonThreads
from moovitamix_assets.ingestion.client.acceptance import read_until_accepted
from moovitamix_assets.ingestion.client.errand import Errand
from moovitamix_assets.ingestion.client.errors import (
    ClientClosed,
    NoSource,
    PageFailed,
    PullTooSlow,
    RequestFailed,
)
from moovitamix_assets.ingestion.client.http_session import HttpSession
from moovitamix_assets.ingestion.client.openapi import lists_filters, openapi_document
from moovitamix_assets.ingestion.client.paging import read_all_pages
from moovitamix_assets.ingestion.client.patience import Limits, RetryPolicy
from moovitamix_assets.ingestion.client.pull import (
    Pull,
    Sample,
    SourceDescription,
    pull_of,
    statistics_of,
)
from moovitamix_assets.ingestion.client.reading import Page, Reading, Window, page_reader
from moovitamix_assets.ingestion.client.records import Endpoint
from moovitamix_assets.settings import Settings

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class SourceApi:
    """Reads users, tracks and listening sessions. May be used by several threads; close it, or use `with`."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        page_size: int = 100,
        pages_in_flight: int = 2,
        timeout_seconds: float = 30.0,
        retries: int = 6,
        backoff_seconds: float = 0.5,
        backoff_limit_seconds: float = 30.0,
        pull_attempts: int = 5,
        request_deadline_seconds: float = 120.0,
        pull_deadline_minutes: float = 60.0,
        connect_patience_seconds: float = 20.0,
        sleep: Callable[[float], None] | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        """Connect to nothing yet; the arguments are those of `Settings`, the last two are for tests."""
        policy = RetryPolicy(retries, backoff_seconds, backoff_limit_seconds)
        limits = Limits(timeout_seconds, request_deadline_seconds, connect_patience_seconds)
        self._http = HttpSession(base_url, limits, policy, sleep, randomness, headers or {})
        self._page_size = page_size
        self._pages_in_flight = pages_in_flight
        self._pull_attempts = pull_attempts
        self._pull_seconds = 60 * pull_deadline_minutes
        self._executor = DaemonThreads(pages_in_flight, "source-api")
        self._errands: set[Errand] = set()
        self._closed = False
        self._openapi_lock = threading.Lock()
        self._openapi: dict[str, object] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make the client that the settings describe."""
        return cls(
            settings.source.api_url.get_secret_value(),
            headers=settings.source.request_headers,
            page_size=settings.source.page_size,
            pages_in_flight=settings.source.pages_in_flight,
            timeout_seconds=settings.source.request_timeout_seconds,
            retries=settings.source.request_retries,
            backoff_seconds=settings.source.retry_backoff_seconds,
            backoff_limit_seconds=settings.source.retry_backoff_limit_seconds,
            pull_attempts=settings.source.pull_attempts,
            request_deadline_seconds=settings.source.request_deadline_seconds,
            pull_deadline_minutes=settings.source.pull_deadline_minutes,
            connect_patience_seconds=settings.source.connect_patience_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end what is being read, in whatever thread; then it cannot be used any more."""
        self._closed = True
        self._executor.shutdown()
        for errand in list(self._errands):
            errand.call_off()
        self._http.close()

    def pull(
        self,
        endpoint: Endpoint,
        since: datetime | None,
        before: datetime,
        on_page: Callable[[int, int], None] | None = None,
    ) -> Pull:
        """Get every record whose change time lies in `[since, before)`, as often as the source has it.

        Which reading of the pages is accepted is decided in acceptance.py.

        Args:
            endpoint: The endpoint.
            since: Naive UTC; None for no lower bound, which also takes records without a readable time.
            before: Naive UTC.
            on_page: Called with the pages done and the pages in total, as far as known, after each page of a reading.

        Raises:
            PageFailed: A page was refused, or failed in every try.
            NoSource: Nothing answered as a source does, from the first request of this client on.
            SourceMoved: No reading was accepted, since the source changed during each.
            SourceContradictsItself: No reading was accepted, since the source's statements cannot all be true.
            PullTooSlow: It took longer than `pull_deadline_minutes`.
            ClientClosed: The client was closed meanwhile.
            RequestFailed: The OpenAPI document failed in every try.
            ValueError: A time with a timezone.
        """
        if before.tzinfo is not None or (since is not None and since.tzinfo is not None):
            raise ValueError(f"since and before are naive UTC, not {since!r} and {before!r}")
        with self._errand(endpoint) as errand:
            return self._verified_pull(endpoint, Window(since, before), errand, on_page)

    def _verified_pull(
        self,
        endpoint: Endpoint,
        window: Window,
        errand: Errand,
        on_page: Callable[[int, int], None] | None,
    ) -> Pull:
        began = perf_counter()
        filters = self._filters(endpoint, window, errand)

        def read(size: int) -> Reading:
            fetch = partial(self._page, endpoint, window, filters | {"size": size}, errand)
            return read_all_pages(endpoint, fetch, self._executor, self._pages_in_flight, errand, on_page)

        accepted = read_until_accepted(
            endpoint,
            self._http.shown_url(f"/{endpoint}"),
            read,
            self._page_size,
            self._pull_attempts,
            lambda repetition: self._http.wait(repetition, errand),
        )
        statistics = statistics_of(
            errand.traffic,
            accepted.reading,
            accepted.pages,
            accepted.pulls,
            perf_counter() - began,
            bool(filters),
        )
        part_only = "updated_since" in filters
        return pull_of(endpoint, accepted.reading, statistics, part_only, self._http.source_time)

    def supports_filters(self, endpoint: Endpoint) -> bool:
        """Return whether the server's OpenAPI document lists both filters for the endpoint; it is read once.

        Raises:
            RequestFailed: The document failed in every try. (A refused one lists nothing.)
        """
        with self._errand("the OpenAPI document") as errand:
            return self._supports_filters(endpoint, errand)

    def probe(self, endpoint: Endpoint) -> Sample:
        """Get the first page of an endpoint without any filter, in one request.

        Raises:
            PageFailed: It was refused, or failed in every try.
        """
        window = Window(None, datetime.max)
        size: dict[str, str | int] = {"size": self._page_size}
        with self._errand(endpoint) as errand:
            page = self._elsewhere(errand, self._page, endpoint, window, size, errand, 1)
        return Sample(endpoint, page.envelope.received, page.records, self._http.source_time)

    def check(self) -> SourceDescription:
        """Ask the source for its description, and each endpoint for one record.

        Raises:
            SourceError: The source does not answer, or is not this API.
        """
        with self._errand("the source") as errand:
            return self._description(errand)

    def _description(self, errand: Errand) -> SourceDescription:
        info = self._document(errand).get("info")
        info = info if isinstance(info, dict) else {}
        totals: dict[Endpoint, int | None] = {}
        for endpoint in get_args(Endpoint):
            everything = Window(None, datetime.max)
            page = self._elsewhere(errand, self._page, endpoint, everything, {"size": 1}, errand, 1)
            totals[endpoint] = page.envelope.total
        return SourceDescription(
            url=self._http.shown_url(),
            title=str(info["title"]) if "title" in info else None,
            version=str(info["version"]) if "version" in info else None,
            totals=totals,
            filtered=tuple(name for name in totals if self._supports_filters(name, errand)),
            source_time=self._http.source_time,
        )

    @contextmanager
    def _errand(self, asked: str) -> Iterator[Errand]:
        """An errand that is cancelled when the client is closed, or when its time is up."""
        with Errand(self._pull_seconds) as errand:
            self._errands.add(errand)
            try:
                if self._closed:
                    raise CancelledError
                yield errand
            except CancelledError:
                url = self._http.shown_url()
                if errand.overdue:
                    raise PullTooSlow(asked, url, errand.traffic.pages, errand.seconds) from None
                raise ClientClosed(asked, url) from None
            finally:
                self._errands.discard(errand)

    def _elsewhere(
        self,
        errand: Errand,
        ask: Callable[Arguments, Answer],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Answer:
        """Ask on another thread, as for every page: the waiting thread can be interrupted at any moment."""
        future = self._executor.submit(ask, *arguments, **options)
        errand.first_of([future])
        return future.result()

    def _filters(self, endpoint: Endpoint, window: Window, errand: Errand) -> dict[str, str | int]:
        if not self._supports_filters(endpoint, errand):
            return {}
        since, before = window.since, window.before
        lower: dict[str, str | int] = {} if since is None else {"updated_since": since.isoformat()}
        return {**lower, "updated_before": before.isoformat()}

    def _page(
        self,
        endpoint: Endpoint,
        window: Window,
        parameters: dict[str, str | int],
        errand: Errand,
        number: int,
    ) -> Page:
        reader = page_reader(endpoint, window, number)
        try:
            page = self._http.get(f"/{endpoint}", {"page": number, **parameters}, reader, errand)
        except NoSource:
            raise  # It concerns no page.
        except RequestFailed as failure:
            raise PageFailed(endpoint, number, failure) from failure
        errand.traffic.count_page()
        return page

    def _supports_filters(self, endpoint: Endpoint, errand: Errand) -> bool:
        return lists_filters(self._document(errand), f"/{endpoint}")

    def _document(self, errand: Errand) -> dict[str, object]:
        with self._openapi_lock:
            if self._openapi is None:
                try:
                    self._openapi = self._elsewhere(
                        errand, self._http.get, "/openapi.json", {}, openapi_document, errand
                    )
                except RequestFailed as failure:
                    if failure.status is None:
                        raise
                    # Refused (404, or 403 where documentation is withheld): a source that promises nothing.
                    self._openapi = {}
            return self._openapi
