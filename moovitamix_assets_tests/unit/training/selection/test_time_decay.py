"""Old plays decay where tastes move, and keep their weight where they stay."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate
from moovitamix_assets.training.selection import time_decay
from moovitamix_assets.training.selection.model_selection import choose_recipe
from moovitamix_assets.training.selection.time_decay import History, best_history, best_time_decay
from moovitamix_assets.training.selection.tuning import Trial
from moovitamix_assets_tests.unit.training.worlds import AS_OF, DAYS, HOLDOUT_DAYS, changed_world, taste_world

BEFORE_HOLDOUT = DAYS - HOLDOUT_DAYS
START = AS_OF - timedelta(days=DAYS - 1)


@pytest.fixture(scope="module")
def moved():
    """Tastes moved a week before the hold-out days begin."""
    return taste_world(moved_on=BEFORE_HOLDOUT - 7)


@pytest.fixture(scope="module")
def view(moved):
    return split(moved, "before_holdout")


def test_plays_decay_by_their_share_and_keep_their_places(moved, view):
    decayed = view.decayed_plays(1.0)
    assert (decayed.indptr == view.plays.indptr).all()
    assert (decayed.indices == view.plays.indices).all()
    played = moved.interactions[moved.interactions["plays_before_holdout"] > 0]
    left = played["faded_plays_before_holdout"].to_numpy() / 1000
    np.testing.assert_allclose(decayed.data, left * view.plays.sum() / left.sum(), rtol=1e-3)
    share = left / played["plays_before_holdout"].to_numpy()
    twice = view.decayed_plays(2.0).data / (view.plays.data * share**2)
    np.testing.assert_allclose(twice, twice[0], rtol=1e-3)


def test_without_time_decay_plays_are_what_they_are(view):
    assert view.decayed_plays(0.0) is view.plays
    timeless = split(taste_world(), "before_holdout")
    assert timeless.freshness is None
    assert timeless.decayed_plays(2.0) is timeless.plays


def test_a_set_keeps_its_decayed_plays_and_one_without_stays_without(tmp_path, moved):
    moved.write(tmp_path / "with")
    assert TrainingSet.read(tmp_path / "with").manifest == moved.manifest
    read = TrainingSet.read(tmp_path / "with").interactions
    assert read["faded_plays"].sum() == moved.interactions["faded_plays"].sum()
    taste_world().write(tmp_path / "without")
    assert "faded_plays" not in TrainingSet.read(tmp_path / "without").interactions


@pytest.mark.parametrize(
    "usual",
    [ALS(), EASE(weighting="log"), LightFM(epochs=15), LightFM(epochs=15, history_weight=0.5)],
    ids=str,
)
def test_every_component_follows_a_taste_that_moved_better_with_decay(view, usual):
    reached = [
        evaluate(view, usual.with_time_decay(decay).fit(view, seed=1, threads=1)).value("ndcg_at_10")
        for decay in (0.0, 2.0)
    ]
    assert reached[1] > 1.1 * reached[0]


def test_time_decay_is_chosen_where_tastes_moved_and_only_there():
    moved_before_validation = taste_world(moved_on=BEFORE_HOLDOUT - 12)
    assert best_time_decay(split(moved_before_validation, "before_validation"), seed=1, threads=1) > 0
    stayed = taste_world(moved_on=0)
    assert best_time_decay(split(stayed, "before_validation"), seed=1, threads=1) == 0
    assert best_time_decay(split(taste_world(), "before_validation"), seed=1, threads=1) == 0


def test_a_gain_that_is_not_clear_switches_no_decay_on(monkeypatch):
    moved_before_validation = split(taste_world(moved_on=BEFORE_HOLDOUT - 12), "before_validation")
    monkeypatch.setattr(time_decay, "MINIMUM_GAIN", 100.0)
    assert best_time_decay(moved_before_validation, seed=1, threads=1) == 0


@pytest.mark.parametrize(("gain", "chosen"), [(0.99, 0.0), (1.0, 0.0), (1.015, 0.0), (1.03, 2.0)])
def test_decay_is_chosen_from_two_percent_on(gain, chosen, view, monkeypatch):
    def scripted(view, tried, seed, threads):
        return Trial(tried[0], None, {0.0: 0.1, 2.0: 0.1 * gain}.get(tried[0].time_decay, 0.05))

    monkeypatch.setattr(time_decay, "best_trial", scripted)
    assert best_time_decay(view, seed=1, threads=1) == chosen


def test_a_chosen_time_decay_is_that_of_all_components():
    recipe = choose_recipe(taste_world(moved_on=BEFORE_HOLDOUT - 12), Settings().training)
    decays = {
        part.component.time_decay for part in recipe.components if hasattr(part.component, "time_decay")
    }
    assert len(decays) == 1
    assert decays.pop() > 0


def views_of(moved_on: int | None):
    """Both views on a set in which tastes changed, as it is said, twelve days before the hold-out days."""
    changed_on = BEFORE_HOLDOUT - 12
    world = changed_world(taste_world(moved_on=moved_on), START + timedelta(days=changed_on))
    return split(world, "before_validation"), split(world, "before_validation", since_change=True)


def test_the_days_since_a_change_are_chosen_where_they_rank_better_and_only_there(monkeypatch):
    whole, since = views_of(moved_on=0)
    for of_change, chosen in ((0.11, True), (0.1, False), (0.09, False)):

        def scripted(view, tried, seed, threads, of_change=of_change):
            return Trial(tried[0], None, 0.1 if view.older_plays is None else of_change)

        monkeypatch.setattr(time_decay, "best_trial", scripted)
        assert best_history(whole, since, 1, 1).since_change is chosen


def test_where_tastes_turned_over_older_plays_are_left_out_and_where_they_stayed_they_are_not():
    assert best_history(*views_of(moved_on=BEFORE_HOLDOUT - 12), 1, 1) == History(since_change=True)
    assert not best_history(*views_of(moved_on=0), 1, 1).since_change


def test_without_a_change_or_plays_since_it_all_plays_are_learned_from():
    whole, since = views_of(moved_on=0)
    assert best_history(whole, None, 1, 1) == History()
    assert best_history(whole, replace(since, plays=since.plays * 0), 1, 1).since_change is False


def test_a_recipe_of_a_changed_world_says_since_when_it_learns():
    moved = taste_world(moved_on=BEFORE_HOLDOUT - 12)
    changed_on = START + timedelta(days=BEFORE_HOLDOUT - 12)
    settings = Settings().training
    recipe = choose_recipe(changed_world(moved, changed_on), settings)
    assert recipe.learns_since in (changed_on, None)
    assert choose_recipe(moved, settings).learns_since is None
