from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.artifacts.serving import ServedScorer
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate
from moovitamix_assets.training.gate import candidate
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets_tests.unit.training.worlds import taste_world

RECIPE = Recipe((WeightedComponent(LightFM(embedding_size=4, epochs=2), 1.0),))
CHAMPIONS_RECIPE = Recipe((WeightedComponent(LightFM(embedding_size=6, epochs=3), 1.0),))


@pytest.fixture
def quickly_chosen(monkeypatch):
    """The calls of `choose_recipe`, which chooses nothing."""
    calls = []
    monkeypatch.setattr(
        candidate, "choose_recipe", lambda *given, **named: calls.append((given, named)) or RECIPE
    )
    return calls


@pytest.fixture(scope="module")
def world():
    """Some users have plays on the hold-out days only."""
    return taste_world(users=120, listens=400)


def measured(scorer, world):
    return evaluate(split(world, "before_holdout"), scorer).per_user["ndcg_at_10"]


def as_served(model, world):
    return measured(ServedScorer.on(model, world, split(world, "before_holdout")), world)


def champion_of(day, settings):
    """A champion of a smaller world, trained on all of it and stored."""
    earlier = replace(taste_world(users=60, tracks=100, listens=3000), as_of=day)
    model = Recommender.fit(earlier, CHAMPIONS_RECIPE, settings.training, "as_of")
    model.save(settings.models_dir / model.model_version)
    return model


@pytest.mark.parametrize(("most", "measured"), [(30, 30), (10_000, 76)])
def test_only_so_many_users_are_measured_and_the_same_for_all_subjects(
    most, measured, quickly_chosen, monkeypatch, tmp_path
):
    monkeypatch.setattr(candidate, "MOST_MEASURED", most)
    made = candidate.train_candidate(taste_world(), Settings(data_dir=tmp_path), None, lambda *_: None)
    model, popularity = made.of("candidate", "ndcg_at_10"), made.of("popularity", "ndcg_at_10")
    assert len(model) == measured
    assert model.index.equals(popularity.index)


def test_what_is_measured_knows_nothing_of_the_holdout_days_and_what_serves_knows_all(
    world, quickly_chosen, tmp_path
):
    settings, steps = Settings(data_dir=tmp_path), []
    made = candidate.train_candidate(world, settings, None, lambda *step: steps.append(step))
    refit = Recommender.fit(world, RECIPE, settings.training, "before_holdout")
    assert made.of("candidate", "ndcg_at_10").equals(as_served(refit, world))
    popularity = Popularity().fit(split(world, "before_holdout"), settings.training.seed, 1)
    assert made.of("popularity", "ndcg_at_10").equals(measured(popularity, world))
    assert made.of("champion", "ndcg_at_10") is None
    served = model_store(settings.models_dir).load(made.model_version)
    assert served.cutoff == "as_of"
    assert served.plays.sum() == world.interactions["plays"].sum()
    assert np.array_equal(
        served.track_vectors, Recommender.fit(world, RECIPE, settings.training, "as_of").track_vectors
    )
    assert steps == [(step, 4) for step in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("trained", "holdout_days", "as_it_is"),
    [(date(2026, 10, 7), 7, True), (date(2026, 10, 8), 7, False), (date(2026, 10, 8), 6, True)],
)
def test_a_champion_is_measured_as_it_is_only_if_it_saw_no_holdout_day(
    trained, holdout_days, as_it_is, world, quickly_chosen, tmp_path
):
    settings = Settings(data_dir=tmp_path, holdout_days=holdout_days)
    champion = champion_of(trained, settings)
    made = candidate.train_candidate(world, settings, champion.model_version, lambda *_: None)
    unaware = (
        champion
        if as_it_is
        else Recommender.fit(world, CHAMPIONS_RECIPE, settings.training, "before_holdout")
    )
    assert made.of("champion", "ndcg_at_10").equals(as_served(unaware, world))


def test_the_champions_recipe_and_the_trials_are_passed_on(world, quickly_chosen, tmp_path):
    settings = Settings(data_dir=tmp_path)
    champion = champion_of(date(2026, 10, 1), settings)
    candidate.train_candidate(world, settings, champion.model_version, lambda *_: None, search_trials=3)
    candidate.train_candidate(world, settings, None, lambda *_: None)
    assert quickly_chosen == [
        ((world, settings.training, CHAMPIONS_RECIPE), {"trials": 3}),
        ((world, settings.training, None), {"trials": 0}),
    ]
