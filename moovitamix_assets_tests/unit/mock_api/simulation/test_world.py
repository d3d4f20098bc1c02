"""The world: the same on every start, and a past day that nothing later changes."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from mock_api.settings import ENDPOINTS, Endpoint
from mock_api.simulation.world import World
from moovitamix_assets_tests.unit.mock_api.conftest import NOW, Records, read_world, small_settings

KEYS: dict[Endpoint, tuple[str, ...]] = {
    "tracks": ("id",),
    "users": ("id",),
    "listen_history": ("user_id", "created_at"),
}


def by_key(records: Records, endpoint: Endpoint) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(record[name] for name in KEYS[endpoint]): record for record in records}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_seed_is_a_world(world: World, endpoint: Endpoint) -> None:
    again = read_world(World(small_settings()), endpoint, NOW)
    other = read_world(World(small_settings(seed=2)), endpoint, NOW)
    assert read_world(world, endpoint, NOW) == again
    assert again[:20] != other[:20]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_what_is_shown_at_a_moment_does_not_depend_on_days_generated_later(endpoint: Endpoint) -> None:
    earlier = datetime(2026, 8, 6, 9, 30)
    fresh, old = World(small_settings()), World(small_settings())
    old.advance(NOW.date())
    assert read_world(fresh, endpoint, earlier) == read_world(old, endpoint, earlier)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_as_time_passes_new_records_come_at_the_end_and_old_ones_stay_in_place(endpoint: Endpoint) -> None:
    world = World(small_settings())
    now = datetime(2026, 8, 5, 23)
    first = before = read_world(world, endpoint, now)
    for _ in range(4):
        now += timedelta(hours=13)
        after = read_world(world, endpoint, now)
        assert list(by_key(after, endpoint))[: len(before)] == list(by_key(before, endpoint))
        before = after
    assert len(before) > len(first)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_past_day_changes_only_by_later_versions(world: World, endpoint: Endpoint) -> None:
    day = {"since": datetime(2026, 8, 5), "before": datetime(2026, 8, 6)}
    at_once = by_key(read_world(world, endpoint, datetime(2026, 8, 6), **day), endpoint)
    later = by_key(read_world(world, endpoint, NOW, **day), endpoint)
    everything = by_key(read_world(world, endpoint, NOW), endpoint)
    assert later.items() <= at_once.items()
    for key in at_once.keys() - later.keys():
        assert everything[key]["updated_at"] >= day["before"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_nothing_from_the_future_is_shown(world: World, endpoint: Endpoint) -> None:
    now = datetime(2026, 8, 7, 18)
    records = read_world(world, endpoint, now)
    assert max(max(record["created_at"], record["updated_at"]) for record in records) <= now


def test_two_in_a_hundred_sessions_grow_on_the_next_day() -> None:
    world = World(small_settings(sessions_a_day=1500))
    first = by_key(read_world(world, "listen_history", datetime(2026, 8, 4)), "listen_history")
    later = by_key(read_world(world, "listen_history", datetime(2026, 8, 6)), "listen_history")
    began = [key for key in first if datetime(2026, 8, 3) <= key[1] and first[key]["updated_at"].day == 3]
    grown = [key for key in began if later[key] != first[key]]
    assert 0.01 < len(grown) / len(began) < 0.03
    for key in grown:
        items = first[key]["items"]
        assert later[key]["items"][: len(items)] == items
        assert 1 <= len(later[key]["items"]) - len(items) <= 3
        assert later[key]["updated_at"].date() == datetime(2026, 8, 4).date()


@pytest.mark.parametrize(
    ("endpoint", "fields"), [("users", {"favorite_genres", "last_name"}), ("tracks", {"genres", "album"})]
)
def test_profiles_change(world: World, endpoint: Endpoint, fields: set[str]) -> None:
    first = by_key(read_world(world, endpoint, datetime(2026, 8, 1)), endpoint)
    later = by_key(read_world(world, endpoint, NOW), endpoint)
    changed = {
        name for key, record in first.items() for name, value in record.items() if later[key][name] != value
    }
    assert changed == fields | {"updated_at"}


def test_users_and_tracks_arrive_every_few_days(world: World) -> None:
    for endpoint in ("users", "tracks"):
        arrived = [
            each for each in read_world(world, endpoint, NOW) if each["created_at"] >= datetime(2026, 8, 1)
        ]
        assert len({record["created_at"].date() for record in arrived}) >= 10


def test_evenings_are_busier_than_nights_and_saturdays_than_mondays() -> None:
    world = World(small_settings(sessions_a_day=400))
    sessions = read_world(world, "listen_history", datetime(2026, 8, 29))
    hours = Counter(session["created_at"].hour for session in sessions)
    days = Counter(session["created_at"].weekday() for session in sessions)
    assert hours[19] > 5 * hours[3]
    assert days[5] > 1.15 * days[0]


def test_popularity_has_a_long_tail() -> None:
    world = World(small_settings(sessions_a_day=400, taste_strength=0))
    plays = Counter(
        track for session in read_world(world, "listen_history", NOW) for track in session["items"]
    ).most_common()
    top_tenth = sum(count for _, count in plays[: len(plays) // 10])
    assert 0.25 < top_tenth / sum(count for _, count in plays) < 0.6
    assert len(plays) > 350


def test_ids_go_on_beyond_a_hundred_thousand() -> None:
    world = World(small_settings(people=10, tracks=100_500, sessions_a_day=2, first_day=NOW.date()))
    assert world.records("tracks", NOW, 1, 1)[1] > 100_000
    ids = world.catalogue.ids.tolist()
    assert len(set(ids)) == len(ids)
    assert sorted(ids[:95_000])[-1] <= 100_000
    assert max(ids) > 100_000


def test_a_world_without_listening_is_empty_and_not_broken() -> None:
    world = World(
        small_settings(sessions_a_day=0, new_people_a_day=0, new_tracks_a_day=0, people=1, tracks=1)
    )
    assert world.records("listen_history", NOW, 1, 100) == ([], 0)
    assert world.records("users", NOW, 1, 100)[1] == 1
    assert [len(world.records("tracks", NOW, page, 1)[0]) for page in (1, 2)] == [1, 0]
