"""What to train: components, knobs, epochs and weights, chosen on the validation days.

What is chosen here never sees the hold-out days. The recipe itself is in `recipe.py`, its fit in `recommender.py`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import ComponentParameters, FittedComponent
from moovitamix_assets.training.components.blend import standardised_scores
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.dataset.training_set import TrainingSet, TrainingView, split
from moovitamix_assets.training.evaluation.offline import best_positions, ndcg_per_user
from moovitamix_assets.training.selection.recipe import Ingredient, Recipe, default_recipe
from moovitamix_assets.training.selection.time_decay import best_fading, with_fading
from moovitamix_assets.training.selection.tuning import Trial, best_trial, with_fewer_test_users

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
"""What a further component may count, LightFM counting 1."""

MOST_EPOCHS = 40
"""Where training stops in any case."""

MOST_UPDATES = 60_000_000
"""Pairs gone through in one fit, beyond which the epochs are fewer: more data moves each vector more often in
an epoch. Counts from 1.5 million pairs; a core goes through some 150,000 a second."""

FEWEST_EPOCHS = 5
"""Epochs that remain however many pairs there are: from 12 million on, time grows with them."""

MINIMUM_USERS = 20
"""With fewer people on the validation days nothing is chosen there: LightFM alone, with its defaults."""

EASE_LARGEST_SIDE = 8000
"""EASE is left out above this side of its dense matrix: 8,000 squared are 0.5 GB and half a minute."""

_BLOCK = 256


def choose_recipe(
    training_set: TrainingSet, settings: Settings, champion: Recipe | None = None, trials: int = 0
) -> Recipe:
    """Choose epochs, components and weights on the validation days.

    The caller refits the recipe with everything before the hold-out days (to measure it) and with everything
    (to serve it).

    Args:
        training_set: As known on the day.
        settings: Seed and threads.
        champion: The recipe whose knobs are taken over; each component it lacks has its usual ones.
        trials: Settings to try in a search for better knobs, over all components; 0 searches nothing.
    """
    view = split(training_set, "validation")
    if len(view.test_users) < MINIMUM_USERS or not view.plays.nnz:
        return default_recipe(settings)
    tried = starting_points(view, champion)
    if trials:
        tried = within_budget(tried, candidates(view), trials)
    fading = best_fading(view, settings.training.seed, settings.training.training_threads)
    tried = [[with_fading(parameters, fading) for parameters in kind] for kind in tried]
    return choose_recipe_on(view, settings.training.seed, settings.training.training_threads, tried)


def starting_points(view: TrainingView, champion: Recipe | None) -> list[list[ComponentParameters]]:
    """Return one setting per component: the champion's, or the one that is usually good; LightFM first."""
    known = {each.parameters.name: each.parameters for each in champion.ingredients} if champion else {}
    result = []
    for usual, *_ in candidates(view):
        parameters = known.get(usual.name, usual)
        # How long to train is found anew each time: it depends on the data.
        result.append(
            [
                replace(parameters, epochs=most_epochs(view.plays.nnz))
                if isinstance(parameters, LightFM)
                else parameters
            ]
        )
    return result


def most_epochs(pairs: int) -> int:
    """Return how many epochs are tried on so many (user, track) pairs."""
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, MOST_UPDATES // max(pairs, 1)))


def within_budget(
    kept: Sequence[Sequence[ComponentParameters]],
    others: Sequence[Sequence[ComponentParameters]],
    trials: int,
) -> list[list[ComponentParameters]]:
    """Add other settings to those kept, one component after the other, as long as the trials last.

    Args:
        kept: Per component, what is tried in any case; counts too.
        others: Per component, in the same order, what else may be tried, the most promising first.
        trials: How many settings are tried in all, unless more are kept.
    """
    result = [list(settings) for settings in kept]
    waiting = [[each for each in more if each not in has] for has, more in zip(result, others, strict=True)]
    while sum(map(len, result)) < trials and any(waiting):
        for settings, more in zip(result, waiting, strict=True):
            if more and sum(map(len, result)) < trials:
                settings.append(more.pop(0))
    return result


