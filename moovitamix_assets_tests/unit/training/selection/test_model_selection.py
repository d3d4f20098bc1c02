import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import Factors
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.lightfm import FEWEST_EPOCHS, MOST_EPOCHS, LightFM
from moovitamix_assets.training.components.random import Random
from moovitamix_assets.training.components.registry import default_trials
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate
from moovitamix_assets.training.selection import model_selection
from moovitamix_assets.training.selection.model_selection import (
    choose_recipe,
    choose_recipe_on,
    choose_weights,
    recipe_of,
    starting_points,
    within_budget,
)
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent, default_recipe
from moovitamix_assets.training.selection.time_decay import History
from moovitamix_assets.training.selection.tuning import MOST_USERS, Trial, best_trial, with_fewer_test_users
from moovitamix_assets_tests.unit.training.worlds import taste_world


@dataclass(frozen=True)
class Oracle:
    """A component that knows the test interactions, blurred by noise."""

    view: object
    noise: float

    @property
    def covered_users(self):
        return np.ones(self.view.plays.shape[0], dtype=bool)

    @property
    def covered_tracks(self):
        return np.ones(self.view.plays.shape[1], dtype=bool)

    def scores(self, users):
        random = np.random.default_rng((int(users[0]), int(self.noise * 100)))
        truth = self.view.test[users].toarray()
        return (truth + self.noise * random.normal(size=truth.shape)).astype(np.float32)


@dataclass(frozen=True)
class Rehearsed(LightFM):
    """LightFM whose training steps are scripted: each knows the test interactions, blurred by so much noise."""

    noises: tuple[float, ...] = ()
    steps: list = field(default_factory=list, compare=False)

    def epoch_by_epoch(self, view, seed, threads, every):
        for noise in self.noises:
            self.steps.append(every)
            random = np.random.default_rng(1)
            users = view.test.toarray() + noise * random.normal(size=view.test.shape)
            tracks = np.eye(view.test.shape[1])
            yield Factors(
                user_vectors=np.hstack([users, np.ones((len(users), 1))]).astype(np.float32),
                track_vectors=np.hstack([tracks, np.zeros((len(tracks), 1))]).astype(np.float32),
                covered_users=np.ones(len(users), dtype=bool),
                covered_tracks=np.ones(len(tracks), dtype=bool),
            )


@pytest.fixture(scope="module")
def view():
    return split(taste_world(), "before_validation")


def test_what_adds_nothing_gets_no_weight(view):
    good = Trial(LightFM(), Oracle(view, 0.3), 0.9)
    useless = Trial(Random(), Random().fit(view, 3, 1), 0.1)
    weights, reached = choose_weights(view, [good, useless])
    assert weights == (1.0, 0.0)
    assert 0 < reached < 1


def test_what_helps_gets_a_weight_and_the_sum_beats_the_first_alone(view):
    first, second = Trial(LightFM(), Oracle(view, 0.7), 0.5), Trial(ALS(), Oracle(view, 0.6), 0.5)
    alone = choose_weights(view, [first])[1]
    weights, reached = choose_weights(view, [first, second])
    assert weights[0] == 1.0
    assert weights[1] > 0
    assert reached > alone * 1.1


def test_the_best_of_the_tried_is_kept(view):
    tried = [ALS(embedding_size=2, iterations=1, regularization=1000.0), ALS(embedding_size=16)]
    trial = best_trial(view, tried, seed=1, threads=1)
    assert trial.component == tried[1]
    assert trial.ndcg_at_10 > best_trial(view, tried[:1], seed=1, threads=1).ndcg_at_10


def test_early_stopping_names_the_epochs_it_kept(view):
    trial = best_trial(view, [LightFM(embedding_size=16, epochs=40)], seed=1, threads=1)
    assert trial.component.epochs % 5 == 0
    assert trial.component.epochs <= 30  # this world is learnt soon, and then only its noise
    again = trial.component.fit(view, seed=1, threads=1)
    assert np.array_equal(again.user_vectors, trial.fitted.user_vectors)


