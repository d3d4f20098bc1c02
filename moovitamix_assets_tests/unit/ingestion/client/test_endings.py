"""That reading ends: at deadlines, with the client, with the process, and if nobody is there."""

import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from datetime import datetime
from typing import Any, get_args

import pytest

from foundation.daemon_threads import DaemonThreads
from moovitamix_assets.ingestion.client.connections import Lifeline
from moovitamix_assets.ingestion.client.errand import Errand
from moovitamix_assets.ingestion.client.errors import (
    ClientClosed,
    PageFailed,
    PullTooSlow,
    RequestFailed,
    SourceError,
)
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets_tests.unit.ingestion.client.dripping_source import Drip, dripping
from moovitamix_assets_tests.unit.ingestion.client.scripted_source import (
    FAR,
    ScriptedSource,
    client,
    openapi,
    users,
)

LONG = 10.0
DRIPS = get_args(Drip)


def joined(thread: threading.Thread) -> bool:
    thread.join(LONG)
    return not thread.is_alive()


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("source-api")]


@pytest.mark.parametrize("drip", DRIPS)
def test_a_request_that_never_ends_is_cut_and_tried_again(drip: Drip) -> None:
    with dripping(drip) as source:
        brief = SourceApi(source.url, request_deadline_seconds=0.15, retries=1, sleep=lambda _: None)
        with (
            brief as api,
            pytest.raises(RequestFailed, match=r"in 2 tries, .* no whole answer within 0\.15 s"),
        ):
            api.check()
        assert source.left.acquire(timeout=LONG)
        assert source.left.acquire(timeout=LONG), "both connections are given back"


def test_a_handshake_that_never_ends_is_cut() -> None:
    failures: list[str] = []

    def check(url: str) -> None:
        settings = {
            "timeout_seconds": 60.0,
            "connect_patience_seconds": 60.0,
            "request_deadline_seconds": 0.15,
        }
        try:
            with SourceApi(url, retries=0, **settings) as api:
                api.check()
        except RequestFailed as failure:
            failures.append(failure.cause)

    with dripping("silence") as source:
        url = source.url.replace("http:", "https:")
        checking = threading.Thread(target=check, args=(url,), daemon=True)
        checking.start()
        assert joined(checking)
        assert source.left.acquire(timeout=LONG)
    assert failures == ["no whole answer within 0.15 s"]


def test_a_cut_that_comes_late_does_not_hit_the_next_request() -> None:
    lifeline = Lifeline()
    here, there = socket.socketpair()
    with here, there:
        lifeline.hold(here)
        late = lifeline.begin()
        lifeline.begin()
        lifeline.cut(late)
        there.sendall(b"!")
        assert (lifeline.was_cut, here.recv(1)) == (False, b"!")


def test_a_deadline_that_passed_is_a_cause_of_retries(source: ScriptedSource) -> None:
    source.records["users"], source.faults["users", 2] = users(30), ["stalled_body"]
    with client(source, page_size=10, request_deadline_seconds=0.3) as api:
        pull = api.pull("users", None, FAR)
    assert (len(pull.records), pull.statistics.retries_by_cause) == (30, {"deadline": 1})


def test_a_connection_that_was_cut_is_not_used_again(source: ScriptedSource) -> None:
    source.records["users"], source.faults["users", 1] = users(10), ["stalled"]
    with client(source, request_deadline_seconds=0.2, pages_in_flight=1) as api:
        assert len(api.pull("users", None, FAR).records) == 10
        before = source.connections
        assert len(api.pull("users", None, FAR).records) == 10
    assert before == source.connections == 2


@pytest.mark.parametrize("drip", DRIPS)
def test_a_pull_that_takes_too_long_fails_with_its_setting(drip: Drip) -> None:
    with dripping(drip) as source:
        with (
            SourceApi(source.url, pull_deadline_minutes=0.15 / 60) as api,
            pytest.raises(PullTooSlow) as caught,
        ):
            api.pull("tracks", None, FAR)
        assert source.left.acquire(timeout=LONG)
    said = f"tracks: reading {source.url} was given up after 0.15 s, with 0 pages read."
    assert said in str(caught.value)
    assert "MOOVITAMIX_PULL_DEADLINE_MINUTES" in str(caught.value)


