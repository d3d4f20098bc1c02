"""The time decay of plays: chosen once for all components, where tastes have moved.

How decay changes the plays is in `training_view.py`; how hyperparameters are tried is in `tuning.py`.
"""

from dataclasses import replace

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
    if len(view.user_ids) <= MOST_USERS or view.freshness is None:
        return view
    rows = np.sort(np.random.default_rng(seed).choice(len(view.user_ids), MOST_USERS, replace=False))
    return replace(
        view,
        user_ids=view.user_ids[rows],
        plays=view.plays[rows],
        test=view.test[rows],
        user_features=view.user_features[rows],
        freshness=view.freshness[rows],
    )
