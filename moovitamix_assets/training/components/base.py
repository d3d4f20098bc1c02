"""The interface of every component of the model: hyperparameters that fit on a view, and the fitted form.

The interface, the vectors most components consist of, and the thread limit belong here. Each algorithm has a file of
its own and one line in `registry.py`; how components are added up is in `blend.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from moovitamix_assets.training.dataset.training_view import TrainingView

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
RowArray = npt.NDArray[np.int64]


class FittedComponent(Protocol):
    """A fitted component; users and tracks are the rows and columns of its view.

    It is either `Factors`, which melt into the vectors of a blend, or a frozen dataclass of arrays, sparse matrices
    and plain JSON values, which `artifacts/artifact.py` stores field by field (no field is called name or weight).
    """

    @property
    def covered_users(self) -> BoolArray:
        """True for each user for whom the component has scores of their own, shape (U,)."""
        ...

    @property
    def covered_tracks(self) -> BoolArray:
        """True for each track that the component can distinguish from the average one, shape (T,)."""
        ...

    def scores(self, users: RowArray) -> FloatArray:
        """Return the scores of every track for some users, shape (n, T); higher is better."""
        ...


@dataclass(frozen=True)
class Component(ABC):
    """The hyperparameters of a component: an immutable dataclass that can fit itself.

    Attributes:
        name: Identifies the component in recipes, artifacts and reports; never changed once models are stored.
        stored_type: The class of its fitted form, if that is not `Factors`.
        stored_names: By field, the name it has in stored recipes where that is another one. Recipes are part of the
            model version, so a stored name is never changed.
    """

    name: ClassVar[str]
    stored_type: ClassVar[type[Any] | None] = None
    stored_names: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def fit(self, view: TrainingView, seed: int, threads: int) -> FittedComponent:
        """Fit on the plays of `view`; one thread and one seed give one result."""

    @classmethod
    def default_trials(cls, view: TrainingView) -> "Sequence[Component]":
        """Return the default grid for tuning on a view, the usually best first.

        Empty for a component that is not blended: a baseline, or one that is too expensive for this view.
        """
        del view
        return ()

    @classmethod
    def quick_trial(cls, view: TrainingView) -> "Component | None":
        """Return hyperparameters that are fitted in seconds, to probe what all components share; None if none are."""
        del view
        return None

    def adapted_to(self, view: TrainingView) -> Self:
        """Return the hyperparameters with those replaced that depend on the amount of data."""
        del view
        return self

    def with_time_decay(self, time_decay: float) -> Self:
        """Return the hyperparameters with another time decay; unchanged where the component has none."""
        del time_decay
        return self

    def training_steps(
        self, view: TrainingView, seed: int, threads: int
    ) -> "Iterator[tuple[Component, FittedComponent]]":
        """Fit, and yield each state that may be kept, for early stopping; the last one is the full fit."""
        yield self, self.fit(view, seed, threads)

    def refinements(
        self, fitted: FittedComponent, view: TrainingView
    ) -> "Iterator[tuple[Component, FittedComponent]]":
        """Yield variants of a fitted state that need no further training."""
        del fitted, view
        yield from ()

    def to_json(self) -> dict[str, Any]:
        """Return name and hyperparameters as plain JSON values."""
        values = {self.stored_names.get(field, field): value for field, value in asdict(self).items()}
        return {"name": self.name, **values}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            TypeError: If it holds a hyperparameter that the component does not have.
        """
        fields = {stored: field for field, stored in cls.stored_names.items()}
        return cls(**{fields.get(key, key): value for key, value in values.items() if key != "name"})


@dataclass(frozen=True, kw_only=True)
class DecayingComponent(Component, ABC):
    """A component whose plays can decay with their age.

    Attributes:
        time_decay: How fast old plays lose weight (see `TrainingView.decayed_plays`); 0 switches it off.
    """

    time_decay: float = 0.0

    def with_time_decay(self, time_decay: float) -> Self:
        """Return the hyperparameters with another time decay."""
        return replace(self, time_decay=time_decay)


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
"""The weight of a play count: 1 whatever the count, log(1 + count), or the count itself."""


def weighted_plays(view: TrainingView, weighting: WeightingName, time_decay: float) -> sparse.csr_matrix:
    """Return the plays of a view with time decay, each count replaced by its weight, float32 CSR (U, T).

    With `ones` the age decays the ones: decayed counts would be replaced like all others, and age would not matter.
    """
    if weighting == "ones":
        return replace(view, plays=weighted(view.plays, "ones")).decayed_plays(time_decay)
    return weighted(view.decayed_plays(time_decay), weighting)


def weighted(plays: sparse.csr_matrix, weighting: WeightingName) -> sparse.csr_matrix:
    """Return a float32 copy of `plays` with each count replaced by its weight."""
    result = plays.astype(np.float32, copy=True)
    if weighting == "ones":
        result.data[:] = 1.0
    elif weighting == "log":
        result.data = np.log1p(result.data)
    return result


def with_features_as_users(
    plays: sparse.csr_matrix, track_features: sparse.csr_matrix, feature_weight: float
) -> sparse.csr_matrix:
    """Append one row per track feature to the plays: a pseudo-user who played every track with that feature.

    Models that know plays only then place tracks with a common artist or genre near each other, and can score
    tracks that nobody has played yet.

    Args:
        plays: Weighted plays (U, T).
        track_features: (T, G); only the positions of its entries matter.
        feature_weight: Weight of such a play, as a multiple of the mean weight of a real one; 0 appends no row.

    Returns:
        float32 CSR (U + G, T), or the plays themselves.
    """
    if feature_weight <= 0 or track_features.shape[1] == 0 or plays.nnz == 0:
        return plays
    pseudo_users = track_features.T.tocsr().astype(np.float32)
    pseudo_users.data[:] = feature_weight * plays.data.mean()
    return sparse.vstack([plays, pseudo_users], format="csr", dtype=np.float32)


def with_average_for_unknown(vectors: FloatArray, known: BoolArray) -> FloatArray:
    """Give tracks that a component cannot score the mean vector of those it can.

    Such a track then gets the component's average score: it neither gains nor loses by that component, and the
    other components decide.
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
