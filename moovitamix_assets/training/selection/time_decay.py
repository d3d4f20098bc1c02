"""The history that components learn from: with which time decay, or only since tastes changed; one choice for all.

How decay changes the plays is in `training_view.py`; how hyperparameters are tried is in `tuning.py`.
"""

from dataclasses import dataclass, replace

import numpy as np

from moovitamix_assets.training.components.registry import quick_trial
from moovitamix_assets.training.dataset.training_view import TrainingView
from moovitamix_assets.training.selection.tuning import best_trial, with_fewer_test_users

TIME_DECAYS = (1.0, 2.0, 4.0)
"""Values that are tried as the components' `time_decay`, in addition to 0."""

MINIMUM_GAIN = 1.02
"""The factor by which NDCG@10 must grow before old plays decay."""

MOST_USERS = 20_000
"""Of more users so many, with all they played, are drawn by the seed: tastes move for all of them."""


@dataclass(frozen=True)
class History:
    """The plays to learn from: all with a time decay, or those since tastes changed."""

    time_decay: float = 0.0
    since_change: bool = False


def best_history(view: TrainingView, since_change: TrainingView | None, seed: int, threads: int) -> History:
    """Choose between all plays, with or without time decay, and those since a change; one quick component decides.

    Args:
        view: All plays before a cutoff.
        since_change: The same without those before the change; None if tastes did not change.
        seed: Of the fits and of the users drawn.
        threads: Of the fits.
    """
    time_decay = best_time_decay(view, seed, threads)
    if since_change is None or not since_change.plays.nnz:
        return History(time_decay)
    reached = []
    for each, decay in ((view, time_decay), (since_change, 0.0)):
        each = with_fewer_test_users(_some_users(each, seed), seed)
        trial = quick_trial(each).with_time_decay(decay)
        reached.append(best_trial(each, [trial], seed, threads).ndcg_at_10)
    return History(since_change=True) if reached[1] > reached[0] else History(time_decay)


def best_time_decay(view: TrainingView, seed: int, threads: int) -> float:
    """Choose the time decay of all components, by one that is fitted in seconds.

    Where tastes stay, old plays are as good as new ones, and there are more of them: they decay only for a clear gain.
    """
    if view.freshness is None:
        return 0.0
    view = with_fewer_test_users(_some_users(view, seed), seed)
    quick = quick_trial(view)
    reached = {
        time_decay: best_trial(view, [quick.with_time_decay(time_decay)], seed, threads).ndcg_at_10
        for time_decay in (0.0, *TIME_DECAYS)
    }
    best = max(reached, key=lambda time_decay: reached[time_decay])
    return best if reached[best] > MINIMUM_GAIN * reached[0.0] else 0.0


def _some_users(view: TrainingView, seed: int) -> TrainingView:
    if len(view.user_ids) <= MOST_USERS:
        return view
    rows = np.sort(np.random.default_rng(seed).choice(len(view.user_ids), MOST_USERS, replace=False))
    return replace(
        view,
        user_ids=view.user_ids[rows],
        plays=view.plays[rows],
        test=view.test[rows],
        user_features=view.user_features[rows],
        freshness=None if view.freshness is None else view.freshness[rows],
        test_days=None if view.test_days is None else view.test_days[rows],
        older_plays=None if view.older_plays is None else view.older_plays[rows],
    )
