"""The promises of each registered component to the callers of the registry."""

import json

import pytest

from moovitamix_assets.training.components import ease, registry
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.item_knn import ItemKNN
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.components.registry import (
    BASE,
    COMPONENTS,
    component_named,
    default_trials,
    quick_trial,
)
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets_tests.unit.training.worlds import taste_world


@pytest.fixture(scope="module")
def view():
    return split(taste_world(), "before_validation")


@pytest.mark.parametrize("component", COMPONENTS.values(), ids=COMPONENTS)
def test_every_component_survives_json(component):
    assert component_named(component.name) is component
    changed = component().with_time_decay(2.0)
    assert component.from_json(json.loads(json.dumps(changed.to_json()))) == changed


def test_no_two_components_have_one_name():
    assert len(COMPONENTS) == len(registry._BY_ORDER)


def test_stored_names_are_those_of_the_models_already_stored():
    assert LightFM(embedding_size=8, regularization=0.1, time_decay=2.0).to_json() == {
        "name": "lightfm",
        "components": 8,
        "learning_rate": 0.05,
        "l2": 0.1,
        "epochs": 25,
        "feature_weight": 1.0,
        "max_sampled": 10,
        "weighting": "log",
        "history_weight": 0.0,
        "fading": 2.0,
    }
    assert ALS().to_json() == {
        "name": "als",
        "components": 64,
        "regularization": 30.0,
        "alpha": 5.0,
        "iterations": 15,
        "weighting": "log",
        "feature_weight": 0.0,
        "fading": 0.0,
    }
    assert EASE().to_json() == {
        "name": "ease",
        "l2": 500.0,
        "weighting": "ones",
        "feature_weight": 0.0,
        "fading": 0.0,
    }
    assert Popularity().to_json() == {"name": "popularity"}


def test_hyperparameters_stored_before_some_were_added_get_their_defaults():
    assert LightFM.from_json({"name": "lightfm", "components": 8}) == LightFM(embedding_size=8)


def test_an_unknown_component_or_hyperparameter_is_refused():
    with pytest.raises(KeyError, match="no component 'svd', only lightfm, als"):
        component_named("svd")
    with pytest.raises(TypeError, match="depth"):
        ALS.from_json({"name": "als", "depth": 2})


def test_components_without_time_decay_stay_as_they_are():
    assert Popularity().with_time_decay(2.0) == Popularity()
    assert ItemKNN().with_time_decay(2.0) == ItemKNN()


def test_each_default_grid_is_of_its_own_component_and_lightfm_comes_first(view):
    grids = default_trials(view)
    assert BASE is LightFM
    assert grids[0][0].name == "lightfm"
    assert all({trial.name for trial in grid} == {grid[0].name} for grid in grids)
    assert [grid[0].name for grid in grids] == [
        name for name, component in COMPONENTS.items() if component.default_trials(view)
    ]


def test_ease_is_blended_only_where_its_matrix_is_small_enough(view, monkeypatch):
    side = EASE(feature_weight=1.0).side(view)
    for largest, blended in ((side, True), (1, False)):
        monkeypatch.setattr(ease, "LARGEST_SIDE", largest)
        assert ("ease" in {grid[0].name for grid in default_trials(view)}) == blended


def test_a_quick_trial_is_ease_on_a_small_view_and_als_on_a_large_one(view, monkeypatch):
    assert quick_trial(view) == EASE(regularization=200.0, weighting="log", feature_weight=1.0)
    monkeypatch.setattr(ease, "QUICK_SIDE", 1)
    assert quick_trial(view) == ALS(regularization=30.0, alpha=3.0, feature_weight=0.5)
