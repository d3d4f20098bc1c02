"""The mock answers as the original does; what the original answered was recorded on its public server."""

import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mock_api.settings import ENDPOINTS
from mock_api.simulation.world import World
from moovitamix_assets_tests.unit.mock_api.conftest import NOW, read_all, read_world, small_settings

RECORDED_OPENAPI = json.loads(Path(__file__).with_name("recorded_openapi.json").read_text())
RECORDED_422 = {
    "detail": [
        {
            "type": "greater_than_equal",
            "loc": ["query", "page"],
            "msg": "Input should be greater than or equal to 1",
            "input": "0",
            "ctx": {"ge": 1},
        },
        {
            "type": "less_than_equal",
            "loc": ["query", "size"],
            "msg": "Input should be less than or equal to 100",
            "input": "1000",
            "ctx": {"le": 100},
        },
    ]
}
RECORDED_FIELDS = {
    "tracks": "id name artist songwriters duration genres album created_at updated_at",
    "users": "id first_name last_name email gender favorite_genres created_at updated_at",
    "listen_history": "user_id items created_at updated_at",
}
RECORDED_GENRES = {
    "Alternative", "Blues", "Classical", "Country", "Electronic", "Folk", "Funk", "Hip Hop", "Indie", "Jazz",
    "Metal", "Pop", "Punk", "R&B", "Reggae", "Rock", "Techno",
}  # fmt: skip
RECORDED_GENDERS = {
    "Agender", "Bigender", "Female", "Gender nonconforming", "Gender questioning", "Genderfluid",
    "Genderqueer", "Male", "Non-binary",
}  # fmt: skip
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?")


def test_openapi_is_the_recorded_one_plus_two_filters(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for endpoint in ENDPOINTS:
        parameters = document["paths"][f"/{endpoint}"]["get"]["parameters"]
        added = parameters[2:]
        del parameters[2:]
        assert [(each["name"], each["in"], each["required"]) for each in added] == [
            ("updated_since", "query", False),
            ("updated_before", "query", False),
        ]
        assert all({"type": "string", "format": "date-time"} in each["schema"]["anyOf"] for each in added)
    assert document == RECORDED_OPENAPI


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_envelope_and_fields_come_in_the_recorded_order(client: TestClient, endpoint: str) -> None:
    answer = client.get(f"/{endpoint}")
    assert answer.headers["content-type"] == "application/json"
    page = answer.json()
    assert list(page) == ["items", "total", "page", "size", "pages"]
    assert {" ".join(record) for record in page["items"]} == {RECORDED_FIELDS[endpoint]}
    assert (page["page"], page["size"], len(page["items"])) == (1, 100, 100)
    assert page["pages"] == -(-page["total"] // 100)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_bad_page_and_size_answer_the_recorded_422(client: TestClient, endpoint: str) -> None:
    answer = client.get(f"/{endpoint}?page=0&size=1000")
    assert (answer.status_code, answer.json()) == (422, RECORDED_422)


@pytest.mark.parametrize("value", ["", "abc", "1.5"])
def test_a_page_that_is_no_integer_answers_422(client: TestClient, value: str) -> None:
    answer = client.get("/tracks", params={"page": value})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "int_parsing"


@pytest.mark.parametrize("page", [1000, 10**25])
def test_a_page_past_the_end_is_empty(client: TestClient, page: int) -> None:
    answer = client.get("/users", params={"page": page})
    total = client.get("/users").json()["total"]
    assert answer.status_code == 200
    assert answer.json() == {
        "items": [],
        "total": total,
        "page": page,
        "size": 100,
        "pages": -(-total // 100),
    }


def test_unknown_parameters_are_ignored(client: TestClient) -> None:
    assert client.get("/users?genre=Pop&page_size=3").content == client.get("/users").content


def test_other_routes_and_methods(client: TestClient) -> None:
    unknown = client.get("/albums")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not Found"})
    assert [client.head(f"/{endpoint}").status_code for endpoint in ENDPOINTS] == [405] * 3
    redirect = client.get("/", follow_redirects=False)
    assert (redirect.status_code, redirect.headers["location"]) == (307, "/docs")


def _times(record: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(record["created_at"]), datetime.fromisoformat(record["updated_at"])


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_timestamps_drop_a_zero_fraction_and_only_that(client: TestClient, endpoint: str) -> None:
    texts = [
        record[name]
        for record in read_all(client.get, f"/{endpoint}")
        for name in ("created_at", "updated_at")
    ]
    assert all(TIMESTAMP.fullmatch(text) for text in texts)
    assert not any(text.endswith(".000000") for text in texts)
    if endpoint == "listen_history":
        assert any(len(text) == 19 for text in texts)


def test_users_are_as_odd_as_the_recorded_ones(client: TestClient) -> None:
    users = read_all(client.get, "/users")
    assert {user["favorite_genres"] for user in users} == RECORDED_GENRES
    assert {user["gender"] for user in users} == RECORDED_GENDERS
    assert 0.15 < sum(updated < created for created, updated in map(_times, users)) / len(users) < 0.35
    ids = [user["id"] for user in users]
    assert ids != sorted(ids)
    assert len(set(ids)) == len(ids)
    assert min(ids) >= 1
    assert max(ids) <= 100_000


def test_emails_repeat_a_few_times_in_a_thousand() -> None:
    users = read_world(World(small_settings(people=5000, sessions_a_day=1)), "users", NOW)
    repeated = sum(count - 1 for count in Counter(user["email"] for user in users).values())
    assert 2 <= 1000 * repeated / len(users) <= 5
    assert all(re.fullmatch(r"[a-z0-9]+@example\.(com|net|org)", user["email"]) for user in users)


def test_tracks_are_as_odd_as_the_recorded_ones(client: TestClient) -> None:
    tracks = read_all(client.get, "/tracks")
    assert all(re.fullmatch(r"[0-5]\d:[0-5]\d", track["duration"]) for track in tracks)
    assert {track["genres"] for track in tracks} <= RECORDED_GENRES
    assert 0.15 < sum(updated < created for created, updated in map(_times, tracks)) / len(tracks) < 0.35


def test_sessions_never_end_before_they_begin_and_repeat_no_track(client: TestClient) -> None:
    sessions = read_all(client.get, "/listen_history")
    assert all(created <= updated for created, updated in map(_times, sessions))
    assert all(len(set(session["items"])) == len(session["items"]) >= 1 for session in sessions)
    keys = [(session["user_id"], session["created_at"]) for session in sessions]
    assert len(set(keys)) == len(keys)
    users = {user["id"] for user in read_all(client.get, "/users")}
    tracks = {track["id"] for track in read_all(client.get, "/tracks")}
    known = [
        session for session in sessions if session["user_id"] in users and tracks.issuperset(session["items"])
    ]
    # All but the few whose user or track turns up later on the same day.
    assert len(known) > 0.99 * len(sessions)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_pages_of_any_size_join_to_the_same_listing(client: TestClient, endpoint: str) -> None:
    assert read_all(client.get, f"/{endpoint}", size=37) == read_all(client.get, f"/{endpoint}")
