"""The choice of a recipe: components, hyperparameters, epochs and weights, chosen on the validation days.

The choice never sees the hold-out days. The recipe itself is in `recipe.py`, its fit in `recommender.py`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from moovitamix_assets.setting_groups import TrainingSettings
from moovitamix_assets.training.components.base import Component, FittedComponent
from moovitamix_assets.training.components.blend import blend, standardised_scores
from moovitamix_assets.training.components.registry import default_trials
from moovitamix_assets.training.dataset.snapshot import held_out_days
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.dataset.training_view import Cutoff, TrainingView, split
from moovitamix_assets.training.evaluation.offline import best_positions, ndcg_per_user
from moovitamix_assets.training.selection.new_track_calibration import choose_calibration
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent, default_recipe
from moovitamix_assets.training.selection.time_decay import best_history
from moovitamix_assets.training.selection.tuning import Trial, best_trial, with_fewer_test_users

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Weights that are tried for a further component, LightFM having weight 1."""

MINIMUM_USERS = 20
"""With fewer users on the validation days nothing is chosen there: LightFM alone, with its defaults."""

_BLOCK = 256


def choose_recipe(
    training_set: TrainingSet, settings: TrainingSettings, champion: Recipe | None = None, trials: int = 0
) -> Recipe:
    """Choose epochs, components and weights on the validation days.

    The caller refits the recipe with everything before the hold-out days (to measure it) and with everything
    (to serve it).

    Args:
        training_set: As known on the day.
        settings: Seed and threads.
        champion: The recipe whose hyperparameters are taken over; a component it lacks starts with its usual ones.
        trials: Trials in a search for better hyperparameters, over all components; 0 searches nothing.
    """
    held_out = held_out_days(training_set.as_of, settings, training_set.changed_on)
    cutoff: Cutoff = "before_holdout" if held_out.choices_on_holdout else "before_validation"
    view = split(training_set, cutoff)
    if len(view.test_users) < MINIMUM_USERS or not view.plays.nnz:
        return default_recipe()
    since_change = split(training_set, cutoff, since_change=True) if training_set.changed_on else None
    history = best_history(view, since_change, settings.seed, settings.training_threads)
    if since_change is not None and history.since_change:
        view = since_change
    tried = starting_points(view, champion)
    if trials:
        tried = within_budget(tried, default_trials(view), trials)
    tried = [[trial.with_time_decay(history.time_decay) for trial in grid] for grid in tried]
    recipe = choose_recipe_on(view, settings.seed, settings.training_threads, tried)
    return replace(recipe, learns_since=training_set.changed_on) if history.since_change else recipe


def starting_points(view: TrainingView, champion: Recipe | None) -> list[list[Component]]:
    """Return one trial per component: the champion's, or the usually best one; LightFM first."""
    known = {each.component.name: each.component for each in champion.components} if champion else {}
    return [[known.get(usual.name, usual).adapted_to(view)] for usual, *_ in default_trials(view)]


def within_budget(
    kept: Sequence[Sequence[Component]],
    others: Sequence[Sequence[Component]],
    trials: int,
) -> list[list[Component]]:
    """Add other trials to those kept, one component after the other, up to the budget.

    Args:
        kept: Per component, the trials that are run in any case; they count too.
        others: Per component, in the same order, further trials, the most promising first.
        trials: The budget: the number of trials in all, unless more are kept.
    """
    result = [list(grid) for grid in kept]
    waiting = [[each for each in more if each not in has] for has, more in zip(result, others, strict=True)]
    while sum(map(len, result)) < trials and any(waiting):
        for grid, more in zip(result, waiting, strict=True):
            if more and sum(map(len, result)) < trials:
                grid.append(more.pop(0))
    return result


def choose_recipe_on(
    view: TrainingView, seed: int, threads: int, grids: Sequence[Sequence[Component]]
) -> Recipe:
    """Choose on a view: the best trial of each component, then the weights of the sum.

    Args:
        view: Its test interactions decide.
        seed: Of every fit, and of the users drawn if there are very many.
        threads: Of every fit.
        grids: The trials of each component, LightFM first.
    """
    view = with_fewer_test_users(view, seed)
    return recipe_of(view, [best_trial(view, tried, seed, threads) for tried in grids])


def recipe_of(view: TrainingView, best: Sequence[Trial]) -> Recipe:
    """Weight the best trial of each component, LightFM's first, leave out those without weight, place new tracks."""
    weights, reached = choose_weights(view, best)
    fitted = blend([trial.fitted for trial in best], weights)
    measured: dict[str, float] = {trial.component.name: trial.ndcg_at_10 for trial in best}
    return Recipe(
        components=tuple(
            WeightedComponent(trial.component, weight)
            for trial, weight in zip(best, weights, strict=True)
            if weight > 0
        ),
        validation_ndcg_at_10={**measured, "blend": reached},
        new_tracks=choose_calibration(view, fitted),
    )


def choose_weights(view: TrainingView, trials: Sequence[Trial]) -> tuple[tuple[float, ...], float]:
    """Choose the weight of each component: 1 for the first, 0 for others that improve nothing.

    The first alone is among the candidates, and wins a tie. Asking for a gain beyond its standard error was
    tried: with a few hundred users on the validation days it discarded sums that measured 3 % better later.

    Returns:
        One weight per trial, and the NDCG@10 of the sum on the view's test interactions.
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
    ranked = np.empty((len(grid), len(users), 10), dtype=np.int32)
    for start in range(0, len(users), _BLOCK):
        block = users[start : start + _BLOCK]
        parts = [standardised_scores(component.scores(block)) for component in components]
        seen = view.seen[block]
        parts[0][np.repeat(np.arange(len(block)), np.diff(seen.indptr)), seen.indices] = -np.inf
        for combination, weights in enumerate(grid):
            total = sum(
                (np.float32(w) * part for w, part in zip(weights, parts, strict=True) if w), start=0.0
            )
            ranked[combination, start : start + len(block)] = best_positions(np.asarray(total), 10)
    relevant = view.test[users]
    return np.array([ndcg_per_user(combination, relevant) for combination in ranked])
