"""Views of a training set for fitting and testing: sparse matrices of what was known before a cutoff.

How a set is cut in time belongs here. The set itself is in `training_set.py`; the fits are in `components/`.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.features import track_features, user_features
from moovitamix_assets.training.dataset.training_set import DECAYED_UNIT, TrainingSet

Cutoff = Literal["before_validation", "before_holdout", "as_of"]
"""Up to where a model may know: before the validation days, before the hold-out days, or up to the set's day."""


@dataclass(frozen=True)
class TrainingView:
    """The plays that a model may know before a cutoff, and the interactions after it that it is tested on.

    Rows of every matrix are users in the order of `user_ids`; columns are tracks in the order of `track_ids`.

    Attributes:
        user_ids: Every user of the set, ascending, shape (U,).
        track_ids: Every track of the set, new ones included, ascending, shape (T,).
        plays: Plays before the cutoff, float32 CSR (U, T) without explicit zeros.
        recent_plays: Plays of each track in the 30 days before the cutoff, float64 (T,).
        test: The interactions first played between this cutoff and the next, as ones, float32 CSR (U, T).
        user_features: Features of the users without identity, rows summing to one or zero, CSR (U, F).
        track_features: Features of the tracks without identity, rows summing to one or zero, CSR (T, G).
        freshness: The share left of an interaction's plays after time decay, above 0 and at most 1, float32 CSR
            (U, T) with the entries of `plays`; None where it is not known when they were played.
        test_days: The day after the cutoff, from 1, of each interaction that was first played between this cutoff and
            the next, float32 CSR (U, T); None where it is not known.
        track_ages: Days from the one on which each track came to the first one after the cutoff, float64 (T,): 1 for
            the day before the cutoff, below 1 for a track that came later, NaN where unknown; None if all are.
        older_plays: Plays that are not learned from, but whose tracks count as seen, float32 CSR (U, T); None if the
            model learns from all.
    """

    user_ids: npt.NDArray[np.int64]
    track_ids: npt.NDArray[np.int64]
    plays: sparse.csr_matrix
    recent_plays: npt.NDArray[np.float64]
    test: sparse.csr_matrix
    user_features: sparse.csr_matrix
    track_features: sparse.csr_matrix
    freshness: sparse.csr_matrix | None = None
    test_days: sparse.csr_matrix | None = None
    track_ages: npt.NDArray[np.float64] | None = None
    older_plays: sparse.csr_matrix | None = None

    @property
    def seen(self) -> sparse.csr_matrix:
        """All plays before the cutoff: their tracks are new to nobody who played them, CSR (U, T)."""
        return self.plays if self.older_plays is None else (self.plays + self.older_plays).tocsr()

    def decayed_plays(self, time_decay: float) -> sparse.csr_matrix:
        """Return the plays with time decay: `plays` times `freshness` to the power of `time_decay`.

        0 leaves them as they are; 1 halves them with each week of age, 2 with each half week. Their sum stays the
        same, so that a penalty keeps its weight against them.
        """
        if not time_decay or self.freshness is None:
            return self.plays
        decayed = self.plays.copy()
        decayed.data *= self.freshness.data ** np.float32(time_decay)
        decayed.data *= np.float32(self.plays.sum(dtype=np.float64) / decayed.sum(dtype=np.float64))
        return decayed

    @property
    def user_plays(self) -> npt.NDArray[np.float64]:
        """Plays of each user before the cutoff, shape (U,)."""
        return np.asarray(self.plays.sum(axis=1, dtype=np.float64)).ravel()

    @property
    def track_plays(self) -> npt.NDArray[np.float64]:
        """Plays of each track before the cutoff, shape (T,)."""
        return np.asarray(self.plays.sum(axis=0, dtype=np.float64)).ravel()

    @property
    def test_users(self) -> npt.NDArray[np.int64]:
        """Rows of the users with at least one test interaction, ascending."""
        return np.flatnonzero(np.diff(self.test.indptr))


class _Columns(NamedTuple):
    """The columns of a training set that belong to one cutoff.

    Attributes:
        known: Plays that a model may know.
        until: Plays up to the end of the test days; None where nothing is tested.
        recent: Recent plays before the cutoff.
        decayed: Decayed plays before it.
    """

    known: str
    until: str | None
    recent: str
    decayed: str


_CUTOFFS: dict[Cutoff, _Columns] = {
    "before_validation": _Columns(
        known=columns.PLAYS_BEFORE_VALIDATION,
        until=columns.PLAYS_BEFORE_HOLDOUT,
        recent=columns.PLAYS_LAST_30_DAYS_BEFORE_VALIDATION,
        decayed=columns.DECAYED_PLAYS_BEFORE_VALIDATION,
    ),
    "before_holdout": _Columns(
        known=columns.PLAYS_BEFORE_HOLDOUT,
        until=columns.PLAYS,
        recent=columns.PLAYS_LAST_30_DAYS_BEFORE_HOLDOUT,
        decayed=columns.DECAYED_PLAYS_BEFORE_HOLDOUT,
    ),
    "as_of": _Columns(
        known=columns.PLAYS,
        until=None,
        recent=columns.PLAYS_LAST_30_DAYS,
        decayed=columns.DECAYED_PLAYS,
    ),
}