def test_a_pull_that_takes_too_long_says_how_far_it_came(source: ScriptedSource) -> None:
    source.records["users"], source.always["users", 3] = users(30), "stalled"
    with client(source, page_size=10, pull_deadline_minutes=0.5 / 60) as api:
        with pytest.raises(PullTooSlow, match="with 3 pages read") as caught:
            api.pull("users", None, FAR)
        assert (caught.value.asked, caught.value.pages, caught.value.seconds) == ("users", 3, 0.5)
        source.always.clear()
        assert len(api.pull("users", None, FAR).records) == 30, "the next pull has its own time"


@pytest.mark.parametrize("where", ["users", "openapi.json"])
def test_the_deadline_of_a_pull_ends_its_waits(source: ScriptedSource, where: str) -> None:
    source.always[where, 1 if where == "users" else 0] = (503, {"Retry-After": "30"})
    patient = SourceApi(source.url, pull_deadline_minutes=0.2 / 60)
    with patient as api, pytest.raises(PullTooSlow):
        api.pull("users", None, FAR)


def test_the_deadline_of_a_pull_ends_the_wait_between_two_readings(source: ScriptedSource) -> None:
    source.records["users"] = [*users(3), *users(1)]
    patient = SourceApi(
        source.url, pull_deadline_minutes=0.3 / 60, backoff_seconds=60.0, backoff_limit_seconds=60.0
    )
    with patient as api, pytest.raises(PullTooSlow, match="with 2 pages read"):
        api.pull("users", None, FAR)


@pytest.mark.parametrize("drip", DRIPS)
def test_closing_the_client_ends_what_it_reads(drip: Drip) -> None:
    failures: list[BaseException] = []

    def read(api: SourceApi) -> None:
        try:
            api.pull("users", None, FAR)
        except SourceError as error:
            failures.append(error)

    with dripping(drip) as source:
        api = SourceApi(source.url)
        reading = threading.Thread(target=read, args=(api,), daemon=True)
        reading.start()
        assert source.asked.wait(LONG)
        api.close()
        assert joined(reading)
        assert source.left.acquire(timeout=LONG)
        assert all(joined(thread) for thread in readers())
    assert [type(failure) for failure in failures] == [ClientClosed]
    assert f"users: reading {source.url} was called off" in str(failures[0])


def test_closing_the_client_ends_its_waits(source: ScriptedSource) -> None:
    source.always["users", 1] = (503, {"Retry-After": "30"})
    failures: list[BaseException] = []

    def read(api: SourceApi) -> None:
        try:
            api.pull("users", None, FAR)
        except SourceError as error:
            failures.append(error)

    api = SourceApi(source.url)
    reading = threading.Thread(target=read, args=(api,), daemon=True)
    reading.start()
    while not source.pages_asked("users"):
        pass
    api.close()
    assert joined(reading)
    assert [type(failure) for failure in failures] == [ClientClosed]
    api.close()
    for ask in (api.check, lambda: api.supports_filters("users")):
        with pytest.raises(ClientClosed, match="the client was closed"):
            ask()


def test_a_failure_cuts_the_other_pages(source: ScriptedSource) -> None:
    source.records["users"] = users(30)
    source.always["users", 2], source.faults["users", 3] = "stalled", [404]
    with client(source, page_size=10, timeout_seconds=60.0) as api:
        with pytest.raises(PageFailed, match="Page 3 of users"):
            api.pull("users", None, FAR)
        source.always.clear()
        # One of the two threads would still be waiting for page 2.
        assert len(api.pull("users", None, FAR).records) == 30


_READER = """
import signal, sys
from datetime import datetime
from moovitamix_assets.ingestion.client.source_api import SourceApi
signal.signal(signal.SIGTERM, signal.default_int_handler)
{opened}
    api.pull("users", None, datetime(2030, 1, 1))
"""


