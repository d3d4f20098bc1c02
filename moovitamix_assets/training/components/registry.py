"""The one list of components: what recipes and artifacts may name, and in which order components are blended.

Adding a component is its own module, one line here and its test. Its hyperparameters, default grid and fitted form are
its own matter.
"""

from collections.abc import Mapping, Sequence

from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import Component
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.item_knn import ItemKNN
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.components.random import Random
from moovitamix_assets.training.dataset.training_view import TrainingView

# The first is part of every recipe: it alone covers users and tracks without plays.
_BY_ORDER: tuple[type[Component], ...] = (LightFM, ALS, EASE, Popularity, ItemKNN, Random)

COMPONENTS: Mapping[str, type[Component]] = {component.name: component for component in _BY_ORDER}
BASE = _BY_ORDER[0]

# Those to ask first for a fit in seconds.
_QUICK: tuple[type[Component], ...] = (EASE, ALS)


def component_named(name: str) -> type[Component]:
    """Return the component that a recipe or an artifact names.

    Raises:
        KeyError: If there is no such component; the message names those there are.
    """
    if name not in COMPONENTS:
        raise KeyError(f"there is no component {name!r}, only {', '.join(COMPONENTS)}")
    return COMPONENTS[name]


def default_trials(view: TrainingView) -> list[Sequence[Component]]:
    """Return the default grid of each component to blend, the base component first, the usually best of each first."""
    grids = [component.default_trials(view) for component in COMPONENTS.values()]
    return [grid for grid in grids if grid]


def quick_trial(view: TrainingView) -> Component:
    """Return hyperparameters of a component with time decay that is fitted on the view in seconds."""
    trials = (component.quick_trial(view) for component in _QUICK)
    return next(trial for trial in trials if trial is not None)
