"""Answers of the server: their JSON, dates in their headers, the text of a refusal, and what makes one unusable.

Asking, waiting and asking again are in `http_session.py`.
"""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

_WEB_PAGE = re.compile(r"\s*<(!doctype )?html\b", re.IGNORECASE)

# Causes that speak for an address where something else answers, such as a web page.
OF_SOMETHING_ELSE = ("not_json", "not_openapi", "not_an_envelope")


class UnusableAnswer(Exception):
    """An answer, or the lack of one, that may be better the next time; it never leaves the client.

    Attributes:
        cause: The cause, as a word for the statistics.
        retry_after: Seconds that the server asked to wait, or None.
        unreached: Whether there may be no server: no connection, or one that ended unanswered.
    """

    def __init__(
        self, cause: str, text: str, retry_after: float | None = None, unreached: bool = False
    ) -> None:
        super().__init__(text)
        self.cause, self.retry_after, self.unreached = cause, retry_after, unreached


def decoded_json(response: requests.Response) -> object:
    """Decode the body of an answer.

    Raises:
        UnusableAnswer: If its status is not 200, or its body is not JSON.
    """
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
    moment = http_date(header)
    if moment is None:
        return None
    return max(0.0, (moment - datetime.now(UTC).replace(tzinfo=None)).total_seconds())


def http_date(header: str) -> datetime | None:
    """Read an HTTP-date as naive UTC; None if it is not one, or lies outside the years 1 to 9999."""
    try:
        moment = parsedate_to_datetime(header)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def refusal_detail(response: requests.Response) -> str:
    """The server's explanation of a refusal: FastAPI's `detail`, or the beginning of the text."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        # A web page says nothing that its status does not.
        body = "" if _WEB_PAGE.match(response.text) else response.text
    detail = body.get("detail", body) if isinstance(body, dict) else body
    if isinstance(detail, list) and all(isinstance(entry, dict) for entry in detail):
        detail = "; ".join(
            f"{'.'.join(map(str, entry.get('loc') or []))}: {entry.get('msg')} (sent: {entry.get('input')!r})"
            for entry in detail
        )
    return f"{response.reason}: {detail}"[:500] if detail else str(response.reason)
