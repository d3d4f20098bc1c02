"""Requests that go wrong: what is tried again, how long is waited, and what an error says."""

import random
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from moovitamix_assets.ingestion.client.errors import NoSource, PageFailed, RequestFailed, SourceError
from moovitamix_assets.ingestion.client.patience import RetryPolicy
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets_tests.unit.ingestion.client.scripted_source import ScriptedSource, ids, users

FAR = datetime(2030, 1, 1)
HTML = {"Content-Type": "text/html"}
RECOVERABLE: list[tuple[str, Any]] = [
    ("connection", "dropped"),
    ("truncated", "truncated"),
    ("truncated", "truncated_whole_json"),
    ("timeout", "stalled"),
    ("timeout", "stalled_body"),
    ("not_json", (200, HTML, b"<h1>Back soon</h1>")),
    ("not_json", (200, {}, b'{"items": [{"id"')),
    ("not_json", (200, {}, b"")),
    ("not_json", (200, {}, b"\xff\xfe\xfd")),
    ("not_json", (200, {}, b"[" * 100_000)),
    ("not_an_envelope", (200, {}, b"[]")),
    ("not_an_envelope", (200, {}, b'{"items": null, "total": 30}')),
    ("not_an_envelope", (200, {}, b'{"items": {"id": 1}, "total": 30}')),
    ("not_an_envelope", (200, {}, b'{"items": [], "total": "30"}')),
    ("not_an_envelope", (200, {}, b'{"items": [], "total": -1}')),
    ("another_page", (200, {}, b'{"items": [], "total": 30, "page": 7}')),
    ("truncated", (200, {"Content-Encoding": "gzip"}, b"not gzip")),
    ("status_204", (204, {}, b"")),
    ("status_429", 429),
    ("status_500", 500),
    ("status_502", 502),
    ("status_503", 503),
    ("status_504", 504),
]


def client(source: ScriptedSource, waits: list[float] | None = None, **settings: Any) -> SourceApi:
    sleep = (lambda _: None) if waits is None else waits.append
    defaults = {"page_size": 10, "timeout_seconds": 5.0, "sleep": sleep, "randomness": random.Random(1)}
    return SourceApi(source.url, **{**defaults, **settings})


@pytest.fixture
def source_of_30(source: ScriptedSource) -> ScriptedSource:
    times = {"created_at": "2026-09-01T00:00:00", "updated_at": "2026-09-02T00:00:00"}
    source.records["users"] = [{"id": i, **times} for i in range(30)]
    return source


@pytest.mark.parametrize(("cause", "fault"), RECOVERABLE)
@pytest.mark.parametrize("page", [1, 2])
def test_what_passes_by_itself_is_tried_again(
    source_of_30: ScriptedSource, cause: str, fault: Any, page: int
) -> None:
    source_of_30.faults["users", page] = [fault]
    with client(source_of_30, timeout_seconds=0.15 if cause == "timeout" else 5.0) as api:
        pull = api.pull("users", None, FAR)
    assert pull.identities == {(i,) for i in range(30)}
    assert pull.statistics.retries_by_cause == {cause: 1}
    assert (pull.statistics.retries, pull.statistics.requests, pull.statistics.pulls) == (1, 6, 1)


def test_a_document_that_fails_once_is_asked_for_again(source_of_30: ScriptedSource) -> None:
    source_of_30.faults["openapi.json", 0] = [503, (200, HTML, b"<h1>no</h1>"), (200, {}, b"[]")]
    with client(source_of_30) as api:
        assert not api.supports_filters("users")
    assert len(source_of_30.asked) == 4


@pytest.mark.parametrize("document", [b"{}", b'{"paths": []}', b'{"paths": {"/users": {"get": null}}}'])
def test_a_document_of_another_shape_lists_no_filter(source: ScriptedSource, document: bytes) -> None:
    source.always["openapi.json", 0] = (200, {}, document)
    with client(source) as api:
        assert not api.supports_filters("users")