@pytest.mark.parametrize(
    "opened", ["with SourceApi(sys.argv[1]) as api:", "api = SourceApi(sys.argv[1])\nif api:"]
)
@pytest.mark.parametrize("drip", ["silence", "body"])
def test_a_process_that_is_terminated_while_reading_ends(drip: Drip, opened: str) -> None:
    with dripping(drip) as source:
        command = [sys.executable, "-c", _READER.format(opened=opened), source.url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert source.asked.wait(LONG)
                process.send_signal(signal.SIGTERM)
                _, errors = process.communicate(timeout=LONG)
            finally:
                process.kill()
    assert errors.strip().endswith("KeyboardInterrupt")


def nobody() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("url", [nobody(), "http://nobody.invalid"], ids=["refused", "unknown host"])
def test_a_source_that_never_answered_is_waited_for_once(url: str) -> None:
    waits: list[float] = []
    brief: dict[str, Any] = {
        "connect_patience_seconds": 0.3,
        "backoff_seconds": 0.02,
        "backoff_limit_seconds": 0.02,
    }
    with SourceApi(url, retries=100_000, **brief) as api:
        with pytest.raises(RequestFailed, match="MOOVITAMIX_CONNECT_PATIENCE_SECONDS") as first:
            api.pull("users", None, FAR)
        assert first.value.tries > 1
        api._http._sleep = waits.append
        for endpoint in ("tracks", "listen_history"):
            with pytest.raises(RequestFailed) as later:
                api.pull(endpoint, None, FAR)
            assert str(later.value) == str(first.value)
    assert waits == []


def test_the_last_wait_for_a_source_that_never_answered_is_cut_short() -> None:
    waits: list[float] = []
    settings: dict[str, Any] = {"retries": 1, "backoff_seconds": 600.0, "backoff_limit_seconds": 600.0}
    patient = SourceApi(nobody(), connect_patience_seconds=5.0, sleep=waits.append, **settings)
    with patient as api, pytest.raises(RequestFailed, match="in 2 tries"):
        api.check()
    assert len(waits) == 1
    assert 0 < waits[0] <= 5


def test_a_source_that_answered_once_is_waited_for_as_long_as_any_other(source: ScriptedSource) -> None:
    source.records["users"], source.document = users(10), openapi()
    with client(source, connect_patience_seconds=0.0, retries=3) as api:
        assert not api.supports_filters("users")
        source.faults["users", 1] = ["dropped"] * 3
        assert api.pull("users", None, FAR).statistics.retries_by_cause == {"connection": 3}
        source.faults["users", 1] = ["dropped"] * 4
        with pytest.raises(PageFailed, match="in 4 tries"):
            api.pull("users", None, FAR)
        assert len(api.pull("users", None, FAR).records) == 10, "it is asked again"


def test_even_a_refusal_is_an_answer(source: ScriptedSource) -> None:
    source.faults["openapi.json", 0] = [503, "dropped", (404, {}, b"{}")]
    source.faults["users", 1] = ["dropped"]
    with client(source, connect_patience_seconds=0.0) as api:
        assert api.pull("users", None, FAR).records == []


def test_a_slow_answer_is_no_lack_of_one(source: ScriptedSource) -> None:
    source.faults["openapi.json", 0] = ["stalled"]
    with client(source, connect_patience_seconds=0.05, timeout_seconds=0.3) as api:
        assert api.pull("users", None, FAR).records == []


def test_a_source_that_is_only_slow_is_asked_again(source: ScriptedSource) -> None:
    source.faults["openapi.json", 0] = ["stalled"] * 2
    with client(source, timeout_seconds=0.15, retries=1) as api:
        with pytest.raises(RequestFailed, match=r"no answer within 0\.15 s"):
            api.pull("users", None, FAR)
        assert api.pull("users", None, FAR).records == []


def test_an_errand_that_is_over_stops_what_comes_later() -> None:
    stopped: list[int] = []
    with Errand(60) as errand:
        with errand.under_way(lambda: stopped.append(1)):
            pass
        with errand.under_way(lambda: stopped.append(2)):
            errand.call_off()
            errand.call_off()
        assert (stopped, errand.called_off, errand.overdue) == ([2], True, False)
        with pytest.raises(CancelledError), errand.under_way(lambda: stopped.append(3)):
            pass


def test_threads_do_what_was_submitted_and_are_not_more_than_allowed() -> None:
    threads = DaemonThreads(2, "worker")
    barrier = threading.Barrier(2)
    futures = [
        threads.submit(lambda: (barrier.wait(LONG), threading.current_thread().name)[1]) for _ in range(4)
    ]
    assert {future.result(LONG) for future in futures} == {"worker_1", "worker_2"}
    failing = threads.submit(datetime.fromisoformat, "never")
    assert isinstance(failing.exception(LONG), ValueError)
    threads.shutdown()
    with pytest.raises(RuntimeError):
        threads.submit(print)
