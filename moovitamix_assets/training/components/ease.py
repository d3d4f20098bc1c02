"""EASE: the closed-form item-item model, computed on the smaller side of the matrix.

Its two exact forms, their size limits and its default grid belong here. It has no vectors, only blocks of scores. It
cannot score users without plays, and scores tracks without plays by their features only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from moovitamix_assets.training.components.base import (
    BoolArray,
    DecayingComponent,
    FloatArray,
    RowArray,
    WeightingName,
    linear_algebra_threads,
    weighted_plays,
    with_features_as_users,
)
from moovitamix_assets.training.dataset.training_view import TrainingView

LARGEST_SIDE = 8000
"""EASE is left out above this side of its dense matrix: 8,000 squared are 0.5 GB and half a minute."""

QUICK_SIDE = 3000
"""Up to this side a fit takes a few seconds; ALS needs more plays to be as accurate."""

_BLOCK = 2048
"""Tracks handled at once where a dense block of users by tracks is needed."""


@dataclass(frozen=True)
class FittedEase:
    """EASE after the fit, in the form that needs the smaller matrix.

    Attributes:
        plays: The weighted plays X, float32 CSR (U + G, T), those of G features below those of the users.
        side: Whether `matrix` is the item-item weights B (T, T) or the users' rows of the kernel K (U, U + G).
        matrix: float32; see `side`.
        track_scale: diag(P) of the paper, float32 (T,); only read on the users' side.
        covered_users: bool (U,).
        covered_tracks: bool (T,).
    """

    plays: sparse.csr_matrix
    side: Literal["tracks", "users"]
    matrix: FloatArray
    track_scale: FloatArray
    covered_users: BoolArray
    covered_tracks: BoolArray

    def scores(self, users: RowArray) -> FloatArray:
        """Return X B for some users, shape (n, T); uncovered tracks get the user's mean score."""
        rows = self.plays[users]
        if self.side == "tracks":
            scores: FloatArray = np.asarray(rows @ self.matrix, dtype=np.float32)
        else:
            projected = np.asarray(self.plays.T @ self.matrix[users].T, dtype=np.float32).T
            scores = rows.toarray() - projected / self.track_scale
        if not self.covered_tracks.all() and self.covered_tracks.any():
            scores[:, ~self.covered_tracks] = scores[:, self.covered_tracks].mean(axis=1, keepdims=True)
        return scores


@dataclass(frozen=True)
class EASE(DecayingComponent):
    """Hyperparameters of EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data").

    Attributes:
        regularization: Penalty on the item-item weights.
        weighting: Weight of a play count.
        feature_weight: Weight of a play by a feature against one by a user (see `with_features_as_users`);
            0 leaves features out.
    """

    name: ClassVar[str] = "ease"
    stored_type: ClassVar[type[Any] | None] = FittedEase
    stored_names: ClassVar[Mapping[str, str]] = {"regularization": "l2", "time_decay": "fading"}

    regularization: float = 500.0
    weighting: WeightingName = "ones"
    feature_weight: float = 0.0

    def side(self, view: TrainingView) -> int:
        """Return the number of rows of the dense square matrix that a fit on this view needs."""
        features = view.track_features.shape[1] if self.feature_weight > 0 else 0
        return min(len(view.user_ids) + features, len(view.track_ids))

    def fit(self, view: TrainingView, seed: int, threads: int) -> FittedEase:
        """Solve the closed form; memory is a few float64 matrices of `side(view)` squared."""
        del seed
        users = len(view.user_ids)
        plays = with_features_as_users(
            weighted_plays(view, self.weighting, self.time_decay),
            view.track_features,
            self.feature_weight,
        )
        with linear_algebra_threads(threads):
            if plays.shape[1] <= plays.shape[0]:
                side: Literal["tracks", "users"] = "tracks"
                matrix, scale = _track_side(plays, self.regularization)
            else:
                side = "users"
                kernel, scale = _user_side(plays, self.regularization)
                matrix = kernel[:users].copy()
        return FittedEase(
            plays=plays,
            side=side,
            matrix=matrix,
            track_scale=scale,
            covered_users=np.diff(view.plays.indptr) > 0,
            covered_tracks=np.bincount(plays.indices, minlength=plays.shape[1]) > 0,
        )

    @classmethod
    def default_trials(cls, view: TrainingView) -> "Sequence[EASE]":
        """Return the default grid, the usually best first, without those whose matrix is too large."""
        grid = [
            cls(regularization=regularization, weighting="log", feature_weight=feature_weight)
            for feature_weight in (1.0, 0.0)
            for regularization in (200.0, 1000.0)
        ]
        return [trial for trial in grid if trial.side(view) <= LARGEST_SIDE]

    @classmethod
    def quick_trial(cls, view: TrainingView) -> "EASE | None":
        """Return hyperparameters that are fitted in seconds, where the matrix is small."""
        quick = cls(regularization=200.0, weighting="log", feature_weight=1.0)
        return quick if quick.side(view) <= QUICK_SIDE else None


def _inverse(gram: sparse.csr_matrix, regularization: float) -> npt.NDArray[np.float64]:
    dense = gram.toarray().astype(np.float64)
    dense[np.diag_indices_from(dense)] += regularization
    inverse: npt.NDArray[np.float64] = linalg.inv(dense, overwrite_a=True, check_finite=False)
    return inverse


def _track_side(plays: sparse.csr_matrix, regularization: float) -> tuple[FloatArray, FloatArray]:
    """Return B = I - P / diag(P) with P = (X'X + l2 I)^-1, and diag(P)."""
    inverse = _inverse(plays.T @ plays, regularization)
    scale = np.diag(inverse).copy()
    weights = inverse / -scale
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32), scale.astype(np.float32)


def _user_side(plays: sparse.csr_matrix, regularization: float) -> tuple[FloatArray, FloatArray]:
    """Return K = (X X' + l2 I)^-1, with which X P = K X, and diag(P) = (1 - diag(X' K X)) / l2.

    By the push-through and Woodbury identities: the same scores as on the tracks' side, without a matrix of
    tracks by tracks, which for 17,632 tracks takes minutes and gigabytes instead of a second.
    """
    kernel = _inverse(plays @ plays.T, regularization)
    exact = plays.astype(np.float64).tocsc()
    captured = np.empty(plays.shape[1])
    for start in range(0, plays.shape[1], _BLOCK):
        block = exact[:, start : start + _BLOCK]
        captured[start : start + _BLOCK] = np.asarray(block.multiply(kernel @ block).sum(axis=0)).ravel()
    return kernel.astype(np.float32), ((1.0 - captured) / regularization).astype(np.float32)
