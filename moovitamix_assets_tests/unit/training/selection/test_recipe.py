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
