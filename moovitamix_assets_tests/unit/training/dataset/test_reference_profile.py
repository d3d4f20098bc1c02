"""Profiles of a few rows worked out by hand, and what any profile must be."""

import json
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moovitamix_assets.training.dataset.reference_profile import (
    POPULARITY_COLUMN,
    UNKNOWN,
    from_json,
    popularity_bins,
    profile,
    to_json,
)

MORNING, EVENING = datetime(2026, 9, 1, 8, 30), datetime(2026, 9, 1, 20)
USERS = pd.DataFrame(
    {"favorite_genres": [["Pop"], ["pop", "Jazz"], None], "gender": ["Female", None, "Agender"]}
)
TRACKS = pd.DataFrame({"genres": [["Pop"], None, ["Pop", "Rock"]], "duration_seconds": [180, 200, None]})
POPULARITY = pd.DataFrame({"track_id": [1, 2, 3], POPULARITY_COLUMN: [95, 5, 0]})


def listens(*rows):
    return pd.DataFrame(rows, columns=["user_id", "listened_at", "track_id", "genres"])


PLAYED = listens(
    (7, MORNING, 1, ["Pop"]),
    (7, MORNING, 2, ["Jazz", "Rock"]),
    (7, MORNING, 3, None),
    (7, EVENING, 1, ["Pop"]),
    (8, MORNING, 9, None),
)


def described(played=PLAYED, users=USERS, tracks=TRACKS):
    return profile(played, users, tracks, POPULARITY)


def test_what_a_session_played_is_one_observation_shared_out():
    found = described()
    assert found["listen_hour"].rows == 3
    assert found["listen_hour"].shares == pytest.approx({"8": 2 / 3, "20": 1 / 3}, abs=1e-6)
    assert found["session_length"].shares == pytest.approx({"3": 1 / 3, "1": 2 / 3}, abs=1e-6)
    # The first session is a third each of pop, jazz and rock, the second all pop, the third is of nothing known.
    assert found["listen_genre"].rows == 2
    assert found["listen_genre"].shares == pytest.approx(
        {"pop": 4 / 6, "jazz": 1 / 6, "rock": 1 / 6}, abs=1e-6
    )
    # Track 1 is in the group of the most played; 3 had no plays, 9 is unknown.
    assert found["listen_popularity"].rows == 2
    assert found["listen_popularity"].shares == {"4": 0.75, "9": 0.25}


def test_users_and_tracks_are_observations_of_their_own():
    found = described()
    assert found["user_genre"].rows == 2
    assert found["user_genre"].shares == {"pop": 0.75, "jazz": 0.25}
    assert found["user_gender"].shares == pytest.approx(
        {"Female": 1 / 3, "Agender": 1 / 3, UNKNOWN: 1 / 3}, abs=1e-6
    )
    assert found["track_genre"].shares == {"pop": 0.75, "rock": 0.25}
    assert found["track_duration"].rows == 2
    assert found["track_duration"].shares == {"180": 0.5, "200": 0.5}


def test_nothing_at_all_has_no_rows_and_leaves_no_trace():
    found = described(PLAYED.iloc[:0], USERS.iloc[:0], TRACKS.iloc[:0])
    assert {distribution.rows for distribution in found.values()} == {0}
    assert to_json(found) == {}


def test_a_profile_survives_the_manifest_and_does_not_depend_on_order():
    written = json.dumps(to_json(described()), sort_keys=True)
    assert from_json(json.loads(written)) == described()
    shuffled = described(PLAYED.iloc[::-1], USERS.iloc[::-1], TRACKS.iloc[::-1])
    assert json.dumps(to_json(shuffled), sort_keys=True) == written


def test_groups_of_popularity_hold_about_equally_many_plays():
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"track_id": range(500), POPULARITY_COLUMN: random.zipf(1.7, 500).clip(0, 300)})
    groups = popularity_bins(frame)
    plays = frame.set_index("track_id")[POPULARITY_COLUMN].groupby(groups).sum()
    assert groups.min() == 0
    assert groups.max() == 9
    assert (plays / plays.sum()).between(0.05, 0.15).all()
    most = frame.set_index("track_id")[POPULARITY_COLUMN].groupby(groups).max()
    assert most.is_monotonic_decreasing


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3000))
def test_many_different_numbers_are_thinned_and_hardly_moved(seed, count):
    random = np.random.default_rng(seed)
    durations = random.lognormal(5.4, 0.6, count).astype(int)
    tracks = pd.DataFrame({"genres": None, "duration_seconds": durations})
    found = described(tracks=tracks)["track_duration"]
    assert found.rows == count
    assert len(found.shares) <= 256
    numbers = np.array(sorted(map(int, found.shares)))
    shares = np.array([found.shares[str(number)] for number in numbers])
    assert shares.sum() == pytest.approx(1, abs=1e-3)
    exact = (durations[:, None] <= numbers).mean(axis=0)
    assert np.abs(shares.cumsum() - exact).max() < 1e-3
    assert numbers[-1] == durations.max()
    every = np.unique(durations)
    reached = np.concatenate([[0.0], shares.cumsum()])[np.searchsorted(numbers, every, side="right")]
    assert np.abs(reached - (durations[:, None] <= every).mean(axis=0)).max() < 1 / 255 + 1e-3
