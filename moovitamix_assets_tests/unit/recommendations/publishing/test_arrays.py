"""Arrays hold the rows they were made of, neither more nor less, in the orders that they promise."""

from datetime import date

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moovitamix_assets.recommendations.publishing.arrays import (
    RecommendedRows,
    arm_arrays,
    ranked_tracks,
    track_arrays,
)
from moovitamix_assets.recommendations.publishing.layout import NO_TRACK, REASON_CODES
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.genre_popularity import genre_popularity
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets_tests.unit.training.worlds import taste_world

TRACK_IDS = np.arange(10, 20) * 7


@st.composite
def recommended(draw, least=-5, most=10**12):
    """Some users, each with some distinct tracks, and a source of their own."""
    ids = sorted(draw(st.sets(st.integers(least, most), max_size=5)))
    tracks = [draw(st.lists(st.sampled_from(TRACK_IDS), min_size=1, max_size=6, unique=True)) for _ in ids]
    sources = [draw(st.integers(0, 2)) for _ in ids]
    lengths = [len(each) for each in tracks]
    scores = draw(st.lists(st.floats(-3, 3, width=32), min_size=sum(lengths), max_size=sum(lengths)))
    return RecommendedRows(
        users=np.repeat(np.array(ids, np.int64), lengths),
        ranks=np.concatenate([np.arange(1, length + 1) for length in lengths] or [[]]).astype(np.int16),
        tracks=np.concatenate([*tracks, []]).astype(np.int64),
        scores=np.array(scores, np.float32),
        sources=np.repeat(np.array(sources, np.uint8), lengths),
    )


def rows_of(arm, user_ids):
    """An arm as rows again: user, rank, track, score, source."""
    return [
        (user, place + 1, TRACK_IDS[position], arm.scores[row, place], arm.sources[row])
        for row, user in enumerate(user_ids)
        for place, position in enumerate(arm.positions[row])
        if position != NO_TRACK
    ]


def as_tuples(rows):
    return list(zip(rows.users, rows.ranks, rows.tracks, rows.scores, rows.sources, strict=True))


OLD = np.zeros(len(TRACK_IDS), np.bool_)


@given(rows=recommended(), more=st.integers(0, 3))
@settings(deadline=None)
def test_an_arm_holds_the_rows_and_nothing_else(rows, more):
    arm = arm_arrays(rows, rows.user_ids, TRACK_IDS, OLD, rows.length + more)
    assert arm.positions.shape == (len(rows.user_ids), rows.length + more)
    assert rows_of(arm, rows.user_ids) == as_tuples(rows)


@given(rows=recommended(1, 8), shadow=recommended(1, 8))
@settings(deadline=None)
def test_users_without_rows_in_an_arm_get_those_of_the_other(rows, shadow):
    user_ids, length = np.arange(1, 9), max(rows.length, shadow.length)
    champion = arm_arrays(rows, user_ids, TRACK_IDS, OLD, length)
    before = rows_of(champion, user_ids)
    challenger = arm_arrays(shadow, user_ids, TRACK_IDS, OLD, length, otherwise=champion)
    kept = [row for row in as_tuples(rows) if row[0] not in shadow.users]
    assert sorted(rows_of(challenger, user_ids)) == sorted([*as_tuples(shadow), *kept])
    assert rows_of(champion, user_ids) == before


def one_row(source, score, track=TRACK_IDS[0]):
    return RecommendedRows(
        np.array([1]),
        np.array([1], np.int16),
        np.array([track]),
        np.array([score], np.float32),
        np.array([source], np.uint8),
    )


@pytest.mark.parametrize(
    ("source", "score", "new", "reason"),
    [
        (0, 0.5, False, "taste"),
        (0, 2.5, True, "new_track"),
        (1, 1.5, True, "favorite_genre"),
        (1, 1.0, False, "popular"),
        (2, 1.0, True, "popular"),
    ],
)
def test_the_reason_follows_from_source_genre_and_age(source, score, new, reason):
    arm = arm_arrays(one_row(source, score), np.array([1]), TRACK_IDS, np.full(len(TRACK_IDS), new), 1)
    assert REASON_CODES[arm.reasons[0, 0]] == reason


def test_a_cold_start_shares_a_genre_where_the_ranking_says_so():
    plays = np.array([9.0, 5.0, 5.0, 0.0])
    users, tracks = genre_popularity([["Pop"], None], [["rock"], ["pop", "rock"], None, ["POP"]], plays)
    rows = [
        arm_arrays(one_row(1, score), np.array([1]), TRACK_IDS, OLD, 1).reasons[0, 0]
        for score in (users @ tracks.T).ravel()
    ]
    assert [REASON_CODES[code] == "favorite_genre" for code in rows] == [False, True, False, True] + [
        False
    ] * 4


