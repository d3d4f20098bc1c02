"""A different random order for each user: the floor of every metric.

Only this baseline belongs here.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moovitamix_assets.training.components.base import BoolArray, Component, FloatArray, RowArray
from moovitamix_assets.training.dataset.training_view import TrainingView


@dataclass(frozen=True)
class FittedRandom:
    """Scores drawn anew for each user from a stream of the user's own, so that blocks do not matter."""

    seed: int
    covered_users: BoolArray
    covered_tracks: BoolArray

    def scores(self, users: RowArray) -> FloatArray:
        """Return uniform scores, shape (n, T)."""
        tracks = len(self.covered_tracks)
        rows = [
            np.random.default_rng((self.seed, int(user))).random(tracks, dtype=np.float32) for user in users
        ]
        return np.array(rows, dtype=np.float32).reshape(len(users), tracks)


@dataclass(frozen=True)
class Random(Component):
    """The random order; it has no hyperparameters."""

    name: ClassVar[str] = "random"
    stored_type: ClassVar[type[Any] | None] = FittedRandom

    def fit(self, view: TrainingView, seed: int, threads: int) -> FittedRandom:
        """Remember the seed and the shape."""
        del threads
        users, tracks = view.plays.shape
        return FittedRandom(seed, np.ones(users, dtype=bool), np.ones(tracks, dtype=bool))
