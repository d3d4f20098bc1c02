"""Which tracks a generation answers, in which order, for whom."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moovitamix_assets.recommendations.publishing.arrays import track_arrays
from moovitamix_assets.recommendations.publishing.layout import RankedTracks
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets_tests.unit.training.worlds import taste_world
from moovitamix_serving.generation.snapshot import Snapshot
from moovitamix_serving_tests.publications import TRACKS, USERS, publication, with_challenger

NOW = 0.0


@pytest.fixture
def snapshot():
    return Snapshot("000001-x", publication())


def ids(ranking):
    return [TRACKS[row] for row in ranking.positions]


def test_a_user_gets_what_was_published_and_no_more_than_asked_for(snapshot):
    assert ids(snapshot.recommend(7, 10, NOW)) == [10, 11, 12]
    ranking = snapshot.recommend(7, 2, NOW)
    assert (ids(ranking), ranking.source, ranking.stale) == ([10, 11], "model", False)
    assert ranking.scores == pytest.approx([3 / 7, 2 / 7])
    cold = snapshot.recommend(12103, 3, NOW)
    assert (ids(cold), cold.source, cold.reasons) == ([10, 11], "cold_start", [2, 2])


@given(user=st.integers(-(2**63), 2**63 - 1).filter(lambda user: user not in USERS))
@settings(deadline=None)
def test_anyone_else_is_a_cold_start(user):
    ranking = Snapshot("000001-x", publication()).recommend(user, 3, NOW)
    assert (ids(ranking), ranking.source, ranking.stale) == ([14, 13, 12], "cold_start", False)


def test_without_users_all_are_cold_starts():
    ranking = Snapshot("000001-x", publication(users=())).recommend(7, 2, NOW)
    assert (ids(ranking), ranking.source) == ([14, 13], "cold_start")


def test_an_empty_catalogue_has_empty_answers():
    tracks = track_arrays(
        pd.DataFrame({"track_id": [], "name": [], "artist": [], "genres": [], "created_at": []}), None
    )
    none = np.zeros(0, np.int32)
    ranked = RankedTracks(none, none, none, np.zeros(1, np.int64))
    made = publication(users=())
    made = replace(made, manifest=replace(made.manifest, genres=[]), tracks=tracks, ranked=ranked)
    snapshot = Snapshot("000001-x", made)
    for ranking in (
        snapshot.recommend(7, 3, NOW),
        snapshot.recommend_for_session([7], 3, NOW),
        snapshot.popular(3),
        snapshot.newest(3),
    ):
        assert ids(ranking) == []
    assert snapshot.similar(7, 3) is None


def test_from_the_moment_of_expiry_all_get_popular_tracks_marked_stale():
    snapshot = Snapshot("000001-x", publication(expires_at="1970-01-01T00:01:40Z"))
    assert not snapshot.recommend(7, 3, 99.9).stale
    for ranking in (snapshot.recommend(7, 3, 100.0), snapshot.recommend_for_session([13], 3, 100.0)):
        assert (ranking.source, ranking.stale) == ("popular", True)
    assert ids(snapshot.recommend_for_session([13], 3, 100.0)) == [14, 12, 11]


def test_the_challenger_answers_where_it_is_asked_for_and_there_is_one(snapshot):
    both = Snapshot("000001-x", with_challenger(publication(), "2026-09-28-bbbbbbbb"))
    assert ids(both.recommend(7, 3, NOW, "challenger")) == [12, 11, 10]
    assert ids(both.recommend(7, 3, NOW)) == ids(snapshot.recommend(7, 3, NOW, "challenger")) == [10, 11, 12]


def test_popular_and_new_tracks_come_in_their_order(snapshot):
    assert ids(snapshot.popular(2)) == ids(snapshot.newest(2)) == [14, 13]
    assert ids(snapshot.popular(9, "ROCK")) == [13, 11]
    assert ids(snapshot.popular(9, "jazz")) == []
    assert snapshot.popular(2).scores == [1.0, 0.8]


def test_a_session_of_unknown_tracks_gets_popular_ones_without_those_played(snapshot):
    ranking = snapshot.recommend_for_session([14, 999], 2, NOW)
    assert (ids(ranking), ranking.source) == ([13, 12], "cold_start")
    popular = Snapshot("000001-x", publication(version="popularity"))
    assert popular.recommend_for_session([10], 2, NOW).source == "popular"


def test_a_new_track_is_like_the_popular_ones_of_its_genre_and_an_unknown_one_like_none(snapshot):
    ranking = snapshot.similar(14, 2)
    assert (ids(ranking), ranking.source) == ([13, 12], "popular")
    assert snapshot.similar(15, 2) is None
    assert snapshot.similar(9, 2) is None


@pytest.fixture(scope="module")
def model():
    recipe = Recipe((WeightedComponent(LightFM(embedding_size=8, epochs=3), 1.0),))
    return Recommender.fit(taste_world(), recipe, Settings().training, cutoff="as_of")


@pytest.fixture(scope="module")
def of_model(model):
    """A generation with the vectors of a model, and a track that it does not know among the others."""
    track_ids = np.sort(np.append(model.track_ids, model.track_ids[3] + 1))
    frame = pd.DataFrame(
        {"track_id": track_ids, "name": "n", "artist": "a", "genres": None, "created_at": pd.NaT}
    ).astype({"created_at": "datetime64[us]"})
    return Snapshot("000001-x", replace(publication(), tracks=track_arrays(frame, model)))


def shown(snapshot, ranking):
    return [
        (int(snapshot.publication.tracks.ids[row]), score)
        for row, score in zip(ranking.positions, ranking.scores, strict=True)
    ]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_sessions_and_similar_tracks_are_those_of_the_model(data, model, of_model):
    played = data.draw(st.lists(st.sampled_from(model.track_ids.tolist()), min_size=1, max_size=5))
    k = data.draw(st.integers(1, len(model.track_ids) + 5))
    for found, expected in (
        (of_model.recommend_for_session(played, k, NOW), model.recommend_for_session(np.array(played), k)),
        (of_model.similar(played[0], k), model.similar_tracks(played[0], k)),
    ):
        assert len(found.positions) == min(k, len(expected))
        np.testing.assert_allclose(found.scores, [score for _, score in expected], rtol=1e-4, atol=1e-5)
        assert {track for track, _ in shown(of_model, found)} <= set(model.track_ids.tolist())
        if found.scores and len(set(np.round(found.scores, 4))) == len(found.scores):
            assert [track for track, _ in shown(of_model, found)] == [track for track, _ in expected]