def candidates(view: TrainingView) -> list[list[ComponentParameters]]:
    """Return the knobs worth trying of each component, LightFM first, the usually best of each first.

    EASE is there only where its matrix is small enough.
    """
    ease = [
        EASE(l2=l2, weighting="log", feature_weight=weight)
        for l2, weight in ((200.0, 1.0), (1000.0, 1.0), (200.0, 0.0), (1000.0, 0.0))
    ]
    small_enough = [parameters for parameters in ease if parameters.size(view) <= EASE_LARGEST_SIDE]
    als = [
        ALS(regularization=regularization, alpha=alpha, feature_weight=weight)
        for regularization, alpha, weight in (
            (30.0, 3.0, 0.5),
            (60.0, 10.0, 0.5),
            (30.0, 3.0, 0.0),
            (60.0, 10.0, 0.0),
        )
    ]
    epochs = most_epochs(view.plays.nnz)
    lightfm = [
        LightFM(epochs=epochs),
        LightFM(epochs=epochs, l2=1e-3, feature_weight=2.0),
        LightFM(epochs=epochs, l2=1e-4),
        LightFM(epochs=epochs, learning_rate=0.02),
        LightFM(epochs=epochs, feature_weight=0.5),
    ]
    return [list(kind) for kind in (lightfm, als, small_enough, [Popularity()]) if kind]


def choose_recipe_on(
    view: TrainingView, seed: int, threads: int, kinds: Sequence[Sequence[ComponentParameters]]
) -> Recipe:
    """Choose on a view: the best parameters of each kind, then the weights of the sum.

    Args:
        view: Its test pairs are what decides.
        seed: Of every fit, and of the people drawn if there are very many.
        threads: Of every fit.
        kinds: The parameters to try of each component, LightFM first.
    """
    view = with_fewer_test_users(view, seed)
    return recipe_of(view, [best_trial(view, tried, seed, threads) for tried in kinds])


def recipe_of(view: TrainingView, best: Sequence[Trial]) -> Recipe:
    """Weigh the best trial of each component, LightFM's first, and put down what counts."""
    weights, reached = choose_weights(view, best)
    measured: dict[str, float] = {trial.parameters.name: trial.ndcg_at_10 for trial in best}
    return Recipe(
        ingredients=tuple(
            Ingredient(trial.parameters, weight)
            for trial, weight in zip(best, weights, strict=True)
            if weight > 0
        ),
        validation_ndcg_at_10={**measured, "blend": reached},
    )


def choose_weights(view: TrainingView, trials: Sequence[Trial]) -> tuple[tuple[float, ...], float]:
    """Choose what each component counts; the first counts 1, the others 0 where they add nothing.

    The first alone is among what is compared, and wins a tie. Asking for a gain beyond its standard error was
    tried: with a few hundred people on the validation days it threw away sums that measured 3 % better later.

    Returns:
        One weight per trial, and the NDCG@10 of the sum on the view's test pairs.
    """
    grid = [(1.0, *rest) for rest in itertools.product(WEIGHTS, repeat=len(trials) - 1)]
    values = _ndcg_of_sums(view, [trial.fitted for trial in trials], grid)
    best = int(values.mean(axis=1).argmax())
    return grid[best], float(values[best].mean())


def _ndcg_of_sums(
    view: TrainingView, components: Sequence[FittedComponent], grid: Sequence[tuple[float, ...]]
) -> npt.NDArray[np.float64]:
    """Return NDCG@10 per combination of weights and user, shape (combinations, users)."""
    users = view.test_users
    lists = np.empty((len(grid), len(users), 10), dtype=np.int32)
    for start in range(0, len(users), _BLOCK):
        block = users[start : start + _BLOCK]
        parts = [standardised_scores(component.scores(block)) for component in components]
        heard = view.plays[block]
        parts[0][np.repeat(np.arange(len(block)), np.diff(heard.indptr)), heard.indices] = -np.inf
        for combination, weights in enumerate(grid):
            total = sum(
                (np.float32(w) * part for w, part in zip(weights, parts, strict=True) if w), start=0.0
            )
            lists[combination, start : start + len(block)] = best_positions(np.asarray(total), 10)
    relevant = view.test[users]
    return np.array([ndcg_per_user(combination, relevant) for combination in lists])
