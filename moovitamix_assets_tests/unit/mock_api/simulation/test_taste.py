"""What is planted in the world can be found in it, and is gone where the settings say so."""

from collections import Counter
from datetime import date, datetime

import numpy as np
import pytest
from pydantic import ValidationError

from mock_api.simulation.world import World
from moovitamix_assets_tests.unit.mock_api.conftest import read_world, small_settings

NOW = datetime(2026, 8, 29)


def lean(since: datetime, **settings: float | date) -> tuple[float, Counter[str]]:
    """Share of listens in the user's favourite genre over that expected by chance, and plays by genre."""
    world = World(small_settings(sessions_a_day=300, **settings))
    genres = {track["id"]: track["genres"] for track in read_world(world, "tracks", NOW)}
    favorites = {user["id"]: user["favorite_genres"] for user in read_world(world, "users", NOW)}
    sessions = read_world(world, "listen_history", NOW, since=since)
    listens = [(session["user_id"], genres[track]) for session in sessions for track in session["items"]]
    plays = Counter(genre for _, genre in listens)
    by_chance = sum(plays[favorites[user]] for user, _ in listens) / len(listens) ** 2
    return sum(genre == favorites[user] for user, genre in listens) / len(listens) / by_chance, plays


def test_users_lean_on_their_favourite_genre() -> None:
    assert lean(datetime(2026, 8, 1))[0] > 4


def test_without_taste_no_genre_is_preferred() -> None:
    assert lean(datetime(2026, 8, 1), taste_strength=0)[0] == pytest.approx(1, abs=0.1)


def test_a_shift_of_tastes_does_not_come_back() -> None:
    shifted, plays = lean(datetime(2026, 8, 20), taste_shift_on=date(2026, 8, 15))
    _, before = lean(datetime(2026, 8, 20))
    assert shifted < 2
    moved = sum(abs(plays[genre] / plays.total() - before[genre] / before.total()) for genre in before) / 2
    assert moved > 0.15


def test_before_the_shift_nothing_is_different() -> None:
    day = datetime(2026, 8, 14)
    still, shifting = (
        read_world(World(small_settings(taste_shift_on=shift)), "listen_history", day)
        for shift in (None, date(2026, 8, 15))
    )
    assert still == shifting


def tastes_of_first_users(day: int, **settings: date | int) -> np.ndarray:
    world = World(small_settings(**settings))
    world.advance(date(2026, 8, day))
    return world.users.tastes[:300].copy()


def test_a_slow_shift_moves_linearly_to_the_new_tastes() -> None:
    slow = {"taste_shift_on": date(2026, 8, 11), "taste_shift_days": 5}
    old, half_way, new, later = (tastes_of_first_users(day, **slow) for day in (10, 13, 15, 20))
    np.testing.assert_array_equal(old, tastes_of_first_users(10))
    np.testing.assert_allclose(half_way, 0.4 * old + 0.6 * new, atol=1e-5)
    np.testing.assert_array_equal(new, later)
    assert np.abs(new - old).mean() > 0.3


def test_a_slow_shift_of_one_day_is_a_shift() -> None:
    shift = date(2026, 8, 11)
    np.testing.assert_array_equal(
        tastes_of_first_users(20, taste_shift_on=shift),
        tastes_of_first_users(20, taste_shift_on=shift, taste_shift_days=1),
    )


@pytest.mark.parametrize("days", [1, 30])
def test_a_shift_comes_back_for_those_who_knew_the_time_before(days: int) -> None:
    world = World(
        small_settings(
            taste_shift_on=date(2026, 8, 5),
            taste_shift_days=days,
            taste_shift_back_on=date(2026, 8, 10),
            new_people_a_day=20,
        )
    )
    world.advance(date(2026, 8, 4))
    before = world.users.tastes.copy()
    world.advance(date(2026, 8, 9))
    during = world.users.tastes.copy()
    world.advance(date(2026, 8, 12))
    np.testing.assert_array_equal(world.users.tastes[: len(before)], before)
    joined_meanwhile = slice(len(before), len(during))
    np.testing.assert_array_equal(world.users.tastes[joined_meanwhile], during[joined_meanwhile])
    assert np.abs(during[: len(before)] - before).mean() > 0.05


@pytest.mark.parametrize("on", [None, date(2026, 8, 10), date(2026, 8, 12)])
def test_a_shift_comes_back_only_after_it_began(on: date | None) -> None:
    with pytest.raises(ValidationError, match="taste_shift_back_on 2026-08-10 needs an earlier"):
        small_settings(taste_shift_on=on, taste_shift_back_on=date(2026, 8, 10))


def test_users_go_on_finding_tracks() -> None:
    world = World(small_settings(sessions_a_day=300, tracks=2000))
    known: set[tuple[int, int]] = set()
    found = {"first": 0, "last": 0}
    for session in read_world(world, "listen_history", NOW):
        for track in session["items"]:
            pair = session["user_id"], track
            found["last" if session["created_at"].day > 21 else "first"] += pair not in known
            known.add(pair)
    assert found["last"] > 0.5 * found["first"] / 3
