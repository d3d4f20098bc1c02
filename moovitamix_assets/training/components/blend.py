"""Several components as one model: scores standardised per user, then added with weights.

The arithmetic of the sum belongs here; components and weights are chosen in `model_selection.py`. Components that are
dot products melt into one vector per user and one per track; others add a block of scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moovitamix_assets.training.components.base import Factors, FittedComponent, FloatArray, RowArray

# Below this spread (of scores over all tracks) a component has no preference for a user and gets no weight.
_NO_SPREAD = 1e-9


@dataclass(frozen=True)
class WeightedBlock:
    """A component without vectors, and the weight of its standardised scores."""

    component: FittedComponent
    weight: float


@dataclass(frozen=True)
class Blend:
    """The weighted sum: score(u, t) = user_vectors[u] . track_vectors[t] + blocks.

    A score is in weighted standard deviations above the user's average track.

    Attributes:
        user_vectors: float32 (U, d), those of all factor components side by side, scaled per user.
        track_vectors: float32 (T, d), those of all factor components side by side, centred.
        blocks: Components without vectors.
    """

    user_vectors: FloatArray
    track_vectors: FloatArray
    blocks: tuple[WeightedBlock, ...]

    def scores(self, users: RowArray) -> FloatArray:
        """Return the blended scores of every track for some users (rows), float32 (n, T)."""
        scores: FloatArray = self.user_vectors[users] @ self.track_vectors.T
        if self.blocks:
            scores += self.block_scores(users)
        return scores

    def block_scores(self, users: RowArray) -> FloatArray:
        """Return the scores that the components without vectors add, float32 (n, T)."""
        total = np.zeros((len(users), len(self.track_vectors)), dtype=np.float32)
        for block in self.blocks:
            total += np.float32(block.weight) * standardised_scores(block.component.scores(users))
        return total


def blend(components: Sequence[FittedComponent], weights: Sequence[float]) -> Blend:
    """Add up components.

    Args:
        components: All fitted on one view; those with weight 0 are dropped.
        weights: Of the standardised scores of each.

    Raises:
        ValueError: If there are not as many weights as components, or no weight is above 0.
    """
    chosen = [
        (component, weight) for component, weight in zip(components, weights, strict=True) if weight > 0
    ]
    if not chosen:
        raise ValueError("a blend needs a component with a weight above 0")
    factors = [
        standardised_factors(component, weight)
        for component, weight in chosen
        if isinstance(component, Factors)
    ]
    blocks = [
        WeightedBlock(component, weight) for component, weight in chosen if not isinstance(component, Factors)
    ]
    users, tracks = len(chosen[0][0].covered_users), len(chosen[0][0].covered_tracks)
    none = (np.zeros((users, 0), dtype=np.float32), np.zeros((tracks, 0), dtype=np.float32))
    return Blend(
        user_vectors=np.hstack([none[0], *(user_vectors for user_vectors, _ in factors)]),
        track_vectors=np.hstack([none[1], *(track_vectors for _, track_vectors in factors)]),
        blocks=tuple(blocks),
    )


def standardised_factors(factors: Factors, weight: float) -> tuple[FloatArray, FloatArray]:
    """Return vectors whose dot product is `weight` times the standardised score.

    With m and C the mean and covariance of the track vectors, the mean and the variance of a user's scores over
    all tracks are u.m and u'Cu: the mean goes into the tracks' vectors, the deviation into the user's, and no
    score needs to be computed.

    Returns:
        User vectors (U, d) and track vectors (T, d), float32.
    """
    tracks = factors.track_vectors.astype(np.float64)
    users = factors.user_vectors.astype(np.float64)
    centred = tracks - tracks.mean(axis=0)
    covariance = centred.T @ centred / len(tracks)
    deviations = np.sqrt(np.maximum(np.einsum("ud,de,ue->u", users, covariance, users, optimize=True), 0.0))
    scales = np.divide(weight, deviations, out=np.zeros_like(deviations), where=deviations > _NO_SPREAD)
    return (users * scales[:, None]).astype(np.float32), centred.astype(np.float32)


def standardised_scores(scores: FloatArray) -> FloatArray:
    """Return each row minus its mean, divided by its standard deviation; rows without spread become 0."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    deviations = np.sqrt(np.mean(np.square(centred), axis=1, keepdims=True))
    result: FloatArray = np.divide(
        centred, deviations, out=np.zeros_like(centred), where=deviations > _NO_SPREAD
    )
    return result
