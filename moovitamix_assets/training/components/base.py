"""What every component of the model has in common: parameters that fit on a view, and what comes out.

The interface, the vectors most components consist of, and the thread limit belong here; each algorithm has
a file of its own, and how components are added up is in `training/components/blend.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from moovitamix_assets.training.dataset.training_set import TrainingView

ComponentName = Literal["lightfm", "als", "ease", "popularity", "random", "item_knn"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
RowArray = npt.NDArray[np.int64]


class FittedComponent(Protocol):
    """A component that has been fitted; users and tracks are the rows and columns of its view."""

    @property
    def covered_users(self) -> BoolArray:
        """Whether the component has its own answer for a user, shape (U,)."""
        ...

    @property
    def covered_tracks(self) -> BoolArray:
        """Whether the component can tell a track from the average one, shape (T,)."""
        ...

    def scores(self, users: RowArray) -> FloatArray:
        """Return the scores of every track for some users, shape (n, T); higher is better."""
        ...


class ComponentParameters(Protocol):
    """The knobs of a component: an immutable dataclass that knows how to fit it."""

    @property
    def name(self) -> ComponentName:
        """Which component these are the knobs of."""
        ...

    def fit(self, view: TrainingView, seed: int, threads: int) -> FittedComponent:
        """Fit on the plays of `view`; one thread and one seed give one result."""
        ...


@dataclass(frozen=True)
class Factors:
    """A component whose score is a dot product.

    Attributes:
        user_vectors: float32 (U, d).
        track_vectors: float32 (T, d).
        covered_users: bool (U,).
        covered_tracks: bool (T,).
    """

    user_vectors: FloatArray
    track_vectors: FloatArray
    covered_users: BoolArray
    covered_tracks: BoolArray

    def scores(self, users: RowArray) -> FloatArray:
        """Return `user_vectors[users] @ track_vectors.T`, shape (n, T)."""
        scores: FloatArray = self.user_vectors[users] @ self.track_vectors.T
        return scores


WeightingName = Literal["ones", "log", "plays"]
"""What a play count is worth: 1 whatever the count, log(1 + count), or the count itself."""


def weighted(plays: sparse.csr_matrix, weighting: WeightingName) -> sparse.csr_matrix:
    """Return a float32 copy of `plays` with each count replaced by its worth."""
    result = plays.astype(np.float32, copy=True)
    if weighting == "ones":
        result.data[:] = 1.0
    elif weighting == "log":
        result.data = np.log1p(result.data)
    return result


def with_features_as_listeners(
    plays: sparse.csr_matrix, track_features: sparse.csr_matrix, feature_weight: float
) -> sparse.csr_matrix:
    """Put one row per track feature below the plays: a listener who played every track that has the feature.

    Models that know plays only then place tracks with a common artist or genre near each other, and say
    something of a track that nobody has played yet.

    Args:
        plays: Weighted plays (U, T).
        track_features: (T, G); only where it has entries matters.
        feature_weight: What such a play is worth, in mean weights of a real one; 0 adds no row.

    Returns:
        float32 CSR (U + G, T), or the plays themselves.
    """
    if feature_weight <= 0 or track_features.shape[1] == 0 or plays.nnz == 0:
        return plays
    listeners = track_features.T.tocsr().astype(np.float32)
    listeners.data[:] = feature_weight * plays.data.mean()
    return sparse.vstack([plays, listeners], format="csr", dtype=np.float32)


def with_average_for_unknown(vectors: FloatArray, known: BoolArray) -> FloatArray:
    """Give the tracks a component knows nothing of the mean vector of those it knows.

    Such a track then gets the component's average score, so that it neither gains nor loses by a component
    that has no opinion, and the other components decide.
    """
    result = vectors.copy()
    if known.any() and not known.all():
        result[~known] = vectors[known].mean(axis=0)
    return result


@contextmanager
def linear_algebra_threads(threads: int) -> Iterator[None]:
    """Limit BLAS to `threads`; with one thread sums are added in one order and results repeat exactly."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads, user_api="blas"):
        yield