def test_training_stops_after_two_steps_without_a_gain_and_keeps_the_best(view):
    at_once = Rehearsed(epochs=40, noises=(0.5, 0.8, 0.9, 0.01))
    assert best_trial(view, [at_once], seed=1, threads=1).component.epochs == 5
    assert at_once.steps == [5, 5, 5]
    later = Rehearsed(epochs=40, noises=(0.8, 0.9, 0.5, 0.7, 0.5, 0.01))
    trial = best_trial(view, [later], seed=1, threads=1)
    assert trial.component.epochs == 15
    assert len(later.steps) == 5
    assert trial.ndcg_at_10 > best_trial(view, [at_once], seed=1, threads=1).ndcg_at_10 - 1e-9


def test_a_recipe_starts_with_lightfm_and_survives_json(view):
    kinds = [[LightFM(embedding_size=16, epochs=10)], [ALS(embedding_size=16)], [EASE(regularization=50.0)]]
    recipe = choose_recipe_on(view, 1, 1, kinds)
    assert recipe.components[0].component.name == "lightfm"
    assert recipe.components[0].weight == 1.0
    assert recipe.validation_ndcg_at_10["blend"] >= recipe.validation_ndcg_at_10["lightfm"]
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_too_few_users_on_the_validation_days_choose_nothing():
    world = taste_world(users=15)
    recipe = choose_recipe(world, Settings().training)
    assert [part.component.name for part in recipe.components] == ["lightfm"]
    assert recipe.validation_ndcg_at_10 == {}


@pytest.mark.parametrize(("users", "chooses"), [(19, False), (20, True)])
def test_twenty_users_on_the_validation_days_are_enough_to_choose(users, chooses, view, monkeypatch):
    chosen = Recipe((WeightedComponent(LightFM(epochs=3), 1.0),), {"blend": 0.5})
    monkeypatch.setattr(model_selection, "split", lambda *_: with_fewer_test_users(view, 1, most=users))
    monkeypatch.setattr(model_selection, "best_history", lambda *_: History())
    monkeypatch.setattr(model_selection, "choose_recipe_on", lambda *_: chosen)
    recipe = choose_recipe(taste_world(), Settings().training)
    assert recipe == (chosen if chooses else default_recipe())


def test_the_choice_does_not_see_the_holdout_days():
    world = taste_world(users=30, tracks=60, listens=1500)
    known = world.interactions["plays_before_holdout"] > 0
    interactions = world.interactions[known].assign(plays=lambda frame: frame["plays_before_holdout"])
    tracks = world.tracks.assign(plays_last_30_days=0, plays_last_30_days_before_holdout=0)
    blind = replace(world, interactions=interactions, tracks=tracks)
    assert choose_recipe(world, Settings().training) == choose_recipe(blind, Settings().training)


def test_only_so_many_users_decide(view):
    users = MOST_USERS + 50
    many = replace(view, test=view.test[np.zeros(users, dtype=int) + view.test_users[0]])
    fewer = with_fewer_test_users(many, seed=1)
    assert len(fewer.test_users) == MOST_USERS
    assert np.array_equal(fewer.test_users, with_fewer_test_users(many, seed=1).test_users)
    assert with_fewer_test_users(view, seed=1) is view


def test_few_epochs_are_evaluated_one_by_one(view):
    tried = [LightFM(embedding_size=4, epochs=FEWEST_EPOCHS)]
    trial = best_trial(view, tried, seed=1, threads=1)
    one_by_one = [
        best_trial(view, [LightFM(embedding_size=4, epochs=epochs)], seed=1, threads=1).ndcg_at_10
        for epochs in range(1, FEWEST_EPOCHS + 1)
    ]
    assert trial.ndcg_at_10 == max(one_by_one[: trial.component.epochs])


def test_a_retraining_takes_over_the_champions_settings(view):
    theirs = LightFM(embedding_size=16, regularization=0.01, epochs=15)
    started = starting_points(view, Recipe((WeightedComponent(theirs, 1.0),)))
    assert [len(kind) for kind in started] == [1] * len(default_trials(view))
    assert started[0] == [replace(theirs, epochs=MOST_EPOCHS)]
    assert [kind[0].name for kind in started[1:]] == [kind[0].name for kind in default_trials(view)[1:]]


