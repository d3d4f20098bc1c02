"""The promises that every component keeps, and the behaviour of each."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import Factors, weighted
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.item_knn import ItemKNN
from moovitamix_assets.training.components.lightfm import LightFM, mixed_with_history
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.components.random import Random
from moovitamix_assets.training.components.registry import COMPONENTS
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate
from moovitamix_assets_tests.unit.training.worlds import taste_world

LIGHTFM = LightFM(embedding_size=16, epochs=10)
# Those whose defaults are too slow or too large for a small world; the others are fitted with their defaults.
SMALL = [LIGHTFM, ALS(embedding_size=16), EASE(regularization=50.0), ItemKNN(neighbours=20)]
EVERY = [{each.name: each for each in SMALL}.get(name, kind()) for name, kind in COMPONENTS.items()]
LEARNING = SMALL


@pytest.fixture(scope="module")
def view():
    return split(taste_world(), "before_holdout")


def names(parameters):
    return parameters.name


@pytest.mark.parametrize("parameters", EVERY, ids=names)
def test_scores_are_finite_and_do_not_depend_on_the_block(view, parameters):
    fitted = parameters.fit(view, seed=1, threads=1)
    users = np.arange(len(view.user_ids))
    scores = fitted.scores(users)
    assert scores.shape == view.plays.shape
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(fitted.scores(users[[7, 3]]), scores[[7, 3]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parameters", EVERY, ids=names)
def test_one_seed_gives_one_result(view, parameters):
    first, second = (parameters.fit(view, seed=5, threads=1).scores(np.arange(20)) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("parameters", [LIGHTFM, ALS(embedding_size=16), Random()], ids=names)
def test_another_seed_gives_another_result(view, parameters):
    first, second = (parameters.fit(view, seed=seed, threads=1).scores(np.arange(5)) for seed in (1, 2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("parameters", LEARNING, ids=names)
def test_what_learns_taste_beats_popularity_three_times_over(view, parameters):
    learnt = evaluate(view, parameters.fit(view, seed=1, threads=1)).value("ndcg_at_10")
    popular = evaluate(view, Popularity().fit(view, 1, 1)).value("ndcg_at_10")
    assert learnt > 3 * popular


def test_only_lightfm_knows_users_and_tracks_without_plays(view):
    silent = len(view.user_ids) - 1
    assert view.user_plays[silent] == 0
    by_name = {parameters.name: parameters.fit(view, seed=1, threads=1) for parameters in SMALL[:3]}
    assert by_name["lightfm"].covered_users[silent]
    assert by_name["lightfm"].covered_tracks.all()
    for name in ("als", "ease"):
        assert not by_name[name].covered_users[silent]
        assert not by_name[name].covered_tracks[-4:].any()
        assert by_name[name].covered_tracks[:-4].all()


def test_lightfm_guesses_the_genre_of_users_and_tracks_it_never_saw(view):
    fitted = LightFM(embedding_size=16, epochs=20, feature_weight=2.0).fit(view, seed=1, threads=1)
    embeddings = fitted.track_vectors[:, :-1]
    silent = len(view.user_ids) - 1
    liking = fitted.user_vectors[silent, :-1] @ embeddings.T
    by_genre = [liking[:-4][np.arange(len(liking) - 4) % 4 == genre].mean() for genre in range(4)]
    assert int(np.argmax(by_genre)) == silent % 4
    new = len(view.track_ids) - 2
    fans = np.flatnonzero(np.arange(silent) % 4 == new % 4)
    others = np.flatnonzero(np.arange(silent) % 4 != new % 4)
    interest = fitted.user_vectors[:, :-1] @ embeddings[new]
    assert interest[fans].mean() > interest[others].mean() + interest.std()


def test_lightfm_without_features_has_nothing_to_say_of_new_tracks(view):
    fitted = replace(LIGHTFM, feature_weight=0.0).fit(view, seed=1, threads=1)
    assert not fitted.covered_tracks[-4:].any()
    assert not fitted.track_vectors[-4:].any()


def test_stopping_after_some_epochs_is_training_for_so_many(view):
    steps = list(LIGHTFM.epoch_by_epoch(view, seed=1, threads=1, every=5))
    short = replace(LIGHTFM, epochs=5).fit(view, seed=1, threads=1)
    assert len(steps) == 2
    assert np.array_equal(steps[0].user_vectors, short.user_vectors)
    assert not np.array_equal(steps[1].user_vectors, short.user_vectors)


def test_history_moves_users_who_played_towards_the_mean_of_their_tracks(view):
    alone = LIGHTFM.fit(view, seed=1, threads=1)
    whole = replace(LIGHTFM, history_weight=1.0).fit(view, seed=1, threads=1)
    half = replace(LIGHTFM, history_weight=0.5).fit(view, seed=1, threads=1)
    played = view.plays[3].indices
    np.testing.assert_allclose(
        whole.user_vectors[3, :-1], alone.track_vectors[played, :-1].mean(axis=0), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(half.user_vectors, (alone.user_vectors + whole.user_vectors) / 2, atol=1e-5)
    silent = len(view.user_ids) - 1
    assert np.array_equal(whole.user_vectors[silent], alone.user_vectors[silent])
    assert np.array_equal(whole.user_vectors[:, -1], alone.user_vectors[:, -1])


@pytest.mark.parametrize(
    "parameters",
    [ALS(embedding_size=16, feature_weight=0.5), EASE(regularization=50.0, feature_weight=1.0)],
    ids=names,
)
def test_features_as_users_make_new_tracks_known_to_the_fans_of_their_genre(view, parameters):
    fitted = parameters.fit(view, seed=1, threads=1)
    assert fitted.covered_tracks.all()
    assert fitted.covered_users.sum() == len(view.user_ids) - 1
    scores = fitted.scores(np.arange(len(view.user_ids) - 1))
    assert scores.shape == (len(view.user_ids) - 1, len(view.track_ids))
    for new in range(len(view.track_ids) - 4, len(view.track_ids)):
        fans = np.arange(len(scores)) % 4 == new % 4
        assert scores[fans, new].mean() > scores[~fans, new].mean() + scores[:, new].std()


def test_lightfm_refuses_a_past_without_plays(view):
    empty = replace(view, plays=sparse.csr_matrix(view.plays.shape, dtype=np.float32))
    with pytest.raises(ValueError, match="nothing to learn from"):
        LIGHTFM.fit(empty, seed=1, threads=1)


def test_popularity_is_recent_plays_then_all_plays(view):
    recent = np.zeros(len(view.track_ids))
    recent[[5, 9]] = [2.0, 7.0]
    fitted = Popularity().fit(replace(view, recent_plays=recent), 1, 1)
    order = np.argsort(-fitted.scores(np.array([0]))[0], kind="stable")
    assert order[:2].tolist() == [9, 5]
    rest = view.track_plays[order[2:]]
    assert (np.diff(rest) <= 0).all()


def test_als_gives_new_tracks_the_mean_vector(view):
    fitted = ALS(embedding_size=16).fit(view, seed=1, threads=1)
    assert isinstance(fitted, Factors)
    known = fitted.covered_tracks
    np.testing.assert_allclose(
        fitted.track_vectors[~known][0], fitted.track_vectors[known].mean(axis=0), rtol=1e-4, atol=1e-6
    )


def test_weighting_replaces_counts_and_leaves_the_plays_alone(view):
    before = view.plays.data.copy()
    assert set(weighted(view.plays, "ones").data.tolist()) == {1.0}
    np.testing.assert_allclose(weighted(view.plays, "log").data, np.log1p(before))
    assert np.array_equal(weighted(view.plays, "plays").data, before)
    assert np.array_equal(view.plays.data, before)


def test_lightfm_ranks_by_what_everybody_plays_too(view):
    fitted = LIGHTFM.fit(view, seed=1, threads=1)
    played = view.track_plays > 0
    biases = fitted.track_vectors[:, -1]
    assert np.corrcoef(biases[played], np.log(view.track_plays[played]))[0, 1] > 0.5
    users = np.arange(5)
    liking = fitted.user_vectors[users, :-1] @ fitted.track_vectors[:, :-1].T
    np.testing.assert_allclose(fitted.scores(users), liking + biases, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [LightFM(embedding_size=8, epochs=2), ALS(embedding_size=8), EASE(regularization=50.0, weighting="log")],
    ids=names,
)
def test_a_component_with_decay_learns_from_decayed_plays(parameters):
    view = split(taste_world(users=30, tracks=60, listens=1000, moved_on=20), "before_holdout")
    decayed = replace(view, plays=view.decayed_plays(2.0), freshness=None)
    users = np.arange(len(view.user_ids))
    usual = parameters.fit(view, seed=1, threads=1).scores(users)
    found = replace(parameters, time_decay=2.0).fit(view, seed=1, threads=1).scores(users)
    np.testing.assert_allclose(found, parameters.fit(decayed, seed=1, threads=1).scores(users), atol=1e-5)
    assert not np.allclose(found, usual, atol=1e-3)


def test_history_decays_as_plays_do():
    view = split(taste_world(users=30, tracks=60, listens=1000, moved_on=20), "before_holdout")
    parameters = LightFM(embedding_size=8, epochs=2, time_decay=2.0)
    alone = parameters.fit(view, seed=1, threads=1)
    weights = view.freshness[3].data ** 2.0
    expected = weights @ alone.track_vectors[view.plays[3].indices, :-1] / weights.sum()
    for mixed in (
        mixed_with_history(alone, view, 1.0, time_decay=2.0),
        replace(parameters, history_weight=1.0).fit(view, seed=1, threads=1),
    ):
        np.testing.assert_allclose(mixed.user_vectors[3, :-1], expected, rtol=1e-4, atol=1e-6)
