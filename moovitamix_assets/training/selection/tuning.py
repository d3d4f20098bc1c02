"""Trials: hyperparameters fitted on the validation view, and the NDCG@10 they reached there.

Which hyperparameters are tried is in `model_selection.py` and `time_decay.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from moovitamix_assets.training.components.base import Component, FittedComponent
from moovitamix_assets.training.dataset.training_view import TrainingView
from moovitamix_assets.training.evaluation.offline import ndcg_per_user, rank

PATIENCE = 2
"""Evaluations without a gain before training stops."""

MOST_USERS = 2000
"""More users than this make a choice slower but not better; so many are drawn by the seed."""


@dataclass(frozen=True)
class Trial:
    """Hyperparameters, fitted on the validation view, and the NDCG@10 they reached there."""

    component: Component
    fitted: FittedComponent
    ndcg_at_10: float


def with_fewer_test_users(view: TrainingView, seed: int, most: int = MOST_USERS) -> TrainingView:
    """Keep the test interactions of at most so many users, drawn by the seed."""
    users = view.test_users
    if len(users) <= most:
        return view
    kept = np.zeros(view.test.shape[0], dtype=np.float32)
    kept[np.random.default_rng(seed).choice(users, most, replace=False)] = 1.0
    test = view.test.multiply(kept[:, None]).tocsr()
    test.eliminate_zeros()
    return replace(view, test=test)


def best_trial(view: TrainingView, tried: Sequence[Component], seed: int, threads: int) -> Trial:
    """Fit each of the hyperparameters, with early stopping and refinements, and return the best trial."""
    trials = [_best_step(view, component, seed, threads) for component in tried]
    return max(trials, key=lambda trial: trial.ndcg_at_10)


def _trial(view: TrainingView, component: Component, fitted: FittedComponent) -> Trial:
    ranked = rank(fitted, view.test_users, seen=view.seen, length=10)
    return Trial(component, fitted, float(ndcg_per_user(ranked, view.test[view.test_users]).mean()))


def _best_step(view: TrainingView, component: Component, seed: int, threads: int) -> Trial:
    best: Trial | None = None
    steps_without_gain = 0
    for reached, fitted in component.training_steps(view, seed, threads):
        trial = _trial(view, reached, fitted)
        if best is None or trial.ndcg_at_10 > best.ndcg_at_10:
            best, steps_without_gain = trial, 0
        else:
            steps_without_gain += 1
        if steps_without_gain == PATIENCE:
            break
    if best is None:
        raise ValueError(f"{component} has no training step to evaluate: give it at least one epoch")
    refined = [_trial(view, *refinement) for refinement in best.component.refinements(best.fitted, view)]
    return max(best, *refined, key=lambda trial: trial.ndcg_at_10) if refined else best
