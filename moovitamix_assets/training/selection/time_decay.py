"""How fast plays of long ago cease to count: chosen once for all components, where tastes have moved.

What fading does to the plays is in `training_set.py`; how knobs are tried is in `tuning.py`.
"""

from dataclasses import replace

import numpy as np

from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import ComponentParameters
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.dataset.training_set import TrainingView
from moovitamix_assets.training.selection.tuning import best_trial, with_fewer_test_users

FADINGS = (1.0, 2.0, 4.0)
"""What is tried beside 0 as the components' `fading`."""

FADING_GAIN = 1.02
"""How many times NDCG@10 must grow before old plays fade."""

EASE_QUICK_SIDE = 3000
"""Up to this side of its matrix EASE is fitted in a few seconds; ALS needs more plays to say as much."""

_QUICK_EASE = EASE(l2=200.0, weighting="log", feature_weight=1.0)
_QUICK_ALS = ALS(regularization=30.0, alpha=3.0, feature_weight=0.5)

MOST_PEOPLE = 20_000
"""Of more people so many, with all they played, are drawn by the seed: tastes move for everybody."""


def best_fading(view: TrainingView, seed: int, threads: int) -> float:
    """Choose how fast plays of long ago cease to count, for all components, by one that is fitted in seconds.

    Where tastes stay, old plays are worth as much as new ones, and more of them: they fade only for a clear gain.
    """
    if view.freshness is None:
        return 0.0
    view = with_fewer_test_users(_some_people(view, seed), seed)
    quick: ALS | EASE = _QUICK_EASE if _QUICK_EASE.size(view) <= EASE_QUICK_SIDE else _QUICK_ALS
    reached = {
        fading: best_trial(view, [replace(quick, fading=fading)], seed, threads).ndcg_at_10
        for fading in (0.0, *FADINGS)
    }
    best = max(reached, key=lambda fading: reached[fading])
    return best if reached[best] > FADING_GAIN * reached[0.0] else 0.0


def with_fading(parameters: ComponentParameters, fading: float) -> ComponentParameters:
    """Return the knobs with another fading, where the component has one."""
    return replace(parameters, fading=fading) if isinstance(parameters, LightFM | ALS | EASE) else parameters


def _some_people(view: TrainingView, seed: int) -> TrainingView:
    if len(view.user_ids) <= MOST_PEOPLE or view.freshness is None:
        return view
    rows = np.sort(np.random.default_rng(seed).choice(len(view.user_ids), MOST_PEOPLE, replace=False))
    return replace(
        view,
        user_ids=view.user_ids[rows],
        plays=view.plays[rows],
        test=view.test[rows],
        user_features=view.user_features[rows],
        freshness=view.freshness[rows],
    )
