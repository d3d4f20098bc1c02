"""A GET that can be relied on: one session per thread, timeouts, retries, and a count of what it cost.

It knows HTTP and JSON. What an answer means (envelopes, pages, records) is for the callers, who pass a
reader and have an answer that they cannot use asked for again.
"""

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from time import perf_counter
from typing import TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

import requests
from urllib3.exceptions import ReadTimeoutError

from moovitamix_assets.ingestion.errors import RequestFailed

Answer = TypeVar("Answer")


class UnusableAnswer(Exception):
    """An answer, or the lack of one, that may be better the next time; it never leaves the client.

    Attributes:
        cause: A word for the statistics.
        retry_after: Seconds that the server asked to wait, or None.
    """

    def __init__(self, cause: str, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.cause, self.retry_after = cause, retry_after


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try again, and how long to wait before.

    Attributes:
        retries: Tries after the first.
        backoff_seconds: The first wait, doubled each time.
        limit_seconds: No wait is longer, whatever the server asks for.
    """

    retries: int
    backoff_seconds: float
    limit_seconds: float

    def wait_seconds(self, attempt: int, jitter: float, retry_after: float | None = None) -> float:
        """Say how long to wait after try number `attempt` (from 0), `jitter` being in [0, 1).

        Between half and the whole of the doubled backoff, so that clients which failed together do not come
        back together; and never before the server wants it, within the limit.
        """
        # 2**60 seconds is beyond every limit; without the bound the power leaves the range of a float.
        whole = min(self.limit_seconds, self.backoff_seconds * 2.0 ** min(attempt, 60))
        return max(whole * (1 + jitter) / 2, min(retry_after or 0.0, self.limit_seconds))


@dataclass
class Traffic:
    """What the requests of one errand cost. Threads share it.

    Attributes:
        latencies: Seconds of each request that was answered, in order of arrival.
        requests: All requests, answered or not.
        retries_by_cause: How many were made again, by the word for why.
    """

    latencies: list[float] = field(default_factory=list)
    requests: int = 0
    retries_by_cause: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_request(self) -> None:
        """Count a request that is about to be made."""
        with self._lock:
            self.requests += 1

    def count_retry(self, cause: str) -> None:
        """Count a request that is about to be made again."""
        with self._lock:
            self.retries_by_cause[cause] += 1

    def latency_milliseconds(self, share: float) -> float:
        """Give the latency that `share` (0 to 1) of the answers did not exceed; 0 without an answer."""
        ordered = sorted(self.latencies)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 3) if ordered else 0.0


class HttpSession:
    """GETs JSON from one server, from any number of threads, each with its own connection kept alive."""

    def __init__(
        self,
        base_url: str,
        timeout_seconds: float,
        policy: RetryPolicy,
        sleep: Callable[[float], None] | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            base_url: Of the server; a trailing slash is dropped.
            timeout_seconds: For connecting, and between two bytes of an answer.
            policy: When to try again.
            sleep: Waits so many seconds; by default a wait that ends early when the errand is called off.
            randomness: For the jitter.
        """
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._policy = policy
        self._sleep = sleep
        self._randomness = randomness or random.Random()
        self._of_thread = threading.local()
        self._sessions: list[requests.Session] = []
        self._source_time: datetime | None = None

    @property
    def source_time(self) -> datetime | None:
        """The `Date` header of the newest answer, naive UTC; None where it is absent or unreadable."""
        return self._source_time

    def shown_url(self, path: str = "", parameters: Mapping[str, str | int] | None = None) -> str:
        """Give a URL of the server as messages may show it: without user and password."""
        parts = urlsplit(self._base_url + path)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, urlencode(parameters or {}, safe=":"), ""))

    def get(
        self,
        path: str,
        parameters: Mapping[str, str | int],
        read: Callable[[object], Answer],
        traffic: Traffic,
        called_off: threading.Event,
    ) -> Answer:
        """GET a path and read its JSON, trying again for what can pass by itself.

        Args:
            path: With its leading slash.
            parameters: Of the query.
            read: Makes the result of the decoded JSON; raises `UnusableAnswer` to have it asked for again.
            traffic: Counts the requests.
            called_off: Ends the waiting and the trying when set.

        Raises:
            RequestFailed: Refused (4xx other than 429), or failed in every try.
            CancelledError: Called off.
        """
        for attempt in count():
            if called_off.is_set():
                raise CancelledError
            try:
                return read(self._get_json(path, parameters, traffic))
            except UnusableAnswer as answer:
                if attempt >= self._policy.retries:
                    url = self.shown_url(path, parameters)
                    raise RequestFailed(url, str(answer), attempt + 1) from answer
                traffic.count_retry(answer.cause)
                self.wait(attempt, called_off, answer.retry_after)
        raise AssertionError("count() has no end")

    def wait(self, attempt: int, called_off: threading.Event, retry_after: float | None = None) -> None:
        """Wait as the policy says, at most until called off."""
        seconds = self._policy.wait_seconds(attempt, self._randomness.random(), retry_after)
        (self._sleep or called_off.wait)(seconds)

    def close(self) -> None:
        """Close every thread's connections."""
        while self._sessions:
            self._sessions.pop().close()

    def _get_json(self, path: str, parameters: Mapping[str, str | int], traffic: Traffic) -> object:
        traffic.count_request()
        began = perf_counter()
        response = self._request(path, parameters)
        traffic.latencies.append(perf_counter() - began)
        self._source_time = _http_date(response.headers.get("Date", ""))
        status = response.status_code
        if status == 429 or not 400 <= status < 500:
            return _decoded(response)
        detail = _detail(response)
        raise RequestFailed(self.shown_url(path, parameters), f"{status} {detail}", 1, status)

    def _request(self, path: str, parameters: Mapping[str, str | int]) -> requests.Response:
        try:
            return self._session().get(
                self._base_url + path, params=parameters, timeout=self._timeout_seconds
            )
        except requests.Timeout as error:
            raise UnusableAnswer("timeout", f"no answer within {self._timeout_seconds:g} s") from error
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            # A body shorter than its Content-Length comes here too: urllib3 2 enforces the length.
            raise UnusableAnswer("truncated", f"the answer broke off ({error})") from error
        except requests.ConnectionError as error:
            reason = error.args[0] if error.args else error
            if isinstance(reason, ReadTimeoutError):  # requests' name for a timeout within the body
                text = f"the answer stalled for {self._timeout_seconds:g} s"
                raise UnusableAnswer("timeout", text) from error
            raise UnusableAnswer("connection", str(getattr(reason, "reason", reason))) from error
        except requests.RequestException as error:
            raise RequestFailed(self.shown_url(path, parameters), str(error), 1) from error

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = requests.Session()
            session.headers.update({"Accept": "application/json", "User-Agent": "moovitamix-assets"})
            # A proxy from the environment cannot reach this machine's own loopback.
            session.trust_env = urlsplit(self._base_url).hostname not in ("127.0.0.1", "localhost", "::1")
            self._of_thread.session = session
            self._sessions.append(session)
        return session


