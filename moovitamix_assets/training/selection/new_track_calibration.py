"""The choice of the calibration of new tracks, from how those of the validation days fared.

What a calibration does is in `components/new_tracks.py`. Each validation day is measured as it would have been served
on its eve: with the tracks that had come, and the plays known by then.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from moovitamix_assets.training.components.base import FloatArray
from moovitamix_assets.training.components.blend import Blend
from moovitamix_assets.training.components.new_tracks import (
    FeatureMeans,
    NewTrackCalibration,
    Rows,
    Values,
    block_weight,
    extended_scores,
    popularity_evidence,
    spreads,
)
from moovitamix_assets.training.dataset.training_view import TrainingView
from moovitamix_assets.training.evaluation import metrics
from moovitamix_assets.training.evaluation.offline import best_positions

SCALES = (1.0, 1.5, 2.0)
OFFSETS = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
EVIDENCES = (1.0, 1.5)
"""Without evidence, whatever lifts new tracks lifts those too that nobody wanted for weeks."""

MINIMUM_FIGURES = 20
"""With fewer figures of users who played a new track nothing is chosen: the default stays."""

GIVEN_UP = 0.04
"""Share of all NDCG@10 that may be given up for new tracks. The validation days underrate them: on the days after, they
are on average a few per cent above a model without new tracks all the same (see docs/model.md)."""

Ranks = npt.NDArray[np.bool_]

_BLOCK = 256
_LENGTH = 10


@dataclass(frozen=True)
class _Eve:
    """The catalogue on the eve of a validation day.

    Attributes:
        seen: What was played until then, CSR (U, T).
        test: What is played for the first time on the day, CSR (U, T).
        joined: Which of the new tracks had come, places among them.
        evidence: Of these, see `popularity_evidence`.
    """

    seen: sparse.csr_matrix
    test: sparse.csr_matrix
    joined: Rows
    evidence: Values


@dataclass(frozen=True)
class _Scored:
    """Some users with their scores.

    Attributes:
        users: Rows of the view, (n,).
        known: Scores of the known tracks, (n, K).
        new: By scale, those of the new tracks, (n, N).
        spread: Standard deviations of `known`, (n,).
    """

    users: Rows
    known: FloatArray
    new: dict[float, FloatArray]
    spread: Values


class _Found(NamedTuple):
    """The ranks at which users find what they play, (10, n): of all tracks, and of the new ones among them."""

    all: Ranks
    new: Ranks


def calibrations() -> list[NewTrackCalibration]:
    """Return those that are tried."""
    return [
        NewTrackCalibration(scale, offset, evidence)
        for scale, evidence, offset in itertools.product(SCALES, EVIDENCES, OFFSETS)
    ]


def choose_calibration(view: TrainingView, blend: Blend) -> NewTrackCalibration:
    """Choose the calibration that ranks new tracks best, among those that give up little of what the best one earns.

    NDCG@10 is a mean over users and validation days. That of all tracks may be `GIVEN_UP` below the greatest one;
    among the calibrations for which it is not, the one with the greatest NDCG@10 of new tracks is chosen.

    Args:
        view: Its test interactions decide; new are the tracks without plays before its cutoff.
        blend: Fitted on the view.
    """
    known, new = np.flatnonzero(view.track_plays > 0), np.flatnonzero(view.track_plays == 0)
    tried, eves = calibrations(), _eves(view, new)
    means = FeatureMeans.of(view.track_features, known, new)
    overall, of_new, figures = np.zeros(len(tried)), np.zeros(len(tried)), 0
    for users in _blocks(np.intersect1d(view.test_users, np.flatnonzero(np.diff(view.plays.indptr)))):
        scored = _scored(blend, users, known, means)
        for eve in eves:
            active = np.flatnonzero(np.diff(eve.test[users].indptr))
            played = np.diff(eve.test[users[active]].indptr)
            new_played = np.diff(eve.test[users[active]][:, new].indptr)
            measured = new_played > 0
            figures += int(measured.sum())
            for number, found in enumerate(_found(scored, active, eve, known, new)):
                overall[number] += metrics.ndcg(metrics.Hits(found.all, played), _LENGTH).sum()
                hits_of_new = metrics.Hits(found.new[:, measured], new_played[measured])
                of_new[number] += metrics.ndcg(hits_of_new, _LENGTH).sum()
    if figures < MINIMUM_FIGURES:
        return NewTrackCalibration()
    return tried[int(np.where(overall >= (1 - GIVEN_UP) * overall.max(), of_new, -1).argmax())]


def _blocks(users: Rows) -> Iterator[Rows]:
    for start in range(0, len(users), _BLOCK):
        yield users[start : start + _BLOCK]


def _eves(view: TrainingView, new: Rows) -> list[_Eve]:
    """Each validation day; one for all of them where it is not known on which day something was played."""
    tracks = len(view.track_ids)
    ages = np.full(tracks, np.nan) if view.track_ages is None else view.track_ages
    days = np.array([1]) if view.test_days is None else np.unique(view.test_days.data)
    eves = []
    for day in days:
        seen = _seen_before(view, day)
        joined = np.flatnonzero(~(ages[new] + (day - 1) < 1))
        listeners = np.bincount(seen.indices, minlength=tracks)
        evidence = popularity_evidence(listeners, ages + (day - 1), new[joined])
        eves.append(_Eve(seen, _test_on(view, day), joined, evidence))
    return eves


def _scored(blend: Blend, users: Rows, known: Rows, means: FeatureMeans) -> _Scored:
    scores = blend.scores(users)[:, known]
    return _Scored(
        users=users,
        known=scores,
        new={scale: extended_scores(scores, means, scale) for scale in SCALES},
        spread=spreads(blend.user_vectors[users], blend.track_vectors[known], block_weight(blend)),
    )


def _found(scored: _Scored, active: Rows, eve: _Eve, known: Rows, new: Rows) -> Iterator[_Found]:
    """Yield where the active users find what they play, by each calibration.

    An offset moves all new tracks of a user alike, so the ten best of them are found once for all offsets.
    """
    users, joined = scored.users[active], new[eve.joined]
    best = _best(_masked(scored.known[active], eve.seen[users][:, known]), eve.test[users][:, known])
    spread = scored.spread[active][:, None]
    seen, test = eve.seen[users][:, joined], eve.test[users][:, joined]
    for scale, evidence in itertools.product(SCALES, EVIDENCES):
        lifted = scored.new[scale][active][:, eve.joined] + spread * evidence * eve.evidence
        best_new = _best(_masked(lifted, seen), test)
        played_new = np.hstack([np.zeros_like(best.played), best_new.played])
        played = np.hstack([best.played, best_new.played])
        for offset in OFFSETS:
            scores = np.hstack([best.scores, best_new.scores + spread * offset])
            order = np.argsort(-scores, axis=1, kind="stable")[:, :_LENGTH]
            yield _Found(*(np.take_along_axis(each, order, axis=1).T for each in (played, played_new)))


class _Best(NamedTuple):
    """The best tracks of some users, (n, 10): their scores, -inf where there are no more, and which were played."""

    scores: Values
    played: Ranks


def _best(scores: Values, test: sparse.csr_matrix) -> _Best:
    if not scores.shape[1]:
        shape = (len(scores), _LENGTH)
        return _Best(np.full(shape, -np.inf), np.zeros(shape, dtype=bool))
    ranked = best_positions(scores.astype(np.float32), _LENGTH)
    best = np.take_along_axis(scores, np.maximum(ranked, 0).astype(np.int64), axis=1)
    return _Best(np.where(ranked >= 0, best, -np.inf), metrics.hits(ranked, test).found.T)


def _masked(scores: npt.NDArray[Any], seen: sparse.csr_matrix) -> Values:
    return np.where(seen.toarray() > 0, -np.inf, scores)


def _test_on(view: TrainingView, day: int) -> sparse.csr_matrix:
    if view.test_days is None:
        return view.test
    on_the_day = view.test_days.copy()
    on_the_day.data = (on_the_day.data == day).astype(np.float32)
    return _nonzero(view.test.multiply(on_the_day))


def _seen_before(view: TrainingView, day: int) -> sparse.csr_matrix:
    """What was played before the cutoff, or for the first time on an earlier test day."""
    if view.test_days is None:
        return view.seen
    earlier = view.test_days.copy()
    earlier.data = (earlier.data < day).astype(np.float32)
    return _nonzero(view.seen + earlier)


def _nonzero(matrix: sparse.spmatrix) -> sparse.csr_matrix:
    result: sparse.csr_matrix = matrix.tocsr().astype(np.float32)
    result.eliminate_zeros()
    result.sort_indices()
    return result
