import pytest

from moovitamix_assets.settings import Settings
from moovitamix_assets.training import candidate
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.recipes.recipe import Ingredient, Recipe
from moovitamix_assets_tests.unit.training.worlds import taste_world


@pytest.fixture
def quickly_chosen(monkeypatch):
    recipe = Recipe((Ingredient(LightFM(components=4, epochs=2), 1.0),))
    monkeypatch.setattr(candidate, "choose_recipe", lambda *_, **__: recipe)


@pytest.mark.parametrize(("most", "measured"), [(30, 30), (10_000, 76)])
def test_only_so_many_people_are_measured_and_the_same_for_all_subjects(
    most, measured, quickly_chosen, monkeypatch, tmp_path
):
    monkeypatch.setattr(candidate, "MOST_MEASURED", most)
    made = candidate.train_candidate(taste_world(), Settings(data_dir=tmp_path), None, lambda *_: None)
    model, popularity = made.of("candidate", "ndcg_at_10"), made.of("popularity", "ndcg_at_10")
    assert len(model) == measured
    assert model.index.equals(popularity.index)