def _decoded(response: requests.Response) -> object:
    status = response.status_code
    if status != 200:
        retry_after = (
            _seconds_asked(response.headers.get("Retry-After", "")) if status in (429, 503) else None
        )
        raise UnusableAnswer(f"status_{status}", f"{status} {response.reason}", retry_after)
    try:
        # Not orjson: it refuses NaN and integers beyond 64 bits, and a record is kept as it was received.
        decoded: object = json.loads(response.content)
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("Content-Type", "no content type")
        text = f"200 with {len(response.content)} bytes that are not JSON ({kind})"
        raise UnusableAnswer("not_json", text) from error
    return decoded


def _seconds_asked(header: str) -> float | None:
    """Read a Retry-After header, seconds or HTTP-date; None if it is neither."""
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", header, re.ASCII):
        return float(header)
    moment = _http_date(header)
    if moment is None:
        return None
    return max(0.0, (moment - datetime.now(UTC).replace(tzinfo=None)).total_seconds())


def _http_date(header: str) -> datetime | None:
    """Read an HTTP-date as naive UTC; None if it is none, or lies outside of the years 1 to 9999."""
    try:
        moment = parsedate_to_datetime(header)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _detail(response: requests.Response) -> str:
    """Give what the server says about a refusal: FastAPI's `detail`, or the beginning of the text."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        body = response.text
    detail = body.get("detail", body) if isinstance(body, dict) else body
    if isinstance(detail, list) and all(isinstance(entry, dict) for entry in detail):
        detail = "; ".join(
            f"{'.'.join(map(str, entry.get('loc') or []))}: {entry.get('msg')} (sent: {entry.get('input')!r})"
            for entry in detail
        )
    return f"{response.reason}: {detail}"[:500]
