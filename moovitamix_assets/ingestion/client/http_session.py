"""A reliable GET: one session per thread, timeouts, deadlines and retries.

It knows HTTP and JSON. The meaning of an answer (envelopes, pages, records) is the concern of the callers, who pass a
reader and have an answer that they cannot use requested again.
"""

import random
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from datetime import datetime
from itertools import count
from math import inf
from time import perf_counter
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlencode

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import ReadTimeoutError

from foundation.secret_url import SecretUrl, redact_credentials
from moovitamix_assets.ingestion.client.answers import (
    OF_SOMETHING_ELSE,
    UnusableAnswer,
    decoded_json,
    http_date,
    refusal_detail,
)
from moovitamix_assets.ingestion.client.connections import Lifeline, open_session
from moovitamix_assets.ingestion.client.errand import Errand
from moovitamix_assets.ingestion.client.errors import NoSource, RequestFailed
from moovitamix_assets.ingestion.client.patience import FirstContact, Limits, RetryPolicy

Answer = TypeVar("Answer")

_LOOPBACK = r"https?://(127\.0\.0\.1|localhost|\[::1\])(?=[:/?#]|$)"
# The very last try is made when the patience is used up.
_SHORTEST_CONNECT_SECONDS = 0.5


class HttpSession:
    """GETs JSON from one server, from any number of threads, each with its own connection kept alive."""

    def __init__(
        self,
        base_url: str,
        limits: Limits,
        policy: RetryPolicy,
        sleep: Callable[[float], None] | None = None,
        randomness: random.Random | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Open nothing yet.

        Args:
            base_url: Of the server, a user and password in it are used; a trailing slash is dropped.
            limits: The time limits.
            policy: When to try again.
            sleep: Waits so many seconds; by default a wait that ends early when the errand is over.
            randomness: For the jitter.
            headers: Secret ones, sent to this server only.
        """
        # Without user and password no exception of a library underneath can show them.
        url = SecretUrl(base_url).without_trailing_slash()
        self._base_url, self._credentials = url.without_credentials, url.credentials
        self._headers = headers
        self._limits = limits
        self._policy = policy
        self._sleep = sleep
        self._randomness = randomness or random.Random()
        self._of_thread = threading.local()
        self._sessions: list[requests.Session] = []
        self._source_time: datetime | None = None
        self._contact = FirstContact(limits.patience_seconds)

    @property
    def source_time(self) -> datetime | None:
        """The `Date` header of the newest answer, naive UTC; None where it is absent or unreadable."""
        return self._source_time

    def shown_url(self, path: str = "", parameters: Mapping[str, str | int] | None = None) -> str:
        """A URL of the server as messages may show it: without user and password."""
        query = f"?{urlencode(parameters, safe=':')}" if parameters else ""
        return redact_credentials(self._base_url) + path + query

    def get(
        self,
        path: str,
        parameters: Mapping[str, str | int],
        read: Callable[[object], Answer],
        errand: Errand,
    ) -> Answer:
        """GET a path and read its JSON, retrying temporary failures.

        Args:
            path: With its leading slash.
            parameters: Of the query.
            read: Returns the result for the decoded JSON; raises `UnusableAnswer` to have it requested again.
            errand: Counts the requests; once it is over, waits and retries end, and the request in flight is
                cut.

        Raises:
            RequestFailed: Refused (4xx other than 429), or failed in every try.
            NoSource: Nothing answered as a source does, from the first request of this session on.
            CancelledError: The errand is over.
        """
        known = self._contact.unreachable
        if known is not None:
            raise NoSource(known.url, known.cause, known.tries)
        for attempt in count():
            if errand.called_off:
                raise CancelledError
            try:
                result = read(self._get_json(path, parameters, errand))
            except UnusableAnswer as answer:
                may_be_elsewhere = answer.unreached or answer.cause in OF_SOMETHING_ELSE
                left = self._contact.seconds_left() if may_be_elsewhere else inf
                if attempt >= self._policy.retries or not left:
                    url = self.shown_url(path, parameters)
                    if may_be_elsewhere and not self._contact.made:
                        self._contact.unreachable = NoSource(url, str(answer), attempt + 1)
                        raise self._contact.unreachable from answer
                    raise RequestFailed(url, str(answer), attempt + 1) from answer
                errand.traffic.count_retry(answer.cause)
                self.wait(attempt, errand, answer.retry_after, left)
            else:
                self._contact.made = True
                return result
        raise AssertionError("count() has no end")

    def wait(
        self, attempt: int, errand: Errand, retry_after: float | None = None, at_most: float = inf
    ) -> None:
        """Wait as the policy says, at most until the errand is over."""
        seconds = self._policy.wait_seconds(attempt, self._randomness.random(), retry_after)
        (self._sleep or errand.wait)(min(seconds, at_most))

    def close(self) -> None:
        """Close every thread's connections; requests in flight end with their errands."""
        while self._sessions:
            self._sessions.pop().close()

    def _get_json(self, path: str, parameters: Mapping[str, str | int], errand: Errand) -> object:
        errand.traffic.count_request()
        began = perf_counter()
        response = self._cuttable_request(path, parameters, errand)
        errand.traffic.latencies.append(perf_counter() - began)
        self._source_time = http_date(response.headers.get("Date", ""))
        status = response.status_code
        # Whoever is busy or refuses is a source; what answers 200 or 404 may be anything until something was read.
        self._contact.made |= status not in (200, 404)
        if status == 429 or not 400 <= status < 500:
            return decoded_json(response)
        detail = self._redacted(refusal_detail(response))
        raise RequestFailed(self.shown_url(path, parameters), f"{status} {detail}", 1, status)

    def _cuttable_request(
        self, path: str, parameters: Mapping[str, str | int], errand: Errand
    ) -> requests.Response:
        """Make one request, which ends at its deadline or with its errand, whatever the server does."""
        session, lifeline = self._session()
        number = lifeline.begin()

        def cut() -> None:
            lifeline.cut(number)

        timer = threading.Timer(self._limits.deadline_seconds, cut)
        timer.daemon = True
        try:
            with errand.under_way(cut):
                timer.start()
                return self._request(session, path, parameters)
        finally:
            timer.cancel()
            # Whatever the outcome: headers that are cut off read like complete ones, followed by no body.
            if errand.called_off:
                raise CancelledError
            if lifeline.was_cut:
                text = f"no whole answer within {self._limits.deadline_seconds:g} s"
                raise UnusableAnswer("deadline", text)

    def _request(
        self, session: requests.Session, path: str, parameters: Mapping[str, str | int]
    ) -> requests.Response:
        timeout = self._limits.timeout_seconds
        connect_timeout = min(timeout, max(self._contact.seconds_left(), _SHORTEST_CONNECT_SECONDS))
        try:
            return session.get(self._base_url + path, params=parameters, timeout=(connect_timeout, timeout))
        except requests.ConnectTimeout as error:
            text = f"no connection within {connect_timeout:.3g} s"
            raise UnusableAnswer("timeout", text, unreached=True) from error
        except requests.Timeout as error:
            raise UnusableAnswer("timeout", f"no answer within {timeout:g} s") from error
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            # A body shorter than its Content-Length comes here too: urllib3 2 enforces the length.
            raise UnusableAnswer("truncated", f"the answer broke off ({error})") from error
        except requests.ConnectionError as error:
            reason = error.args[0] if error.args else error
            if isinstance(reason, ReadTimeoutError):  # requests' name for a timeout within the body
                raise UnusableAnswer("timeout", f"the answer stalled for {timeout:g} s") from error
            text = self._redacted(_without_connection(getattr(reason, "reason", reason)))
            raise UnusableAnswer("connection", text, unreached=True) from error
        except (requests.RequestException, ValueError) as error:
            # Not `from error`: what it quotes may be the address of a proxy or a redirect, password and all.
            cause = self._redacted(str(error))
            raise RequestFailed(self.shown_url(path, parameters), cause, 1) from None

    def _redacted(self, text: str) -> str:
        """A text of somebody else without credentials, and without the secret headers that it may repeat."""
        for value in self._headers.values():
            for secret in (value, value.removeprefix("Bearer ")):
                text = text.replace(secret, "***") if secret else text
        return redact_credentials(text)

    def _session(self) -> tuple[requests.Session, Lifeline]:
        """The session of the thread, and the lifeline that cuts its connections."""
        known: tuple[requests.Session, Lifeline] | None = getattr(self._of_thread, "session", None)
        if known is None:
            lifeline = Lifeline()
            session = open_session(lifeline, self._headers)
            session.headers.update({"Accept": "application/json", "User-Agent": "moovitamix-assets"})
            if self._credentials:
                session.auth = HTTPBasicAuth(*self._credentials)
            elif "Authorization" in self._headers:
                session.auth = _as_it_is  # else a .netrc of the machine would replace the header
            # A proxy from the environment cannot reach this machine's own loopback.
            session.trust_env = not re.match(_LOOPBACK, self._base_url)
            known = self._of_thread.session = session, lifeline
            self._sessions.append(session)
        return known


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _without_connection(error: object) -> str:
    """The message of an error; urllib3 puts the connection, an object of its own, before some."""
    return str(error).removeprefix(f"{getattr(error, 'conn', None)}: ")
