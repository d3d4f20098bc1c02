"""What was known on a day, from rows put in by hand: newest versions only, and nothing after the day."""

from datetime import date, datetime, timedelta

import pytest

from moovitamix_assets.warehouse.as_of import (
    anything_played_before,
    ever_played,
    first_played_on,
    interactions_as_of,
    listens_changed,
    tracks_as_of,
    tracks_changed,
    users_as_of,
    users_changed,
)
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.warehouse.rows import add_session, add_tracks, add_users

DAY = date(2026, 9, 10)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
ANN, BEN = 1, 2


@pytest.fixture
def warehouse(tmp_path):
    """Ann and Ben, and the tracks 10 to 14, known for long."""
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        add_users(connection, date(2026, 8, 1), ANN, BEN)
        add_tracks(connection, date(2026, 8, 1), 10, 11, 12, 13, 14)
        yield connection


def pairs(frame):
    return list(frame[["user_id", "track_id"]].itertuples(index=False, name=None))


def test_first_played_are_the_tracks_the_user_had_not_played_the_day_before(warehouse):
    add_session(warehouse, BEFORE, ANN, [10, 11])
    add_session(warehouse, BEFORE, BEN, [12])
    add_session(warehouse, DAY, ANN, [11, 12, 12])
    add_session(warehouse, AFTER, ANN, [13])
    assert pairs(first_played_on(warehouse, DAY)) == [(ANN, 12)]
    assert pairs(first_played_on(warehouse, AFTER)) == [(ANN, 13)]


def test_a_session_that_grows_adds_only_what_it_grew_by(warehouse):
    began = datetime(2026, 9, 9, 23)
    add_session(warehouse, BEFORE, ANN, [10, 11], began)
    add_session(warehouse, DAY, ANN, [10, 11, 12], began)
    assert pairs(first_played_on(warehouse, DAY)) == [(ANN, 12)]


def test_what_a_session_lost_before_the_day_counts_as_unplayed(warehouse):
    began = datetime(2026, 9, 8)
    add_session(warehouse, date(2026, 9, 8), ANN, [10, 11], began)
    add_session(warehouse, BEFORE, ANN, [10], began)
    add_session(warehouse, DAY, ANN, [10, 11])
    assert pairs(first_played_on(warehouse, DAY)) == [(ANN, 11)]
    assert ever_played(warehouse, BEFORE, [10, 11]) == {10}
    assert ever_played(warehouse, date(2026, 9, 8), [10, 11]) == {10, 11}


def test_a_track_counts_from_the_day_on_which_it_is_known(warehouse):
    add_tracks(warehouse, DAY, 20)
    add_tracks(warehouse, AFTER, 21)
    add_session(warehouse, DAY, ANN, [20, 21])
    assert pairs(first_played_on(warehouse, DAY)) == [(ANN, 20)]


def test_played_asks_about_the_named_tracks_only(warehouse):
    add_session(warehouse, BEFORE, ANN, [10, 11])
    add_session(warehouse, DAY, BEN, [12])
    assert ever_played(warehouse, BEFORE, [11, 12, 13]) == {11}
    assert ever_played(warehouse, DAY, [12]) == {12}
    assert ever_played(warehouse, DAY, []) == set()


def test_plays_of_some_users_are_theirs_among_all(warehouse):
    add_session(warehouse, BEFORE, ANN, [10, 11])
    add_session(warehouse, DAY, ANN, [10])
    add_session(warehouse, DAY, BEN, [12])
    all_plays = interactions_as_of(warehouse, DAY, {})
    assert all_plays["plays"].tolist() == [2, 1, 1]
    for user in (ANN, BEN):
        own = interactions_as_of(warehouse, DAY, {}, users=[user])
        expected = all_plays[all_plays["user_id"] == user].reset_index(drop=True)
        assert own.to_dict("list") == expected.to_dict("list")
    assert interactions_as_of(warehouse, DAY, {}, users=[]).empty


def test_decayed_plays_halve_each_week_and_stop_at_their_cut(warehouse):
    add_tracks(warehouse, BEFORE, 10)
    add_session(warehouse, BEFORE, ANN, [10])
    add_session(warehouse, DAY, ANN, [10])
    age = (DAY - BEFORE).days
    week_later = DAY + timedelta(days=7)
    decayed = interactions_as_of(warehouse, DAY, {}, decayed_cuts={"then": DAY, "later": week_later})
    assert decayed["then"].tolist() == [round(1000 * 0.5 ** (age / 7))]
    assert decayed["later"].tolist() == [500 + round(1000 * 0.5 ** ((age + 7) / 7))]


def test_recent_plays_are_those_of_thirty_days_in_the_newest_version(warehouse):
    add_session(warehouse, date(2026, 8, 11), ANN, [10], datetime(2026, 8, 11, 23, 59))
    add_session(warehouse, date(2026, 8, 12), ANN, [11], datetime(2026, 8, 12))
    add_session(warehouse, date(2026, 8, 13), ANN, [12], datetime(2026, 8, 13, 1))
    add_session(warehouse, DAY, ANN, [13], datetime(2026, 8, 13, 1))
    add_session(warehouse, AFTER, ANN, [14])
    tracks = tracks_as_of(warehouse, DAY, {"earlier": date(2026, 9, 10)}).set_index("track_id")
    assert tracks["plays_last_30_days"].to_dict() == {10: 0, 11: 1, 12: 0, 13: 1, 14: 0}
    assert tracks["earlier"].to_dict() == {10: 1, 11: 1, 12: 0, 13: 1, 14: 0}