def test_a_search_tries_as_many_settings_as_it_may(view):
    started = starting_points(view, None)
    most = sum(len(kind) for kind in default_trials(view))
    for trials in (0, len(started), *range(len(started) + 1, most + 2), most + 10):
        tried = within_budget(started, default_trials(view), trials)
        assert sum(len(kind) for kind in tried) == min(max(trials, len(started)), most)
        assert all(kind[0] == start[0] for kind, start in zip(tried, started, strict=True))
        assert all(len(kind) == len(set(kind)) for kind in tried)


@pytest.mark.parametrize("trials", [0, 7])
def test_what_is_tried_are_the_champions_settings_and_as_many_more_as_asked_for_all_with_one_decay(
    trials, monkeypatch
):
    given = []
    monkeypatch.setattr(model_selection, "best_history", lambda *_: History(time_decay=2.0))
    monkeypatch.setattr(
        model_selection, "choose_recipe_on", lambda view, *rest: given.append(rest) or default_recipe()
    )
    theirs = Recipe(
        (
            WeightedComponent(LightFM(embedding_size=16, regularization=0.01), 1.0),
            WeightedComponent(ALS(alpha=7.0), 0.5),
        )
    )
    choose_recipe(taste_world(users=60, tracks=40, listens=800), Settings(seed=9).training, theirs, trials)
    ((seed, threads, kinds),) = given
    assert (seed, threads) == (9, 1)
    assert sum(map(len, kinds)) == max(trials, len(kinds))
    assert kinds[0][0] == LightFM(embedding_size=16, regularization=0.01, epochs=MOST_EPOCHS, time_decay=2.0)
    assert kinds[1][0] == ALS(alpha=7.0, time_decay=2.0)
    assert {each.time_decay for kind in kinds for each in kind if hasattr(each, "time_decay")} == {2.0}


def test_what_got_no_weight_is_no_component_of_the_recipe(view):
    good, useless = Trial(LightFM(), Oracle(view, 0.3), 0.9), Trial(Random(), Random().fit(view, 3, 1), 0.1)
    recipe = recipe_of(view, [good, useless])
    assert recipe.components == (WeightedComponent(LightFM(), 1.0),)
    assert recipe.validation_ndcg_at_10 == {
        "lightfm": 0.9,
        "random": 0.1,
        "blend": recipe.validation_ndcg_at_10["blend"],
    }


def test_weights_are_chosen_by_every_user_of_a_crowd():
    crowd = split(taste_world(users=500, tracks=100, listens=8000), "before_validation")
    assert len(crowd.test_users) > 300
    fitted = Random().fit(crowd, 3, 1)
    _, reached = choose_weights(crowd, [Trial(Random(), fitted, 0.1)])
    assert reached == pytest.approx(evaluate(crowd, fitted).value("ndcg_at_10"))


@dataclass(frozen=True)
class KnowsGenres(LightFM):
    """LightFM that has learnt the genres of tracks and nothing of users."""

    def epoch_by_epoch(self, view, seed, threads, every):
        users, tracks = view.plays.shape
        noise = np.random.default_rng(1).normal(size=(users, 4))
        yield Factors(
            user_vectors=np.hstack([noise, np.ones((users, 1))]).astype(np.float32),
            track_vectors=np.hstack([np.eye(4)[np.arange(tracks) % 4], np.zeros((tracks, 1))]).astype(
                np.float32
            ),
            covered_users=np.ones(users, dtype=bool),
            covered_tracks=np.ones(tracks, dtype=bool),
        )


def test_history_is_mixed_in_where_it_helps(view):
    trial = best_trial(view, [KnowsGenres(epochs=5)], seed=1, threads=1)
    (alone,) = KnowsGenres(epochs=5).epoch_by_epoch(view, 1, 1, 5)
    assert trial.component.history_weight == 0.5
    assert trial.ndcg_at_10 > evaluate(view, alone).value("ndcg_at_10")
