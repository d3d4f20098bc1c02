"""Scores of new tracks, those without plays in training, from the scores of the tracks they share features with.

The arithmetic belongs here: means per feature, the plays since a track came, and the calibration that puts new tracks
and tracks with plays into one ranking. The calibration is chosen in `selection/new_track_calibration.py` and applied
in `artifacts/serving.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from moovitamix_assets.training.components.base import FloatArray
from moovitamix_assets.training.components.blend import Blend

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

SHRINKAGE = 0.2
"""Weight by which the mean of a feature is shrunk: where tracks have four features of weight .25, that of an artist
with one known track counts a little more than half."""

EXPECTED_AT_FIRST = 2.0
"""Listeners added to both sides of a track's evidence: with so few expected, one more or less says little."""

MOST_DAYS = 30
"""A track that came earlier counts as having come so many days ago; younger ones show how new tracks fare."""


@dataclass(frozen=True)
class NewTrackCalibration:
    """The place of new tracks among those with plays, in standard deviations of a user's scores of the latter.

    Attributes:
        scale: Factor of what the features say; means per feature vary less than the scores of tracks.
        offset: Added to the score of each new track.
        evidence: Weight of the plays since the track came (see `popularity_evidence`).
    """

    scale: float = 1.0
    offset: float = 0.0
    evidence: float = 1.0

    def offsets(self, evidence: Values) -> Values:
        """Return what is added to each new track, shape (N,), given its evidence."""
        return self.offset + self.evidence * evidence

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "NewTrackCalibration":
        """Read what `to_json` returned."""
        return cls(**values)


@dataclass(frozen=True)
class FeatureMeans:
    """The linear map from a value of each known track to its deviation from the mean at each new track.

    A new track gets the average, over its features, of how far the tracks with that feature lie from the mean of all
    known tracks. As the map is linear it applies to vectors and to blocks of scores alike.

    Attributes:
        of_known: One row per feature, which averages the known tracks by how much it weighs in them, CSR (F, K).
        of_new: Features of the new tracks, rows summing to one or zero, CSR (N, F).
    """

    of_known: sparse.csr_matrix
    of_new: sparse.csr_matrix

    @classmethod
    def of(cls, features: sparse.csr_matrix, known: Rows, new: Rows) -> "FeatureMeans":
        """Take the known and the new rows of the features of a catalogue, CSR (T, F)."""
        holders = features[known].T.tocsr().astype(np.float64)
        weights = np.asarray(holders.sum(axis=1)).ravel()
        return cls(
            of_known=sparse.diags(1.0 / (weights + SHRINKAGE)).dot(holders).tocsr(),
            of_new=features[new].tocsr().astype(np.float64),
        )

    def deviations(self, values: npt.NDArray[Any]) -> Values:
        """Return the deviation of each new track, float64 (N, d), from values of the known ones, (K, d)."""
        centred = values - _mean(values)
        result: Values = self.of_new @ (self.of_known @ centred)
        return result


def popularity_evidence(listeners: npt.NDArray[Any], ages: Values, new: Rows) -> Values:
    """Return the logarithm of each new track's listeners over those expected, shape (N,); 0 says nothing.

    Expected are as many a day as the tracks of the last `MOST_DAYS` days had, both sides with `EXPECTED_AT_FIRST`
    more. A track that came yesterday has little to show yet; one without plays for weeks falls behind, and so does
    one that comes late in the days that are ranked for. An older track only falls behind: a model that learns from
    recent plays alone has its reasons for not knowing it.

    Args:
        listeners: Users who have played each track of the catalogue, shape (T,).
        ages: Days since each track came, NaN where unknown, shape (T,). It came in the middle of its day, and is
            recommended from the next on; below 1 it comes on one of the days that are ranked for.
        new: Rows of the new tracks.
    """
    days = np.clip(ages, 1.0, MOST_DAYS) - 0.5
    judged = (ages >= 1) & (ages <= MOST_DAYS)
    if not judged.any():
        judged = ages >= 1
    if not judged.any():
        return np.zeros(len(new))
    daily = listeners[judged].sum() / days[judged].sum()
    evidence = np.log((EXPECTED_AT_FIRST + listeners[new]) / (EXPECTED_AT_FIRST + daily * days[new]))
    evidence = np.where(ages[new] > MOST_DAYS, np.minimum(evidence, 0.0), evidence)
    return np.where(np.isnan(ages[new]), 0.0, evidence + _lateness(ages[new]))


def _lateness(ages: Values) -> Values:
    """Return the logarithm of the share of days on which each track is there, where some come after the first one.

    A hold-out is measured by one ranking for all its days: a track that comes on the last of them is hardly played.
    """
    days_missed = np.maximum(1.0 - np.nan_to_num(ages, nan=1.0), 0.0)
    days = days_missed.max(initial=0.0)
    return np.log(np.maximum(days - days_missed, 0.5) / days) if days > 0 else np.zeros(len(ages))


def extended_vectors(
    users: FloatArray,
    known: FloatArray,
    means: FeatureMeans,
    scale: float,
    offsets: Values,
    further_spread: float = 0.0,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Append one column to the vectors, so that their products score new tracks as well; other scores stay.

    Args:
        users: Vectors of the users, (n, d).
        known: Vectors of the known tracks, (K, d).
        means: From the known to the new tracks.
        scale: Factor of the deviations.
        offsets: Of each new track in standard deviations, (N,).
        further_spread: Standard deviation of scores that are added to the products.

    Returns:
        Vectors of the users (n, d + 1), the known tracks (K, d + 1) and the new ones (N, d + 1), float32.
    """
    spread = spreads(users, known, further_spread)
    of_new = _mean(known) + scale * means.deviations(known)
    return (
        np.hstack([users, spread[:, None]]).astype(np.float32),
        np.hstack([known, np.zeros((len(known), 1))]).astype(np.float32),
        np.hstack([of_new, offsets[:, None]]).astype(np.float32),
    )


def extended_scores(known: FloatArray, means: FeatureMeans, scale: float) -> FloatArray:
    """Return scores of the new tracks, float32 (n, N), from those of the known ones, (n, K), without an offset."""
    scores: FloatArray = (
        known.mean(axis=1, keepdims=True, dtype=np.float64) + scale * means.deviations(known.T).T
    ).astype(np.float32)
    return scores


def spreads(users: FloatArray, known: FloatArray, further_spread: float = 0.0) -> Values:
    """Return the standard deviation of each user's scores of the known tracks, without computing these, (n,)."""
    centred = known.astype(np.float64) - _mean(known)
    covariance = centred.T @ centred / max(len(known), 1)
    exact = users.astype(np.float64)
    variances = np.maximum(np.einsum("ud,ud->u", exact @ covariance, exact), 0.0)
    return np.asarray(np.sqrt(variances) + further_spread)


def block_weight(blend: Blend) -> float:
    """The standard deviation that the components without vectors may add: the sum of their weights."""
    return float(sum(block.weight for block in blend.blocks))


def _mean(values: npt.NDArray[Any]) -> Values:
    """Return the mean over rows, 0 without any."""
    return values.mean(axis=0, dtype=np.float64) if len(values) else np.zeros(values.shape[1])
