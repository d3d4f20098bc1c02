"""LightFM with WARP loss on identity and row-normalised features: the component that every recipe contains.

Building its feature matrices, training it epoch by epoch, its default grid and reading its vectors belong here. It is
the only component that scores users and tracks without plays, through their features.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import sparse

from moovitamix_assets.training.components.base import (
    BoolArray,
    DecayingComponent,
    Factors,
    FittedComponent,
    FloatArray,
    WeightingName,
    linear_algebra_threads,
    weighted_plays,
)
from moovitamix_assets.training.dataset.training_view import TrainingView

if TYPE_CHECKING:
    from lightfm import LightFM as LightFMModel

MOST_EPOCHS = 40
"""The limit of epochs in any case."""

MOST_UPDATES = 60_000_000
"""Interactions processed in one fit, beyond which the epochs are fewer: more data moves each vector more often in
an epoch. Counts from 1.5 million interactions; a core processes some 150,000 a second."""

FEWEST_EPOCHS = 5
"""Epochs that remain however many interactions there are: from 12 million on, time grows with them."""

EPOCH_STEP = 5
"""Epochs between two evaluations of early stopping ..."""

EVALUATIONS = 8
"""... but as few as it takes to evaluate so often."""

HISTORY_WEIGHT = 0.5
"""The `history_weight` that is tried, in addition to 0."""


@dataclass(frozen=True)
class LightFM(DecayingComponent):
    """Hyperparameters of LightFM (Kula 2015, "Metadata embeddings for user and item cold-start recommendations").

    Attributes:
        embedding_size: Length of the vectors.
        learning_rate: Of AdaGrad, at the start.
        regularization: L2 penalty on the embeddings; 3e-4, or 1e-3 where there is little data per user.
        epochs: Passes over the interactions; chosen by early stopping.
        feature_weight: Weight of all features of a row together, its identity having weight 1. 0 leaves them out.
        max_sampled: Negatives WARP draws at most before it gives up on an interaction.
        weighting: Weight of a play count, as sample weight.
        history_weight: Share of a user's vector that is the mean of the vectors of the tracks they played
            (see `mixed_with_history`).
    """

    name: ClassVar[str] = "lightfm"
    stored_names: ClassVar[Mapping[str, str]] = {
        "embedding_size": "components",
        "regularization": "l2",
        "time_decay": "fading",
    }

    embedding_size: int = 64
    learning_rate: float = 0.05
    regularization: float = 3e-4
    epochs: int = 25
    feature_weight: float = 1.0
    max_sampled: int = 10
    weighting: WeightingName = "log"
    history_weight: float = 0.0

    def fit(self, view: TrainingView, seed: int, threads: int) -> Factors:
        """Fit for all epochs."""
        *_, last = self.epoch_by_epoch(view, seed, threads, every=self.epochs)
        return last

    def epoch_by_epoch(self, view: TrainingView, seed: int, threads: int, every: int) -> Iterator[Factors]:
        """Train, and yield the vectors after each `every` epochs, up to `epochs`.

        Raises:
            ValueError: If the view has no play at all.
        """
        from lightfm import LightFM as LightFMModel

        known_users = np.diff(view.plays.indptr) > 0
        known_tracks = view.track_plays > 0
        if not known_users.any():
            raise ValueError("no user played anything before the cutoff: there is nothing to learn from")
        users = _with_identity(view.user_features, known_users, self.feature_weight)
        tracks = _with_identity(view.track_features, known_tracks, self.feature_weight)
        # Only tracks that were played take part: WARP draws its negatives from all columns, and a track that
        # came yesterday would be pushed down for not having been played before it existed.
        plays = weighted_plays(view, self.weighting, self.time_decay)[known_users][:, known_tracks]
        weights = plays.tocoo()
        weights.data /= weights.data.mean()
        ones = sparse.coo_matrix((np.ones_like(weights.data), (weights.row, weights.col)), shape=plays.shape)
        model = LightFMModel(
            no_components=self.embedding_size,
            loss="warp",
            learning_rate=self.learning_rate,
            item_alpha=self.regularization,
            user_alpha=self.regularization,
            max_sampled=self.max_sampled,
            random_state=seed,
        )
        for _ in range(every, self.epochs + 1, every):
            with linear_algebra_threads(threads):
                model.fit_partial(
                    ones,
                    user_features=users[known_users],
                    item_features=tracks[known_tracks],
                    sample_weight=weights,
                    epochs=every,
                    num_threads=threads,
                )
                yield mixed_with_history(
                    _factors(model, users, tracks), view, self.history_weight, self.time_decay
                )

    @classmethod
    def default_trials(cls, view: TrainingView) -> "Sequence[LightFM]":
        """Return the default grid, the usually best first."""
        epochs = most_epochs(view.plays.nnz)
        return [
            cls(epochs=epochs),
            cls(epochs=epochs, regularization=1e-3, feature_weight=2.0),
            cls(epochs=epochs, regularization=1e-4),
            cls(epochs=epochs, learning_rate=0.02),
            cls(epochs=epochs, feature_weight=0.5),
        ]

    def adapted_to(self, view: TrainingView) -> "LightFM":
        """Return the hyperparameters with as many epochs as the data allow: early stopping finds the rest anew."""
        return replace(self, epochs=most_epochs(view.plays.nnz))

    def training_steps(
        self, view: TrainingView, seed: int, threads: int
    ) -> "Iterator[tuple[LightFM, FittedComponent]]":
        """Yield the state after each `EPOCH_STEP` epochs, or fewer where there are few epochs in all."""
        every = max(1, min(EPOCH_STEP, self.epochs // EVALUATIONS))
        for step, fitted in enumerate(self.epoch_by_epoch(view, seed, threads, every), start=1):
            yield replace(self, epochs=step * every), fitted

    def refinements(
        self, fitted: FittedComponent, view: TrainingView
    ) -> "Iterator[tuple[LightFM, FittedComponent]]":
        """Yield the same vectors mixed with those of the tracks played."""
        if not isinstance(fitted, Factors):
            raise TypeError(f"{type(fitted).__name__} is no fitted LightFM: it has no vectors")
        # Tried without the time decay, which a fit of these hyperparameters applies.
        yield (
            replace(self, history_weight=HISTORY_WEIGHT),
            mixed_with_history(fitted, view, HISTORY_WEIGHT),
        )


def most_epochs(interactions: int) -> int:
    """Return the epochs at which training stops, for so many interactions."""
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, MOST_UPDATES // max(interactions, 1)))


def mixed_with_history(
    factors: Factors, view: TrainingView, history_weight: float, time_decay: float = 0.0
) -> Factors:
    """Move the vector of each user with plays towards the mean of the tracks they played, recent ones first.

    A vector learnt from few plays is mostly noise, the mean of the tracks is not: on short histories half and
    half ranked better than either (NDCG@10 .105 against .086 and .094 with 1 to 5 plays, .103 against .086 with
    6 to 15), on long ones it changed nothing. The bias column stays as it is.
    """
    if history_weight <= 0:
        return factors
    played = view.plays.sign()
    if time_decay and view.freshness is not None:
        played.data *= view.freshness.data ** np.float32(time_decay)
    counts = np.asarray(played.sum(axis=1, dtype=np.float64)).ravel()
    rows = np.flatnonzero(np.diff(played.indptr))
    means = (played[rows] @ factors.track_vectors[:, :-1]) / counts[rows, None]
    vectors = factors.user_vectors.copy()
    vectors[rows, :-1] = (1 - history_weight) * vectors[rows, :-1] + history_weight * means
    return replace(factors, user_vectors=vectors.astype(np.float32))


def _with_identity(features: sparse.csr_matrix, known: BoolArray, feature_weight: float) -> sparse.csr_matrix:
    """Put one identity column per known row before the features; unknown rows have their features only."""
    rows = np.flatnonzero(known)
    identity = sparse.csr_matrix(
        (np.ones(len(rows), dtype=np.float32), (rows, np.arange(len(rows)))), shape=(len(known), len(rows))
    )
    blocks = [identity, features * np.float32(feature_weight)] if feature_weight > 0 else [identity]
    return sparse.hstack(blocks, format="csr", dtype=np.float32)


def _factors(model: "LightFMModel", users: sparse.csr_matrix, tracks: sparse.csr_matrix) -> Factors:
    """Return vectors whose last component carries the track's bias; a user's own bias ranks nothing."""
    track_biases = (tracks @ model.item_biases).astype(np.float32)
    user_embeddings: FloatArray = (users @ model.user_embeddings).astype(np.float32)
    track_embeddings: FloatArray = (tracks @ model.item_embeddings).astype(np.float32)
    return Factors(
        user_vectors=np.hstack([user_embeddings, np.ones((users.shape[0], 1), dtype=np.float32)]),
        track_vectors=np.hstack([track_embeddings, track_biases[:, None]]),
        covered_users=np.diff(users.indptr) > 0,
        covered_tracks=np.diff(tracks.indptr) > 0,
    )
