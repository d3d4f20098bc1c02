"""Alternating least squares on implicit feedback, by the `implicit` package.

Only the fit and the reading of its vectors belong here. It knows nothing of people without plays, and of
tracks without plays no more than their features.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from moovitamix_assets.training.components.base import (
    Factors,
    WeightingName,
    linear_algebra_threads,
    weighted,
    with_average_for_unknown,
    with_features_as_listeners,
)
from moovitamix_assets.training.dataset.training_set import TrainingView


@dataclass(frozen=True)
class ALS:
    """Knobs of ALS (Hu, Koren, Volinsky 2008, "Collaborative filtering for implicit feedback datasets").

    Attributes:
        components: Length of the vectors.
        regularization: Penalty on the vectors; here far above the package's default of 0.01.
        alpha: What a play adds to the confidence of 1 that a track not played has.
        iterations: Times that users and tracks are solved for in turn.
        weighting: What a play count is worth.
        feature_weight: What a play by a feature counts beside one by a person (see
            `with_features_as_listeners`); 0 leaves features out.
        fading: How fast plays of long ago cease to count (see `TrainingView.faded_plays`).
    """

    components: int = 64
    regularization: float = 30.0
    alpha: float = 5.0
    iterations: int = 15
    weighting: WeightingName = "log"
    feature_weight: float = 0.0
    fading: float = 0.0
    name: Literal["als"] = "als"

    def fit(self, view: TrainingView, seed: int, threads: int) -> Factors:
        """Fit; people without plays get a zero vector, tracks without plays and features the mean one."""
        from implicit.als import AlternatingLeastSquares

        plays = with_features_as_listeners(
            weighted(view.faded_plays(self.fading), self.weighting), view.track_features, self.feature_weight
        )
        with linear_algebra_threads(1):  # the package asks for it: its own threads do the work
            model = AlternatingLeastSquares(
                factors=self.components,
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
