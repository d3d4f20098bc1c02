import json
from dataclasses import replace
from datetime import date

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent, recipe_digest


def test_the_digest_follows_data_settings_and_recipe():
    manifest, settings, recipe = {"files": 1}, Settings(), Recipe((WeightedComponent(LightFM(), 1.0),))
    digest = recipe_digest(manifest, settings.training, recipe)
    assert len(digest) == 8
    assert digest == recipe_digest(dict(manifest), Settings().training, recipe)
    changed = [
        recipe_digest({"files": 2}, settings.training, recipe),
        recipe_digest(manifest, settings.changed(seed=7).training, recipe),
        recipe_digest(manifest, settings.training, Recipe((WeightedComponent(LightFM(epochs=6), 1.0),))),
    ]
    assert len({digest, *changed}) == 4
    elsewhere = settings.changed(api_url="http://elsewhere")
    assert recipe_digest(manifest, elsewhere.training, recipe) == digest


def test_a_recipe_says_since_when_it_learns_and_is_what_it_was_without():
    recipe = Recipe((WeightedComponent(LightFM(), 1.0),))
    since = replace(recipe, learns_since=date(2026, 9, 1))
    assert Recipe.from_json(json.loads(json.dumps(since.to_json()))) == since
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert "learns_since" not in recipe.to_json()
    training = Settings().training
    assert recipe_digest({}, training, since) != recipe_digest({}, training, recipe)
