"""From a training set to a candidate on disk: choose on the validation days, measure on the hold-out, fit on all.

The order of these steps belongs here; each step is a module of its own.
"""

from foundation.models.model_store import Candidate
from foundation.progress import OnProgress
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.artifacts.serving import ServedScorer
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.dataset.snapshot import held_out_days
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import Scorer, evaluate
from moovitamix_assets.training.gate.models import model_store, store_candidate
from moovitamix_assets.training.selection.model_selection import choose_recipe
from moovitamix_assets.training.selection.tuning import with_fewer_test_users

MOST_MEASURED = 10_000
"""Of more users than this, so many are drawn by the seed: each costs a ranking of all tracks, and the standard error
of NDCG@10 is .003 with so many."""

_STEPS = 4


def train_candidate(
    training_set: TrainingSet,
    settings: Settings,
    champion: str | None,
    on_progress: OnProgress,
    *,
    search_trials: int = 0,
) -> Candidate:
    """Train the model of a day and store it with its evaluations.

    Measured is a hold-out refit: the same recipe, fitted without the hold-out days. It is compared with popularity
    and the champion, all measured as they would be served.

    Args:
        training_set: As known on the day.
        settings: Seed, threads, the length of the hold-out.
        champion: The version to compare with; None where there is none.
        on_progress: Called with the steps done of 4: choosing, fitting the refit, measuring, fitting the model.
        search_trials: Hyperparameters to try in a search for a better recipe; 0 takes over the champion's.
    """
    current = model_store(settings.models_dir).load(champion) if champion is not None else None
    recipe = choose_recipe(
        training_set, settings.training, current.recipe if current else None, trials=search_trials
    )
    on_progress(1, _STEPS)
    refit = Recommender.fit(training_set, recipe, settings.training, cutoff="before_holdout")
    on_progress(2, _STEPS)
    holdout = with_fewer_test_users(
        split(training_set, "before_holdout"), settings.training.seed, MOST_MEASURED
    )
    subjects: dict[str, Scorer] = {
        "candidate": ServedScorer.on(refit, training_set, holdout),
        "popularity": Popularity().fit(holdout, settings.training.seed, settings.training.training_threads),
    }
    if current is not None:
        rival = _unaware_of_holdout(current, training_set, settings)
        subjects["champion"] = ServedScorer.on(rival, training_set, holdout)
    evaluations = {
        subject: evaluate(
            holdout, scorer, model_version=refit.model_version, as_of=training_set.as_of, subject=subject
        )
        for subject, scorer in subjects.items()
    }
    on_progress(3, _STEPS)
    served = Recommender.fit(training_set, recipe, settings.training, cutoff="as_of")
    candidate = store_candidate(settings.models_dir, served, evaluations)
    on_progress(4, _STEPS)
    return candidate


def _unaware_of_holdout(champion: Recommender, training_set: TrainingSet, settings: Settings) -> Recommender:
    """The champion as served, if it was trained before the hold-out days; else its recipe fitted before them.

    Refitting it always would compare recipes only, and bad data in the new training set would pass as equal.
    """
    held_out = held_out_days(training_set.as_of, settings.training, training_set.changed_on)
    if champion.as_of < held_out.holdout_from:
        return champion
    return Recommender.fit(training_set, champion.recipe, settings.training, cutoff="before_holdout")
