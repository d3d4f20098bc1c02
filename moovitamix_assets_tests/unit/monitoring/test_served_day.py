"""A day as it is read: which recommendations count, with which role, and which do not."""

from datetime import date, timedelta

import pytest

from foundation.models import promotions
from moovitamix_assets.monitoring.served_day import has_recommendations, read_served_day
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import SHADOW_RECOMMENDATIONS
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_session, add_tracks, add_users

DAY = date(2026, 9, 10)
BEFORE = DAY - timedelta(days=1)
ANN, BEN = 1, 2


@pytest.fixture
def warehouse(tmp_path):
    """Ann and Ben play something new on the day."""
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        long_ago = date(2026, 6, 1)
        add_users(connection, long_ago, ANN, BEN)
        add_tracks(connection, long_ago, *range(30, 50))
        for user in (ANN, BEN):
            add_session(connection, long_ago, user, [40])
            add_session(connection, DAY, user, [31])
        yield connection


def recommend(warehouse, version, *, shadow=False, users=(ANN, BEN)):
    for user in users:
        add_list(warehouse, BEFORE, user, [31, 45], version, *([SHADOW_RECOMMENDATIONS] if shadow else []))


def promote(warehouse, version, on=date(2026, 9, 1)):
    promotions.insert_decision(warehouse, version, on, "promoted", "Better.", {}, None)


def roles(warehouse):
    served = read_served_day(warehouse, DAY)
    return served.served.role, {
        version: shadow.role for shadow in served.shadows for version in shadow.rows["model_version"]
    }


def test_without_recommendations_or_anything_new_there_is_nothing_to_measure(warehouse):
    assert read_served_day(warehouse, DAY) is None
    recommend(warehouse, "v")
    assert read_served_day(warehouse, DAY) is not None
    add_users(warehouse, DAY, 5)
    add_session(warehouse, DAY + timedelta(days=1), 5, [45])  # no recommendations yet
    assert read_served_day(warehouse, DAY + timedelta(days=1)) is None
    add_session(warehouse, BEFORE, ANN, [40])
    assert read_served_day(warehouse, BEFORE) is None
    assert has_recommendations(warehouse, BEFORE)
    assert not has_recommendations(warehouse, DAY)


def test_shadows_alone_are_no_recommendations(warehouse):
    recommend(warehouse, "w", shadow=True)
    assert not has_recommendations(warehouse, BEFORE)
    assert read_served_day(warehouse, DAY) is None


def test_a_model_that_serves_some_is_the_champion_and_what_is_in_shadow_its_challenger(warehouse):
    promote(warehouse, "v")
    recommend(warehouse, "v", users=[ANN])
    recommend(warehouse, "popularity", users=[BEN])
    recommend(warehouse, "w", shadow=True)
    assert roles(warehouse) == ("champion", {"w": "challenger"})


def test_popular_tracks_for_all_are_a_fallback_and_the_champion_is_in_shadow_with_its_challenger(warehouse):
    promote(warehouse, "v")
    recommend(warehouse, "popularity")
    recommend(warehouse, "v", shadow=True)
    recommend(warehouse, "w", shadow=True, users=[BEN])
    assert roles(warehouse) == ("fallback", {"v": "champion", "w": "challenger"})


def test_before_the_first_champion_popular_tracks_serve_too(warehouse):
    recommend(warehouse, "popularity")
    recommend(warehouse, "w", shadow=True)
    assert roles(warehouse) == ("fallback", {"w": "challenger"})


def test_a_challenger_promoted_since_was_measured_as_a_challenger(warehouse):
    """Its recommendations were computed before the decision, and those of the old champion were served."""
    promote(warehouse, "v")
    recommend(warehouse, "v")
    recommend(warehouse, "w", shadow=True)
    promote(warehouse, "w", on=BEFORE)
    assert roles(warehouse) == ("champion", {"w": "challenger"})


def test_the_days_of_popularity_end_with_the_day_before(warehouse):
    recommend(warehouse, "v")
    for days, track in ((1, 41), (3, 42), (4, 43), (7, 44), (8, 45), (30, 46), (31, 47)):
        add_session(warehouse, DAY - timedelta(days=days), BEN, [track])
    tracks = read_served_day(warehouse, DAY).tracks.set_index("track_id")
    assert {
        days: set(tracks.index[tracks[f"plays_last_{days}_days"] > 0]) for days in (3, 7, 30)
    } == {3: {41, 42}, 7: {41, 42, 43, 44}, 30: {41, 42, 43, 44, 45, 46}}  # fmt: skip
