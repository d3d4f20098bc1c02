"""Invalid records: as many as asked for, of every kind, and always the same ones."""

from collections import Counter
from datetime import datetime

import pytest

from mock_api.served_log import record_sha256
from mock_api.settings import ENDPOINTS, Endpoint
from mock_api.simulation.world import World
from moovitamix_assets_tests.unit.mock_api.conftest import NOW, read_world, small_settings


@pytest.fixture(scope="module")
def dirty() -> World:
    return World(small_settings(people=2000, tracks=2000, sessions_a_day=300, dirty_share=0.2))


@pytest.fixture(scope="module")
def clean() -> World:
    return World(small_settings(people=2000, tracks=2000, sessions_a_day=300))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_share_is_met_and_the_rest_is_the_clean_world(
    dirty: World, clean: World, endpoint: Endpoint
) -> None:
    wanted = Counter(map(record_sha256, read_world(clean, endpoint, NOW)))
    got = Counter(map(record_sha256, read_world(dirty, endpoint, NOW)))
    missing = (wanted - got).total() / wanted.total()
    added = (got - wanted).total() / wanted.total()
    # One or two of the kinds leave the record unchanged and only add another one.
    assert 0.1 < missing < 0.2
    assert missing < added < 0.22


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_invalid_record_is_invalid_in_the_same_way_each_time(dirty: World, endpoint: Endpoint) -> None:
    again = World(small_settings(people=2000, tracks=2000, sessions_a_day=300, dirty_share=0.2))
    assert read_world(again, endpoint, NOW) == read_world(dirty, endpoint, NOW)


def test_users_are_invalid_in_every_way(dirty: World) -> None:
    users = read_world(dirty, "users", NOW)
    assert any(user["id"] is None for user in users)
    assert any(user["email"] == "not-an-email" for user in users)
    _assert_repeats([user for user in users if user["id"]], "id")


def test_tracks_are_invalid_in_every_way(dirty: World) -> None:
    tracks = read_world(dirty, "tracks", NOW)
    assert any(track["id"] is None for track in tracks)
    assert {"99:99", "-1:00", "abc", "1:02:03"} <= {track["duration"] for track in tracks}
    _assert_repeats([track for track in tracks if track["id"]], "id")


def test_sessions_are_invalid_in_every_way(dirty: World) -> None:
    sessions = read_world(dirty, "listen_history", NOW)
    assert any(session["user_id"] is None for session in sessions)
    assert any(session["items"] is None for session in sessions)
    assert any(session["items"] == [] for session in sessions)
    assert any(None in (session["items"] or []) for session in sessions)
    assert any(
        session["user_id"] and session["user_id"] not in world_ids(dirty, "users") for session in sessions
    )
    assert any(
        track and track not in world_ids(dirty, "tracks")
        for session in sessions
        for track in session["items"] or []
    )
    known = [
        session for session in sessions if session["user_id"] and isinstance(session["created_at"], datetime)
    ]
    repeated = Counter((session["user_id"], session["created_at"]) for session in known)
    assert max(repeated.values()) == 2


def world_ids(world: World, endpoint: Endpoint) -> set[int]:
    """Every id that was ever given out, whether or not its record says so."""
    return set((world.users if endpoint == "users" else world.catalogue).ids.tolist())


def _assert_repeats(records: list[dict[str, object]], key: str) -> None:
    versions: dict[object, list[dict[str, object]]] = {}
    for record in records:
        versions.setdefault(record[key], []).append(record)
    twice = [pair for pair in versions.values() if len(pair) == 2]
    assert max(map(len, versions.values())) == 2
    assert any(first == second for first, second in twice)
    assert any(first != second for first, second in twice)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_records_without_readable_times_count_as_older_than_everything(
    dirty: World, endpoint: Endpoint
) -> None:
    def unreadable(record: dict[str, object], name: str) -> bool:
        return not isinstance(record[name], datetime)

    everything = read_world(dirty, endpoint, NOW)
    half = [
        record
        for record in everything
        if unreadable(record, "created_at") != unreadable(record, "updated_at")
    ]
    neither = [
        record
        for record in everything
        if unreadable(record, "created_at") and unreadable(record, "updated_at")
    ]
    assert half
    assert neither
    oldest = read_world(dirty, endpoint, NOW, before=datetime(2020, 1, 1))
    assert sorted(map(record_sha256, oldest)) == sorted(map(record_sha256, neither))
    assert not [
        record for record in read_world(dirty, endpoint, NOW, since=datetime(1970, 1, 1)) if record in neither
    ]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_dirt_turns_up_in_a_day_that_is_over(dirty: World, endpoint: Endpoint) -> None:
    day = {"since": datetime(2026, 8, 10), "before": datetime(2026, 8, 11)}
    at_once = Counter(map(record_sha256, read_world(dirty, endpoint, datetime(2026, 8, 11), **day)))
    later = Counter(map(record_sha256, read_world(dirty, endpoint, NOW, **day)))
    assert not later - at_once
