"""Faults: each on its share of the requests for data, on nothing else, and the same for the same seed."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mock_api.app import create_app
from mock_api.faults import ConnectionDroppedError, FaultInjector
from mock_api.settings import ENDPOINTS
from moovitamix_assets_tests.unit.mock_api.conftest import small_settings


def faulty(**settings: Any) -> TestClient:
    return TestClient(create_app(small_settings(people=150, tracks=50, sessions_a_day=5, **settings)))


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        ("fault_429", 429, "application/json"),
        ("fault_500", 500, "text/plain; charset=utf-8"),
        ("fault_503", 503, "application/json"),
        ("fault_html", 200, "text/html; charset=utf-8"),
    ],
)
def test_wrong_answers(fault: str, status: int, content_type: str) -> None:
    client = faulty(**{fault: 1}, fault_retry_after_seconds=0)
    for endpoint in ENDPOINTS:
        answer = client.get(f"/{endpoint}")
        assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
        assert answer.headers.get("retry-after") == ("0" if status == 429 else None)
    assert client.get("/openapi.json").status_code == 200


def test_a_moving_total_is_off_by_one_to_three() -> None:
    client = faulty(fault_moving_total=0.5)
    true_total = faulty().get("/users").json()["total"]
    pages = [client.get("/users").json() for _ in range(60)]
    assert {page["total"] - true_total for page in pages} == {-3, -2, -1, 0, 1, 2, 3}
    assert all(page["pages"] == -(-page["total"] // 100) for page in pages)
    assert {len(page["items"]) for page in pages} == {100}


@pytest.mark.parametrize("fault", ["fault_dropped", "fault_truncated"])
def test_broken_connections(fault: str) -> None:
    with pytest.raises(ConnectionDroppedError):
        faulty(**{fault: 1}).get("/users")


def statuses_of(requests: int, **settings: Any) -> list[int]:
    """Statuses of that many requests for tracks, with an app behind the faults that always answers 200."""

    async def healthy(scope: Scope, receive: Receive, send: Send) -> None:
        await Response()(scope, receive, send)

    async def ask() -> list[int]:
        injector = FaultInjector(healthy, small_settings(**settings))
        statuses = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def receive() -> Message:
            return {"type": "http.request"}

        for _ in range(requests):
            scope = {"type": "http", "method": "GET", "path": "/tracks", "query_string": b"", "headers": []}
            await injector(scope, receive, send)
        return statuses

    return asyncio.run(ask())


def test_shares_are_met_and_seeded() -> None:
    shares = {
        "fault_429": 0.1,
        "fault_500": 0.15,
        "fault_503": 0.2,
        "fault_latency": 0.5,
        "fault_latency_seconds": 0,
    }
    statuses = statuses_of(2000, **shares)
    assert statuses == statuses_of(2000, **shares)
    assert statuses != statuses_of(2000, **shares, seed=2)
    counts = Counter(statuses)
    assert [counts[status] / 2000 for status in (429, 500, 503, 200)] == pytest.approx(
        [0.1, 0.15, 0.2, 0.55], abs=0.04
    )


def test_a_page_may_always_fail_and_another_once() -> None:
    client = faulty(fault_always="users:2,tracks:1", fault_once="users:1")
    statuses = {
        path: [client.get(path).status_code for _ in range(3)]
        for path in ("/users", "/users?page=2&size=100", "/tracks", "/listen_history", "/tracks?page=2")
    }
    assert statuses == {
        "/users": [503, 200, 200],
        "/users?page=2&size=100": [503] * 3,
        "/tracks": [503] * 3,
        "/listen_history": [200] * 3,
        "/tracks?page=2": [200] * 3,
    }


def test_a_page_may_always_bring_the_records_of_the_page_before() -> None:
    client, sound = faulty(fault_repeated_page="users:3"), faulty()
    for size in (20, 30):
        asked = [f"/users?page={page}&size={size}" for page in (2, 3, 4)]
        second, third, fourth = (client.get(path).json() for path in asked)
        assert third == {**second, "page": 3} != sound.get(asked[1]).json()
        assert [second, fourth] == [sound.get(path).json() for path in (asked[0], asked[2])]
    assert client.get("/tracks?page=3&size=5").json() == sound.get("/tracks?page=3&size=5").json()


def test_a_total_may_always_be_half_of_what_the_pages_hold() -> None:
    client, sound = faulty(fault_halved_total="users, tracks"), faulty()
    for path in ("/users?size=20", "/tracks?page=2&size=7"):
        answer = sound.get(path).json()
        assert client.get(path).json() == {**answer, "total": answer["total"] // 2}
    assert client.get("/listen_history").json() == sound.get("/listen_history").json()


def test_latency_delays_its_share_alone() -> None:
    client = faulty(fault_latency=0.5, fault_latency_seconds=0.05)
    seconds = [client.get("/users").elapsed.total_seconds() for _ in range(20)]
    late = sum(each >= 0.05 for each in seconds)
    assert 3 <= late <= 17


def test_shares_above_one_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than 1"):
        small_settings(fault_429=0.6, fault_500=0.6)


def test_the_served_log_marks_what_did_not_arrive(tmp_path: Path) -> None:
    log = tmp_path / "served.jsonl"
    client = faulty(served_log=log, fault_dropped=0.3, fault_500=0.3)
    arrived = []
    for _ in range(40):
        try:
            answer = client.get("/users?size=3")
        except ConnectionDroppedError:
            continue
        if answer.status_code == 200:
            arrived.append(answer.json()["items"])
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["fault"] for line in lines} == {None, "dropped_connection"}
    assert len([line for line in lines if line["fault"] is None]) == len(arrived) > 0
