from dataclasses import replace

import numpy as np
import pytest

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.artifacts.serving import ServedScorer
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.new_tracks import NewTrackCalibration
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate
from moovitamix_assets.training.selection.new_track_calibration import calibrations, choose_calibration
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets_tests.unit.training.worlds import taste_world

COMPONENTS = (
    WeightedComponent(LightFM(embedding_size=8, epochs=5), 1.0),
    WeightedComponent(ALS(embedding_size=8), 0.5),
    WeightedComponent(EASE(regularization=50.0), 0.5),
)


@pytest.fixture(scope="module")
def world():
    return taste_world(joining=24)


@pytest.fixture(scope="module")
def chosen(world):
    fitted = Recommender.fit(world, Recipe(COMPONENTS), Settings().training, cutoff="before_validation")
    return choose_calibration(split(world, "before_validation"), fitted.blend)


class WithoutNewTracks:
    def __init__(self, scorer, view):
        self.scorer, self.new = scorer, view.track_plays == 0

    def scores(self, users):
        scores = self.scorer.scores(users)
        scores[:, self.new] = -np.inf
        return scores


def test_new_tracks_find_their_users_and_all_users_are_served_better(world, chosen):
    recipe = Recipe(COMPONENTS, new_tracks=chosen)
    refit = Recommender.fit(world, recipe, Settings().training, cutoff="before_holdout")
    view = split(world, "before_holdout")
    served = ServedScorer.on(refit, world, view)
    measured, without = evaluate(view, served), evaluate(view, WithoutNewTracks(served, view))
    assert without.value("ndcg_at_10", "new_tracks") == 0
    assert measured.value("ndcg_at_10", "new_tracks") > 0.1
    assert measured.value("ndcg_at_10") > without.value("ndcg_at_10")


def test_new_tracks_that_are_played_much_get_more_room_than_those_that_are_not(world, chosen):
    ignored = world.tracks["track_id"].iloc[:24]
    plays = world.interactions["track_id"].isin(ignored) & (world.interactions.index % 4 != 0)
    disliked = replace(world, interactions=world.interactions[~plays].reset_index(drop=True))
    fitted = Recommender.fit(disliked, Recipe(COMPONENTS), Settings().training, cutoff="before_validation")
    of_disliked = choose_calibration(split(disliked, "before_validation"), fitted.blend)
    assert of_disliked.offset < chosen.offset


def test_without_new_tracks_on_the_validation_days_the_default_stays():
    world = taste_world()
    fitted = Recommender.fit(world, Recipe(COMPONENTS[:1]), Settings().training, cutoff="before_validation")
    assert choose_calibration(split(world, "before_validation"), fitted.blend) == NewTrackCalibration()


def test_the_choice_is_the_same_each_time(world, chosen):
    fitted = Recommender.fit(world, Recipe(COMPONENTS), Settings().training, cutoff="before_validation")
    assert choose_calibration(split(world, "before_validation"), fitted.blend) == chosen
    assert chosen in calibrations()


def test_where_days_are_unknown_all_test_interactions_are_of_one_night(world):
    view = replace(split(world, "before_validation"), test_days=None, track_ages=None)
    fitted = Recommender.fit(world, Recipe(COMPONENTS), Settings().training, cutoff="before_validation")
    assert choose_calibration(view, fitted.blend) in calibrations()