def test_changed_listens_are_the_newest_versions_of_the_days_sessions(warehouse):
    began = datetime(2026, 9, 9, 23)
    add_tracks(warehouse, DAY, 10, genres=["Jazz"])
    add_tracks(warehouse, AFTER, 10, genres=["Metal"])
    add_session(warehouse, BEFORE, ANN, [10], began)
    add_session(warehouse, DAY, ANN, [11, 10], began)
    add_session(warehouse, BEFORE, BEN, [13], began)
    add_session(warehouse, DAY, BEN, [99])
    add_session(warehouse, DAY, BEN, [12], datetime(2026, 7, 1))
    both = listens_changed(warehouse, BEFORE, DAY)
    assert both["track_id"].tolist() == [11, 10, 13, 99]
    assert [list(genres) for genres in both["genres"].dropna()] == [["Pop"], ["Jazz"], ["Pop"]]
    assert listens_changed(warehouse, BEFORE, BEFORE)["track_id"].tolist() == [10, 13]
    assert listens_changed(warehouse, DAY, DAY)["track_id"].tolist() == [11, 10, 99]


def test_changed_users_come_without_their_names(warehouse):
    add_users(warehouse, DAY, BEN, 3, email="ben@example.org", first_name="Ben")
    add_tracks(warehouse, DAY, 14, 20)
    changed = users_changed(warehouse, DAY)
    assert changed["user_id"].tolist() == [BEN, 3]
    assert changed.columns.tolist() == ["user_id", "favorite_genres", "gender"]
    assert tracks_changed(warehouse, DAY)["track_id"].tolist() == [14, 20]


def test_users_and_tracks_of_the_day_itself_are_known_in_their_newest_version(warehouse):
    add_users(warehouse, BEFORE, BEN, favorite_genres=["Metal"])
    add_users(warehouse, DAY, BEN, 3, favorite_genres=["Jazz"])
    add_users(warehouse, AFTER, BEN, 4, favorite_genres=["Techno"])
    add_tracks(warehouse, BEFORE, 10, genres=["Metal"])
    add_tracks(warehouse, DAY, 10, 20, genres=["Jazz"])
    add_tracks(warehouse, AFTER, 10, 21, genres=["Techno"])
    users, tracks = users_as_of(warehouse, DAY), tracks_as_of(warehouse, DAY)
    assert users["user_id"].tolist() == [ANN, BEN, 3]
    assert users["favorite_genres"].map(list).tolist() == [["Pop"], ["Jazz"], ["Jazz"]]
    assert tracks["track_id"].tolist() == [10, 11, 12, 13, 14, 20]
    assert tracks["genres"].map(list).tolist() == [["Jazz"], *[["Pop"]] * 4, ["Jazz"]]


def test_a_play_at_the_first_instant_of_a_cut_is_not_before_it(warehouse):
    midnight = datetime(2026, 9, 10)
    add_session(warehouse, BEFORE, ANN, [10], midnight - timedelta(microseconds=1))
    add_session(warehouse, DAY, ANN, [11], midnight)
    plays = interactions_as_of(warehouse, DAY, {"before": DAY}, decayed_cuts={"decayed": DAY})
    assert plays["plays"].tolist() == [1, 1]
    assert plays["before"].tolist() == [1, 0]
    assert plays["decayed"].tolist() == [round(1000 * 0.5 ** (1 / 7)), 0]
    tracks = tracks_as_of(warehouse, DAY, {"before": DAY}).set_index("track_id")
    assert tracks["before"].loc[[10, 11]].tolist() == [1, 0]
    assert tracks["plays_last_30_days"].loc[[10, 11]].tolist() == [1, 1]


def test_popularity_before_a_cut_begins_with_the_first_instant_of_its_thirtieth_day(warehouse):
    first = datetime(2026, 8, 11)
    add_session(warehouse, date(2026, 8, 10), ANN, [10], first - timedelta(microseconds=1))
    add_session(warehouse, date(2026, 8, 11), ANN, [11], first)
    tracks = tracks_as_of(warehouse, DAY, {"before": DAY}).set_index("track_id")
    assert tracks["before"].loc[[10, 11]].tolist() == [0, 1]


def test_nothing_at_all_was_played_before_the_first_play(warehouse):
    midnight = datetime(2026, 9, 10)
    add_session(warehouse, DAY, ANN, [10], midnight)
    add_session(warehouse, BEFORE, 99, [10])
    add_session(warehouse, BEFORE, ANN, [99])
    assert not anything_played_before(warehouse, DAY, DAY)
    assert anything_played_before(warehouse, DAY, AFTER)
    assert not anything_played_before(warehouse, BEFORE, AFTER)


def test_plays_of_unknown_users_and_tracks_wait_until_these_are_known(warehouse):
    add_session(warehouse, BEFORE, ANN, [10, 98])
    add_session(warehouse, BEFORE, 99, [10])
    assert pairs(interactions_as_of(warehouse, DAY, {})) == [(ANN, 10)]
    add_users(warehouse, AFTER, 99)
    add_tracks(warehouse, AFTER, 98)
    assert pairs(interactions_as_of(warehouse, DAY, {})) == [(ANN, 10)]
    assert pairs(interactions_as_of(warehouse, AFTER, {})) == [(ANN, 10), (ANN, 98), (99, 10)]
