"""What is planted in the world can be found in it, and is gone where the settings say so."""

from collections import Counter
from datetime import date, datetime

import pytest

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
