"""Distances against SciPy's own, what they must be for any data, and that chance alone raises no alarm."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from foundation.tables import to_arrow
from moovitamix_assets.monitoring.drift import (
    Reference,
    Today,
    drift_rows,
    read_reference,
    read_today,
)
from moovitamix_assets.training.dataset.reference_profile import (
    POPULARITY_COLUMN,
    from_json,
    profile,
    to_json,
)
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import DRIFT
from moovitamix_assets_tests.unit.training.worlds import taste_world
from moovitamix_assets_tests.unit.warehouse.rows import add_session, add_tracks, add_users

DAY = date(2026, 10, 20)


def sessions(random, count, users, tracks, weights, day):
    """Sessions of four tracks drawn by weight."""
    rows = []
    for number in range(count):
        began = datetime.combine(day, datetime.min.time()) + timedelta(seconds=int(random.integers(86400)))
        user = int(random.choice(users))
        for track in random.choice(len(tracks), int(random.integers(2, 6)), p=weights):
            rows.append((user, began + timedelta(microseconds=number), tracks["track_id"].iloc[track]))
    frame = pd.DataFrame(rows, columns=["user_id", "listened_at", "track_id"])
    return frame.merge(tracks[["track_id", "genres"]], on="track_id", how="left")


@pytest.fixture(scope="module")
def world():
    return taste_world(users=300)


@pytest.fixture(scope="module")
def weights(world):
    plays = world.tracks["plays_last_30_days"].to_numpy(float) + 1
    return plays / plays.sum()


@pytest.fixture(scope="module")
def reference(world, weights):
    random = np.random.default_rng(5)
    week = sessions(random, 2100, world.users["user_id"], world.tracks, weights, DAY - timedelta(days=7))
    popularity = world.tracks[["track_id", POPULARITY_COLUMN]]
    described = profile(week, world.users, world.tracks, popularity)
    # As it comes back from the manifest.
    return Reference(
        from_json(json.loads(json.dumps(to_json(described)))),
        popularity,
        world.users["user_id"].to_numpy(),
    )


def a_day(world, weights, seed, count=300):
    random = np.random.default_rng(seed)
    return Today(
        day=DAY,
        listens=sessions(random, count, world.users["user_id"], world.tracks, weights, DAY),
        users=world.users.sample(250, random_state=seed),
        tracks=world.tracks.sample(110, random_state=seed),
    )


def rows_of(today, reference, *, drift_threshold=0.15, minimum_rows=100):
    rows = drift_rows(today, reference, drift_threshold=drift_threshold, minimum_rows=minimum_rows)
    assert to_arrow(DRIFT, rows).num_rows == len(rows)
    return rows.set_index("feature")


def test_days_of_the_same_world_do_not_drift_however_low_the_threshold(world, weights, reference):
    for seed in range(20):
        rows = rows_of(a_day(world, weights, seed), reference, drift_threshold=1e-9)
        assert set(rows.index) == {
            "listen_hour", "listen_genre", "listen_popularity", "session_length", "user_genre",
            "user_gender", "track_genre", "track_duration", "unknown_tracks", "unknown_people",
        }  # fmt: skip
        assert not rows["drifted"].any(), rows


def test_another_taste_another_rhythm_and_strangers_drift_each_where_it_shows(world, weights, reference):
    usual = a_day(world, weights, 3)
    jazz = world.tracks["genres"].str[0] == "jazz"
    jazzy = sessions(
        np.random.default_rng(1), 300, world.users["user_id"], world.tracks,
        np.where(jazz, weights, 0) / weights[jazz].sum(), DAY,
    )  # fmt: skip
    by_midnight = usual.listens.assign(listened_at=usual.listens["listened_at"].dt.floor("D"))
    strangers = usual.listens.assign(user_id=usual.listens["user_id"] + 1)
    unknown_tracks_only = usual.listens.assign(track_id=usual.listens["track_id"] + 1)
    first_two = usual.listens[usual.listens.groupby(["user_id", "listened_at"]).cumcount() < 2]

    def drifted(listens):
        rows = rows_of(Today(DAY, listens, usual.users, usual.tracks), reference)
        return set(rows.index[rows["drifted"]])

    assert drifted(usual.listens) == set()
    assert "listen_genre" in drifted(jazzy)
    assert "listen_hour" in drifted(by_midnight)
    assert drifted(strangers) == {"unknown_people"}
    assert drifted(unknown_tracks_only) == {"unknown_tracks"}
    assert drifted(first_two) == {"session_length"}


def test_the_unplayed_played_as_much_as_the_favourites_drift(world, weights, reference):
    turned = a_day(world, np.sort(weights)[np.argsort(np.argsort(-weights, kind="stable"))], 3)
    assert rows_of(turned, reference).loc["listen_popularity", "drifted"]


def test_shares_are_of_listens_and_of_listeners(world, weights, reference):
    usual = a_day(world, weights, 3)
    half = usual.listens.copy()
    half.loc[half.index[::2], "track_id"] += 1
    few = half["user_id"] == half["user_id"].iloc[0]
    half.loc[few, "user_id"] += 1
    rows = rows_of(Today(DAY, half, usual.users, usual.tracks), reference)
    assert rows.loc["unknown_tracks", "value"] == pytest.approx(0.5, abs=0.001)
    assert rows.loc["unknown_people", "value"] == pytest.approx(1 / half["user_id"].nunique())
    spread = 3.0902 * np.sqrt(0.15 * 0.85 / 300)
    assert rows.loc["unknown_tracks", "threshold"] == pytest.approx(0.15 + spread, rel=1e-3)


def test_few_rows_are_not_judged_and_raise_the_threshold(world, weights, reference):
    small = a_day(world, weights, 4, count=120)
    judged = set(rows_of(small, reference, minimum_rows=121).index)
    assert judged == {"user_genre", "user_gender"}
    assert rows_of(small, reference).loc["listen_hour", "threshold"] > 0.15
    assert rows_of(a_day(world, weights, 4, count=900), reference).loc["listen_genre", "threshold"] == 0.15


def test_a_day_with_as_many_rows_as_are_asked_for_is_judged(world, weights, reference):
    usual = a_day(world, weights, 4, count=120)
    users = usual.listens["user_id"].nunique()
    assert users < 110 < 120
    assert {"listen_hour", "session_length", "unknown_tracks"} <= set(
        rows_of(usual, reference, minimum_rows=120).index
    )
    assert "unknown_people" in rows_of(usual, reference, minimum_rows=users).index
    assert "unknown_people" not in rows_of(usual, reference, minimum_rows=users + 1).index


def test_what_equals_its_threshold_has_not_drifted(world, weights, reference):
    usual = a_day(world, weights, 4)
    far = replace(usual, listens=usual.listens.assign(genres=[["Polka"]] * len(usual.listens)))
    value = rows_of(far, reference, drift_threshold=1e-9).loc["listen_genre", "value"]
    assert not rows_of(far, reference, drift_threshold=value).loc["listen_genre", "drifted"]
    assert rows_of(far, reference, drift_threshold=value * 0.999).loc["listen_genre", "drifted"]


def test_a_day_on_which_nothing_changed_has_no_rows(world, weights, reference):
    usual = a_day(world, weights, 3)
    nothing = Today(DAY, usual.listens.iloc[:0], usual.users.iloc[:0], usual.tracks.iloc[:0])
    assert rows_of(nothing, reference, minimum_rows=1).empty


def test_a_reference_is_read_from_a_training_set_or_is_not_there(tmp_path, world, reference):
    assert read_reference(tmp_path / "nowhere") is None
    world.write(tmp_path / "plain")
    assert read_reference(tmp_path / "plain") is None
    described = type(world)(world.as_of, world.users, world.tracks, world.interactions, reference.profile)
    described.write(tmp_path / "described")
    read = read_reference(tmp_path / "described")
    assert read is not None
    assert read.profile == reference.profile
    assert read.user_ids.tolist() == sorted(world.users["user_id"])
    assert read.popularity["track_id"].tolist() == sorted(world.tracks["track_id"])


def test_a_day_is_what_changed_on_it_alone(tmp_path):
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        for number in (1, 2, 3):
            on = DAY + timedelta(days=number - 2)
            add_users(connection, on, number)
            add_tracks(connection, on, 10 * number)
            add_session(connection, on, number, [10 * number])
        today = read_today(connection, DAY)
    assert today.day == DAY
    assert today.users["user_id"].tolist() == today.listens["user_id"].tolist() == [2]
    assert today.tracks["track_id"].tolist() == today.listens["track_id"].tolist() == [20]
