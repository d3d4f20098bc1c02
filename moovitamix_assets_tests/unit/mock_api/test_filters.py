"""The two filters: half-open, compared with the latest readable change, in any spelling of ISO 8601."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mock_api.app import create_app
from mock_api.settings import ENDPOINTS
from moovitamix_assets_tests.unit.mock_api.conftest import read_all, small_settings


def changed_at(record: dict[str, Any]) -> datetime:
    readable = []
    for name in ("created_at", "updated_at"):
        try:
            readable.append(datetime.fromisoformat(record[name]))
        except (TypeError, ValueError):
            continue
    return max(readable, default=datetime.min)


def texts(records: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, records))


@pytest.mark.parametrize("dirty_share", [0.0, 0.3])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_filter_gives_what_the_reader_would_choose(endpoint: str, dirty_share: float) -> None:
    client = TestClient(create_app(small_settings(dirty_share=dirty_share, people=600, tracks=600)))
    everything = read_all(client.get, f"/{endpoint}")
    since, before = datetime(2026, 8, 5), datetime(2026, 8, 9, 6)
    for limits in ((since, before), (since, None), (None, before), (before, since)):
        wanted = [
            record
            for record in everything
            if (limits[0] is None or limits[0] <= changed_at(record))
            and (limits[1] is None or changed_at(record) < limits[1])
        ]
        names = ("updated_since", "updated_before")
        parameters = {name: limit.isoformat() for name, limit in zip(names, limits, strict=True) if limit}
        assert texts(read_all(client.get, f"/{endpoint}", **parameters)) == texts(wanted)
        assert wanted or limits == (before, since)


def test_the_limits_are_half_open(client: TestClient) -> None:
    session = read_all(client.get, "/listen_history")[50]
    moment = session["updated_at"]
    after = (datetime.fromisoformat(moment) + timedelta(microseconds=1)).isoformat()
    assert session in read_all(client.get, "/listen_history", updated_since=moment, updated_before=after)
    assert session not in read_all(client.get, "/listen_history", updated_before=moment)
    assert session not in read_all(client.get, "/listen_history", updated_since=after)


def test_adjoining_days_share_no_record_and_miss_none(client: TestClient) -> None:
    days = [datetime(2026, 7, 1)] + [datetime(2026, 8, day) for day in range(1, 17)]
    for endpoint in ENDPOINTS:
        records = read_all(client.get, f"/{endpoint}", updated_before=days[0].isoformat())
        for since, before in pairwise(days):
            records += read_all(
                client.get, f"/{endpoint}", updated_since=since.isoformat(), updated_before=before.isoformat()
            )
        assert texts(records) == texts(read_all(client.get, f"/{endpoint}"))


@pytest.mark.parametrize(
    "same", ["2026-08-05", "2026-08-05T00:00:00.000000", "2026-08-05T00:00:00Z", "2026-08-05T02:00:00+02:00"]
)
def test_one_moment_may_be_spelt_in_many_ways(client: TestClient, same: str) -> None:
    wanted = client.get("/users", params={"updated_since": "2026-08-05T00:00:00"})
    assert client.get("/users", params={"updated_since": same}).content == wanted.content
    assert wanted.json()["total"] > 0


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name", ["updated_since", "updated_before"])
@pytest.mark.parametrize(
    "value", ["yesterday", "5", "2026-13-01", "2026-08-05T99:00:00", "-1", "1e9", "0001-01-01T00:00:00+02:00"]
)
def test_a_bad_moment_answers_422_in_the_same_shape(
    client: TestClient, endpoint: str, name: str, value: str
) -> None:
    answer = client.get(f"/{endpoint}", params={name: value})
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == ["query", name]
    assert detail["input"] == value
    assert {"type", "msg"} < set(detail)