def test_a_page_that_always_fails_is_named(source_of_30: ScriptedSource) -> None:
    source_of_30.always["users", 2] = 503
    with client(source_of_30, retries=3) as api, pytest.raises(PageFailed) as caught:
        api.pull("users", None, FAR)
    message = str(caught.value)
    assert "Page 2 of users" in message
    assert f"GET {source_of_30.url}/users?page=2&size=10 failed in 4 tries" in message
    assert "503 Service Unavailable" in message
    assert (caught.value.endpoint, caught.value.page, caught.value.failure.tries) == ("users", 2, 4)
    assert source_of_30.pages_asked("users").count(2) == 4


def test_a_failure_ends_the_waits_of_the_other_pages(source_of_30: ScriptedSource) -> None:
    source_of_30.always["users", 2] = (503, {"Retry-After": "30"})
    source_of_30.faults["users", 3] = [(503, {"Retry-After": "1"}), 404]
    began = time.monotonic()
    # Page 3 is refused in its second try, while page 2 waits for half a minute, for real.
    patient = client(source_of_30, sleep=None, backoff_seconds=0.0)
    with patient as api, pytest.raises(PageFailed, match="Page 3 of users"):
        api.pull("users", None, FAR)
    assert time.monotonic() - began < 10
    for thread in threading.enumerate():
        if thread.name.startswith("source-api"):
            thread.join(10)
            assert not thread.is_alive(), "page 2 is still being waited for"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_refusal_is_not_tried_again_and_shows_the_detail(source_of_30: ScriptedSource, status: int) -> None:
    detail = (
        b'{"detail": [{"type": "less_than_equal", "loc": ["query", "size"], '
        b'"msg": "Input should be less than or equal to 5", "input": "10"}]}'
    )
    source_of_30.always["users", 1] = (status, {}, detail)
    waits: list[float] = []
    with client(source_of_30, waits) as api, pytest.raises(PageFailed) as caught:
        api.pull("users", None, FAR)
    assert "query.size: Input should be less than or equal to 5 (sent: '10')" in str(caught.value)
    assert "users?page=1&size=10 was refused" in str(caught.value)
    assert (caught.value.failure.status, waits) == (status, [])
    assert source_of_30.pages_asked("users") == [1]


@pytest.mark.parametrize(
    ("body", "shown"),
    [(b'{"detail": "Not Found"}', "Not Found"), (b"<b>Nothing here</b>", "<b>Nothing here</b>"), (b"7", "7")],
)
def test_a_refusal_in_any_form_is_shown(source: ScriptedSource, body: bytes, shown: str) -> None:
    source.always["users", 1] = (404, {}, body)
    with client(source) as api, pytest.raises(PageFailed, match=f"404 Not Found: {shown}. Asking again"):
        api.pull("users", None, FAR)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7),
        ("0", 0.25, 0.5),
        ("3600", 30, 30),
        ("in a while", 0.25, 0.5),
        ("-5", 0.25, 0.5),
        ("9" * 400, 0.25, 0.5),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.25, 0.5),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 30, 30),
    ],
)
def test_retry_after_is_honoured_within_the_limit(
    source_of_30: ScriptedSource, status: int, header: str, low: float, high: float
) -> None:
    source_of_30.faults["users", 1] = [(status, {"Retry-After": header})]
    waits: list[float] = []
    with client(source_of_30, waits) as api:
        api.pull("users", None, FAR)
    assert len(waits) == 1
    assert low <= waits[0] <= high


def test_a_retry_after_date_is_waited_for(source_of_30: ScriptedSource) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    source_of_30.faults["users", 1] = [(503, {"Retry-After": date})]
    waits: list[float] = []
    with client(source_of_30, waits) as api:
        api.pull("users", None, FAR)
    assert 15 < waits[0] <= 20


