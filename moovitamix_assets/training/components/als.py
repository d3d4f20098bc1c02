"""Alternating least squares on implicit feedback, by the `implicit` package.

Only the fit, its default grid and the reading of its vectors belong here. It cannot score users without plays, and
scores tracks without plays by their features only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moovitamix_assets.training.components.base import (
    DecayingComponent,
    Factors,
    WeightingName,
    linear_algebra_threads,
    weighted_plays,
    with_average_for_unknown,
    with_features_as_users,
)
from moovitamix_assets.training.dataset.training_view import TrainingView


@dataclass(frozen=True)
class ALS(DecayingComponent):
    """Hyperparameters of ALS (Hu, Koren, Volinsky 2008, "Collaborative filtering for implicit feedback datasets").

    Attributes:
        embedding_size: Length of the vectors.
        regularization: Penalty on the vectors; here far above the package's default of 0.01.
        alpha: How much a play adds to the confidence of 1 that a track not played has.
        iterations: Times that users and tracks are solved for in turn.
        weighting: Weight of a play count.
        feature_weight: Weight of a play by a feature against one by a user (see `with_features_as_users`);
            0 leaves features out.
    """

    name: ClassVar[str] = "als"
    stored_names: ClassVar[Mapping[str, str]] = {"embedding_size": "components", "time_decay": "fading"}

    embedding_size: int = 64
    regularization: float = 30.0
    alpha: float = 5.0
    iterations: int = 15
    weighting: WeightingName = "log"
    feature_weight: float = 0.0

    def fit(self, view: TrainingView, seed: int, threads: int) -> Factors:
        """Fit; users without plays get a zero vector, tracks without plays and features the mean one."""
        from implicit.als import AlternatingLeastSquares

        plays = with_features_as_users(
            weighted_plays(view, self.weighting, self.time_decay),
            view.track_features,
            self.feature_weight,
        )
        with linear_algebra_threads(1):  # the package asks for it: its own threads do the work
            model = AlternatingLeastSquares(
                factors=self.embedding_size,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                num_threads=threads,
                random_state=seed,
            )
            model.fit(plays, show_progress=False)
        known_users = np.diff(view.plays.indptr) > 0
        known_tracks = np.bincount(plays.indices, minlength=plays.shape[1]) > 0
        return Factors(
            user_vectors=np.where(
                known_users[:, None], model.user_factors[: len(known_users)], np.float32(0)
            ),
            track_vectors=with_average_for_unknown(model.item_factors, known_tracks),
            covered_users=known_users,
            covered_tracks=known_tracks,
        )

    @classmethod
    def default_trials(cls, view: TrainingView) -> "Sequence[ALS]":
        """Return the default grid, the usually best first."""
        del view
        return [
            cls(regularization=regularization, alpha=alpha, feature_weight=feature_weight)
            for feature_weight in (0.5, 0.0)
            for regularization, alpha in ((30.0, 3.0), (60.0, 10.0))
        ]

    @classmethod
    def quick_trial(cls, view: TrainingView) -> "ALS | None":
        """Return hyperparameters that are fitted in seconds on a view of any size."""
        del view
        return cls(regularization=30.0, alpha=3.0, feature_weight=0.5)
