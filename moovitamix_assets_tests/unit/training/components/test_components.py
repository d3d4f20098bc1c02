"""The promises that every component keeps, and the behaviour of each."""

from dataclasses import replace

import numpy as np
import pytest

from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import DecayingComponent, Factors
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.item_knn import ItemKNN
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.components.random import Random
from moovitamix_assets.training.components.registry import COMPONENTS
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate
from moovitamix_assets_tests.unit.training.worlds import taste_world

LIGHTFM = LightFM(embedding_size=16, epochs=10)
# Those whose defaults are too slow or too large for a small world; the others are fitted with their defaults.
SMALL = [LIGHTFM, ALS(embedding_size=16), EASE(regularization=50.0, weighting="log"), ItemKNN(neighbours=20)]
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
    assert type(fitted) is (parameters.stored_type or Factors)
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


DECAYING = [parameters for parameters in EVERY if isinstance(parameters, DecayingComponent)]


@pytest.mark.parametrize("parameters", DECAYING, ids=names)
def test_a_component_with_decay_learns_from_decayed_plays(parameters):
    view = split(taste_world(users=30, tracks=60, listens=1000, moved_on=20), "before_holdout")
    decayed = replace(view, plays=view.decayed_plays(2.0), freshness=None)
    users = np.arange(len(view.user_ids))
    usual = parameters.fit(view, seed=1, threads=1).scores(users)
    found = replace(parameters, time_decay=2.0).fit(view, seed=1, threads=1).scores(users)
    np.testing.assert_allclose(found, parameters.fit(decayed, seed=1, threads=1).scores(users), atol=1e-5)
    assert not np.allclose(found, usual, atol=1e-3)


@pytest.mark.parametrize("parameters", DECAYING, ids=names)
def test_plays_decay_where_their_count_does_not_matter(parameters):
    view = split(taste_world(users=30, tracks=60, listens=1000, moved_on=20), "before_holdout")
    usual = replace(parameters, weighting="ones")
    without, with_decay = (
        each.fit(view, seed=1, threads=1).scores(np.arange(len(view.user_ids)))
        for each in (usual, usual.with_time_decay(2.0))
    )
    assert not np.allclose(with_decay, without, atol=1e-3)