def test_other_statuses_do_not_set_the_wait(source_of_30: ScriptedSource) -> None:
    source_of_30.faults["users", 1] = [(500, {"Retry-After": "20"})]
    waits: list[float] = []
    with client(source_of_30, waits) as api:
        api.pull("users", None, FAR)
    assert waits[0] <= 0.5


def test_waits_double_with_jitter_up_to_the_limit(source_of_30: ScriptedSource) -> None:
    source_of_30.always["users", 1] = 500
    waits: list[float] = []
    with client(source_of_30, waits, retries=8, backoff_limit_seconds=20.0) as api, pytest.raises(PageFailed):
        api.pull("users", None, FAR)
    whole = [0.5, 1, 2, 4, 8, 16, 20, 20]
    assert len(waits) == 8
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, whole, strict=True))
    assert len({wait / bound for wait, bound in zip(waits, whole, strict=True)}) == 8, "jittered"
    assert RetryPolicy(9999, 0.5, 30.0).wait_seconds(9000, 0.999) <= 30


def test_a_source_that_is_not_there_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://somebody:secret@127.0.0.1:{taken.getsockname()[1]}"
        with SourceApi(url, retries=1, sleep=lambda _: None) as api, pytest.raises(RequestFailed) as caught:
            api.check()
    assert "the last time with: Failed to establish a new connection: [Errno 111] Connection refused" in str(
        caught.value
    )
    assert "MOOVITAMIX_API_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_address_that_is_none_is_not_tried_again() -> None:
    waits: list[float] = []
    with SourceApi("http://:80:80", sleep=waits.append) as api, pytest.raises(SourceError):
        api.pull("users", None, FAR)
    assert waits == []


def test_a_web_page_in_place_of_the_source_is_given_up_once_for_all_endpoints(source: ScriptedSource) -> None:
    page = (200, {"Content-Type": "text/html"}, b"<html>Welcome</html>")
    for endpoint in ("openapi.json", "users", "tracks"):
        source.always[endpoint, 0 if endpoint == "openapi.json" else 1] = page
    with client(source, retries=1000, connect_patience_seconds=0.2, sleep=None, backoff_seconds=0.05) as api:
        for endpoint in ("users", "tracks"):
            with pytest.raises(SourceError, match="not JSON"):
                api.pull(endpoint, None, FAR)
            asked = len(source.asked)
        assert asked == len(source.asked)
        assert {path for path, _ in source.asked} == {"/openapi.json"}


def test_a_web_page_in_between_is_retried_like_any_other_failure(source: ScriptedSource) -> None:
    source.records["users"] = users(3)
    with client(source, connect_patience_seconds=0) as api:
        api.check()
        source.faults["users", 1] = [(200, {}, b"<html>Busy</html>")] * 3
        assert ids(api.pull("users", None, FAR)) == [1, 2, 3]


def test_a_web_server_without_a_document_is_given_up_once_too(source: ScriptedSource) -> None:
    for endpoint in ("users", "tracks"):
        source.always[endpoint, 1] = (200, {"Content-Type": "text/html"}, b"<html>Welcome</html>")
    with client(source, retries=1000, connect_patience_seconds=0.2, sleep=None, backoff_seconds=0.05) as api:
        with pytest.raises(NoSource, match="not JSON") as first:
            api.pull("users", None, FAR)
        asked = len(source.asked)
        with pytest.raises(NoSource) as later:
            api.pull("tracks", None, FAR)
        assert asked == len(source.asked)
        assert str(later.value) == str(first.value), "one cause, which a run gives once for all its steps"


def test_of_a_refusal_by_a_web_page_only_the_status_is_shown(source: ScriptedSource) -> None:
    source.always["users", 1] = (404, {}, b"<!DOCTYPE HTML><html>\n<h1>Not here</h1></html>")
    with client(source) as api, pytest.raises(SourceError) as caught:
        api.pull("users", None, FAR)
    assert "<" not in str(caught.value)
