"""The plays of the last 30 days, the same ranking for all users: the baseline that any model must beat.

The baseline as a component belongs here; recommendations for users without plays (favourite genres first) are in
`training/artifacts/serving.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moovitamix_assets.training.components.base import Component, Factors
from moovitamix_assets.training.dataset.training_view import TrainingView


@dataclass(frozen=True)
class Popularity(Component):
    """Recent plays before the cut, with the plays of all time to break ties."""

    name: ClassVar[str] = "popularity"

    def fit(self, view: TrainingView, seed: int, threads: int) -> Factors:
        """Return factors of length 1: each user's is 1, each track's its recent plays."""
        del seed, threads
        tie_break = view.track_plays / (view.track_plays.max(initial=0.0) + 1.0)
        users, tracks = view.plays.shape
        return Factors(
            user_vectors=np.ones((users, 1), dtype=np.float32),
            track_vectors=(view.recent_plays + tie_break)[:, None].astype(np.float32),
            covered_users=np.ones(users, dtype=bool),
            covered_tracks=np.ones(tracks, dtype=bool),
        )

    @classmethod
    def default_trials(cls, view: TrainingView) -> "Sequence[Popularity]":
        """Return the one trial there is."""
        del view
        return [cls()]