@pytest.mark.parametrize("unknown", [TRACK_IDS[0] - 1, TRACK_IDS[0] + 1, TRACK_IDS[-1] + 1])
def test_a_track_that_is_not_in_the_catalogue_is_refused(unknown):
    with pytest.raises(ValueError, match=f"track {unknown} is recommended and not known"):
        arm_arrays(one_row(0, 1.0, unknown), np.array([1]), TRACK_IDS, OLD, 1)


@pytest.mark.parametrize("gap", [1, 1000])
def test_an_id_between_others_is_refused_whether_they_lie_close_or_far_apart(gap):
    ids = np.arange(5) * 2 * gap
    rows = RecommendedRows(
        np.repeat(np.arange(20), 5),
        np.tile(np.arange(1, 6, dtype=np.int16), 20),
        np.tile(ids, 20),
        np.zeros(100, np.float32),
        np.zeros(100, np.uint8),
    )
    arm = arm_arrays(rows, rows.user_ids, ids, np.zeros(5, np.bool_), 5)
    assert (arm.positions == np.arange(5)).all()
    rows.tracks[7] = gap
    with pytest.raises(ValueError, match=f"track {gap} is recommended"):
        arm_arrays(rows, rows.user_ids, ids, np.zeros(5, np.bool_), 5)


def catalogue():
    return pd.DataFrame(
        {
            "track_id": [3, 5, 8, 9],
            "name": ["Ätna", None, 'He said "no"', "d"],
            "artist": ["A", "B", None, "D"],
            "genres": [["Pop", "pop"], None, ["Rock", "POP"], []],
            "created_at": pd.to_datetime(["2026-09-01 00:00", None, "2026-09-03 12:00", "2026-09-01 00:00"]),
        }
    )


def test_tracks_are_shown_as_json_whatever_is_missing():
    arrays = track_arrays(catalogue(), None)
    blob = arrays.texts.tobytes()
    shown = [
        orjson.loads(blob[a:b]) for a, b in zip(arrays.text_starts, arrays.text_starts[1:], strict=False)
    ]
    assert shown[0] == {
        "track_id": 3,
        "name": "Ätna",
        "artist": "A",
        "genres": ["Pop", "pop"],
        "created_at": "2026-09-01T00:00:00Z",
    }
    assert shown[1] == {"track_id": 5, "name": None, "artist": "B", "genres": [], "created_at": None}
    assert shown[2]["name"] == 'He said "no"'
    assert not arrays.in_model.any()


def test_common_orders_go_by_plays_and_by_age_and_ties_by_id():
    ranked, genres = ranked_tracks(catalogue(), np.array([1, 4, 2, 4]))
    assert ranked.popular.tolist() == [1, 3, 2, 0]
    assert ranked.newest.tolist() == [2, 0, 3]
    starts = ranked.genre_starts
    by_genre = {genre: ranked.of_genres[starts[n] : starts[n + 1]].tolist() for n, genre in enumerate(genres)}
    assert by_genre == {"pop": [2, 0], "rock": [2]}


def test_an_empty_catalogue_has_its_arrays_too():
    ranked, genres = ranked_tracks(catalogue().iloc[:0], np.zeros(0))
    assert (genres, ranked.genre_starts.tolist(), len(ranked.popular)) == ([], [0], 0)
    assert track_arrays(catalogue().iloc[:0], None).text_starts.tolist() == [0]


def test_the_vectors_of_the_model_are_in_the_rows_of_its_tracks():
    world = taste_world(users=20, tracks=30, listens=400)
    recipe = Recipe((WeightedComponent(LightFM(embedding_size=4, epochs=1), 1.0),))
    model = Recommender.fit(world, recipe, Settings().training, cutoff="as_of")
    known = model.track_ids[5:]
    ids = np.sort(np.append(known, [1, 10**9]))
    tracks = pd.DataFrame(
        {
            "track_id": ids,
            "name": "n",
            "artist": "a",
            "genres": None,
            "created_at": pd.Timestamp(date.today()),
        }
    )
    arrays = track_arrays(tracks, model)
    embeddings, biases = model.track_embeddings()
    assert ids[arrays.in_model].tolist() == known.tolist()
    assert (arrays.embeddings[arrays.in_model] == embeddings[5:]).all()
    assert (arrays.biases[arrays.in_model] == biases[5:]).all()
    assert not arrays.embeddings[~arrays.in_model].any()