def split(training_set: TrainingSet, cutoff: Cutoff, *, since_change: bool = False) -> TrainingView:
    """Cut the set in time.

    Args:
        training_set: The set as of one day.
        cutoff: `before_validation` fits on what was known before the validation days and tests on those days;
            `before_holdout` fits on what was known before the hold-out days and tests on those; `as_of` fits on
            everything and has no test interactions.
        since_change: Whether only the plays since tastes changed are learned from; all are if they did not.

    Raises:
        ValueError: If an interaction names a user or a track that is not in the set, or is there twice.
    """
    cut = _CUTOFFS[cutoff]
    users = training_set.users.sort_values(columns.USER_ID, kind="stable")
    tracks = training_set.tracks.sort_values(columns.TRACK_ID, kind="stable")
    interactions = training_set.interactions
    user_ids = users[columns.USER_ID].to_numpy(np.int64)
    track_ids = tracks[columns.TRACK_ID].to_numpy(np.int64)
    rows = positions(user_ids, interactions[columns.USER_ID].to_numpy(np.int64), "user")
    cells = positions(track_ids, interactions[columns.TRACK_ID].to_numpy(np.int64), "track")
    known = interactions[cut.known].to_numpy(np.float32)
    until = interactions[cut.until].to_numpy(np.float32) if cut.until else known
    shape = (len(user_ids), len(track_ids))
    if len(np.unique(rows * np.int64(shape[1]) + cells)) != len(interactions):
        raise ValueError("interactions name a user and track twice")
    learned, older_plays, freshness = known, None, None
    if since_change and training_set.changed_on is not None:
        older = np.minimum(known, interactions[columns.PLAYS_BEFORE_CHANGE].to_numpy(np.float32))
        learned, older_plays = known - older, _matrix(older, rows, cells, older > 0, shape)
    elif cut.decayed in interactions:
        # At least a thousandth: an entry of 0 would no longer be one.
        share = np.maximum(interactions[cut.decayed].to_numpy(np.float32), 1) / (
            np.maximum(known, 1) * np.float32(DECAYED_UNIT)
        )
        freshness = _matrix(share, rows, cells, known > 0, shape)
    tested = (known == 0) & (until > 0)
    first_day, days = _days_of_test(training_set, tested)
    return TrainingView(
        user_ids=user_ids,
        track_ids=track_ids,
        plays=_matrix(learned, rows, cells, learned > 0, shape),
        recent_plays=tracks[cut.recent].to_numpy(np.float64),
        test=_matrix(np.ones_like(known), rows, cells, tested, shape),
        user_features=user_features(users),
        track_features=track_features(tracks),
        freshness=freshness,
        test_days=None if days is None else _matrix(days, rows, cells, tested, shape),
        track_ages=track_ages(tracks, first_day),
        older_plays=older_plays,
    )


def track_ages(tracks: pd.DataFrame, day: date) -> npt.NDArray[np.float64] | None:
    """Return the days from the one on which each track came to `day`, shape (T,), NaN where it is not known.

    None if the frame has no `created_at`.
    """
    if columns.CREATED_AT not in tracks:
        return None
    came = pd.to_datetime(tracks[columns.CREATED_AT]).dt.floor("D")
    return np.asarray((pd.Timestamp(day) - came) / pd.Timedelta(days=1), dtype=np.float64)


def _days_of_test(
    training_set: TrainingSet, tested: npt.NDArray[np.bool_]
) -> tuple[date, npt.NDArray[np.float32] | None]:
    """Return the first day after the cutoff, and the day of each interaction counted from it, from 1.

    The first day is that of the first interaction tested; without any, it is the day after the set's.
    """
    after = training_set.as_of + timedelta(days=1)
    first = pd.to_datetime(training_set.interactions[columns.FIRST_LISTENED_AT]).dt.floor("D")
    if not tested.any() or first[tested].isna().any():
        return after, None
    begins = first[tested].min()
    return begins.date(), np.asarray((first - begins).dt.days + 1, dtype=np.float32)


def positions(ids: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], what: str) -> npt.NDArray[np.int64]:
    """Return the position of each wanted id in `ids` (ascending).

    Raises:
        ValueError: If a wanted id is not there; `what` names the kind of id in the message.
    """
    found = np.searchsorted(ids, wanted)
    missing = (
        (found == len(ids)) | (ids[np.minimum(found, len(ids) - 1)] != wanted) if len(ids) else found >= 0
    )
    if missing.any():
        raise ValueError(f"{what} {wanted[missing][0]} is not in the training set ({missing.sum()} such)")
    return found.astype(np.int64)


def _matrix(
    values: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    cells: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.bool_],
    shape: tuple[int, int],
) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix((values[chosen], (rows[chosen], cells[chosen])), shape=shape, dtype=np.float32)
    matrix.sort_indices()
    return matrix
