"""The training sets that benchmarks draw: what is counted in them fits together, and there is taste in them."""

from datetime import timedelta

import numpy as np
import pytest

from benchmarks.bundled_world import AS_OF, world_training_set
from benchmarks.simulation import simulated_training_set
from mock_api.settings import MockApiSettings
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate


@pytest.fixture(scope="module")
def simulated():
    return simulated_training_set(10_000, tracks=800, niches=8, seed=3)


@pytest.fixture(scope="module")
def of_world():
    source = MockApiSettings(people=120, tracks=150, sessions_a_day=60, first_day=AS_OF - timedelta(days=40))
    return world_training_set(source)


def test_as_many_pairs_are_drawn_as_were_asked_for(simulated):
    assert len(simulated.interactions) == 10_000
    assert len(simulated.users) == 10_000 // 50
    assert len(simulated.tracks) == 800
    again = simulated_training_set(10_000, tracks=800, niches=8, seed=3)
    assert again.manifest == simulated.manifest
    assert simulated_training_set(10_000, 800, 8, seed=4).manifest != simulated.manifest


@pytest.mark.parametrize("name", ["simulated", "of_world"])
def test_plays_before_a_cut_are_those_that_were_listened_to_before_it(name, request):
    known = request.getfixturevalue(name)
    interactions = known.interactions
    for column, days in (("plays_before_holdout", 7), ("plays_before_validation", 14)):
        cut = np.datetime64(known.as_of - timedelta(days=days - 1))
        assert ((interactions[column] > 0) == (interactions["first_listened_at"] < cut)).all()
        assert (
            (interactions[column] == interactions["plays"]) == (interactions["last_listened_at"] < cut)
        ).all()
    assert (interactions["last_listened_at"] < np.datetime64(known.as_of + timedelta(days=1))).all()
    assert known.tracks["plays_last_30_days"].sum() <= interactions["plays"].sum()


@pytest.mark.parametrize("name", ["simulated", "of_world"])
def test_there_is_more_to_know_than_what_is_popular(name, request):
    view = split(request.getfixturevalue(name), "before_holdout")
    assert len(view.test_users) > 50
    popularity = evaluate(view, Popularity().fit(view, 1, 1)).value("ndcg_at_10")
    learnt = evaluate(view, ALS(embedding_size=16).fit(view, 1, 1)).value("ndcg_at_10")
    assert learnt > popularity > 0
