"""Trials: knobs fitted on the validation view, and what they reached there.

Which knobs are tried is in `model_selection.py` and `time_decay.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from moovitamix_assets.training.components.base import ComponentParameters, Factors, FittedComponent
from moovitamix_assets.training.components.lightfm import LightFM, mixed_with_history
from moovitamix_assets.training.dataset.training_set import TrainingView
from moovitamix_assets.training.evaluation.offline import ndcg_per_user, rank

EPOCH_STEP = 5
"""Epochs between two looks at the validation days ..."""

LOOKS = 8
"""... but as few as it takes to look so often."""

PATIENCE = 2
"""Looks without a gain before training stops."""

HISTORY_WEIGHT = 0.5
"""What is tried as LightFM's `history_weight` beside 0."""

MOST_USERS = 2000
"""More people than this make a choice slower but not better; so many are drawn by the seed."""


@dataclass(frozen=True)
class Trial:
    """Parameters, fitted on the validation view, and the NDCG@10 they reached there."""

    parameters: ComponentParameters
    fitted: FittedComponent
    ndcg_at_10: float


def with_fewer_test_users(view: TrainingView, seed: int, most: int = MOST_USERS) -> TrainingView:
    """Keep the test pairs of at most so many people, drawn by the seed."""
    users = view.test_users
    if len(users) <= most:
        return view
    kept = np.zeros(view.test.shape[0], dtype=np.float32)
    kept[np.random.default_rng(seed).choice(users, most, replace=False)] = 1.0
    test = view.test.multiply(kept[:, None]).tocsr()
    test.eliminate_zeros()
    return replace(view, test=test)


def best_trial(view: TrainingView, tried: Sequence[ComponentParameters], seed: int, threads: int) -> Trial:
    """Fit each of the parameters and return the best; LightFM's epochs are cut short by early stopping."""
    trials = [
        _stopped_early(view, parameters, seed, threads)
        if isinstance(parameters, LightFM)
        else _trial(view, parameters, parameters.fit(view, seed, threads))
        for parameters in tried
    ]
    return max(trials, key=lambda trial: trial.ndcg_at_10)


def _trial(view: TrainingView, parameters: ComponentParameters, fitted: FittedComponent) -> Trial:
    lists = rank(fitted, view.test_users, heard=view.plays, length=10)
    return Trial(parameters, fitted, float(ndcg_per_user(lists, view.test[view.test_users]).mean()))


def _stopped_early(view: TrainingView, parameters: LightFM, seed: int, threads: int) -> Trial:
    best: Trial | None = None
    looks_without_gain = 0
    step = max(1, min(EPOCH_STEP, parameters.epochs // LOOKS))
    for look, fitted in enumerate(parameters.epoch_by_epoch(view, seed, threads, step), start=1):
        trial = _trial(view, replace(parameters, epochs=look * step), fitted)
        if best is None or trial.ndcg_at_10 > best.ndcg_at_10:
            best, looks_without_gain = trial, 0
        else:
            looks_without_gain += 1
        if looks_without_gain == PATIENCE:
            break
    if best is None:
        raise ValueError(f"{parameters.epochs} epochs leave nothing to look at")
    return max(best, _with_history(view, best), key=lambda trial: trial.ndcg_at_10)


def _with_history(view: TrainingView, trial: Trial) -> Trial:
    """Try the same vectors mixed with those of the tracks played, which needs no further training."""
    if not isinstance(trial.parameters, LightFM) or not isinstance(trial.fitted, Factors):
        raise TypeError(f"{trial.parameters.name} has no history to mix with")
    parameters = replace(trial.parameters, history_weight=HISTORY_WEIGHT)
    return _trial(view, parameters, mixed_with_history(trial.fitted, view, HISTORY_WEIGHT))
