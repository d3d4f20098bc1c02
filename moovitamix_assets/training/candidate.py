"""From a training set to a candidate on disk: choose on the validation days, measure on the hold-out, fit on all.

The order of these steps belongs here; each step is a module of its own.
"""

from moovitamix_assets.progress import OnProgress
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.evaluation import evaluate
from moovitamix_assets.training.interactions import TrainingSet, split
from moovitamix_assets.training.recipe import choose_recipe
from moovitamix_assets.training.recommender import Recommender
from moovitamix_assets.training.registry import Candidate, store_candidate

_STEPS = 4


def train_candidate(training_set: TrainingSet, settings: Settings, on_progress: OnProgress) -> Candidate:
    """Train the model of a day and store it with what it was worth.

    What is measured is a twin: the same recipe, fitted without the hold-out days.

    Args:
        training_set: As known on the day.
        settings: Seed, threads, the length of the hold-out.
        on_progress: Told the steps done of 4: choosing, fitting the twin, measuring, fitting what is served.
    """
    recipe = choose_recipe(training_set, settings)
    on_progress(1, _STEPS)
    twin = Recommender.fit(training_set, recipe, settings, fit_on="holdout")
    on_progress(2, _STEPS)
    holdout = split(training_set, "holdout")
    version, as_of = twin.model_version, training_set.as_of
    popularity = Popularity().fit(holdout, settings.seed, settings.training_threads)
    evaluations = {
        "candidate": evaluate(holdout, twin.blend, model_version=version, as_of=as_of, subject="candidate"),
        "popularity": evaluate(holdout, popularity, model_version=version, as_of=as_of, subject="popularity"),
    }
    on_progress(3, _STEPS)
    served = Recommender.fit(training_set, recipe, settings, fit_on="all")
    candidate = store_candidate(settings.models_dir, served, evaluations)
    on_progress(4, _STEPS)
    return candidate
