"""Offline evaluation: full ranking without seen tracks, split in time, per segment and with standard errors.

The ranking of score blocks, and which users and metrics are measured, belong here. The metrics' formulas are in
`metrics.py`, whether a candidate is promoted is decided in `gate.py`, and the quality of yesterday's recommendations in
`monitoring/quality.py`. Negatives are never sampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.training_view import TrainingView
from moovitamix_assets.training.evaluation import metrics

Segment = Literal["all", "warm", "cold", "new_tracks"]
Metric = Literal[
    "ndcg_at_10",
    "recall_at_20",
    "precision_at_10",
    "map_at_10",
    "hit_rate_at_10",
    "coverage",
    "coverage_at_20",
    "novelty_at_10",
    "popular_share_at_10",
]

RANKING_LENGTH = 20
COLD_PLAYS = 5
"""A user with up to so many plays before the cutoff is cold."""

POPULAR_SHARE = 0.2
"""The most played tracks, this share of those played at all, are called popular."""

_BLOCK = 256
# Scores per group when the best ones are found.
_GROUP = 16


class Scorer(Protocol):
    """Anything that scores every track for some users (rows of the view)."""

    def scores(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return float32 (n, T)."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """The metrics of ranked lists.

    Attributes:
        table: The rows of `model_evaluations`: model_version, as_of, subject, segment, metric, value,
            standard_error (over users; NaN where the metric is not a mean over users), users.
        per_user: Index user_id, one column per metric that is a mean over users, for the segment `all`.
    """

    table: pd.DataFrame
    per_user: pd.DataFrame

    def value(self, metric: Metric, segment: Segment = "all") -> float:
        """Return one figure of the table, NaN where the segment has no user."""
        rows = self.table[(self.table[columns.METRIC] == metric) & (self.table[columns.SEGMENT] == segment)]
        return float(rows[columns.VALUE].iloc[0]) if len(rows) else float("nan")


def rank(
    scorer: Scorer, users: npt.NDArray[np.int64], seen: sparse.csr_matrix | None, length: int = RANKING_LENGTH
) -> npt.NDArray[np.int32]:
    """Return the best tracks of each user, best first, ties in favour of the lower position.

    Args:
        scorer: Scores blocks of users.
        users: Rows to rank for, shape (n,).
        seen: Matrix (U, T) whose non-zero tracks are left out; None leaves nothing out.
        length: Tracks to rank per user.

    Returns:
        Track positions, int32 (n, length), padded with -1 where a user has fewer tracks left.
    """
    ranked = np.full((len(users), length), -1, dtype=np.int32)
    for start in range(0, len(users), _BLOCK):
        block = users[start : start + _BLOCK]
        scores = np.array(scorer.scores(block), dtype=np.float32)
        if seen is not None:
            rows = seen[block]
            scores[np.repeat(np.arange(len(block)), np.diff(rows.indptr)), rows.indices] = -np.inf
        ranked[start : start + len(block)] = best_positions(scores, length)
    return ranked


def best_positions(scores: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.int32]:
    """Return the positions of the highest scores of each row, best first; -inf is never returned, -1 pads."""
    result = np.full((len(scores), length), -1, dtype=np.int32)
    candidates = np.flatnonzero(scores >= _lower_bound(scores, length)[:, None])
    row, position = np.divmod(candidates, max(scores.shape[1], 1))
    # Candidates of a row come by position, which decides between equal scores as the order is stable.
    order = np.lexsort((-scores[row, position], row))
    row, position = row[order], position[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = place < length
    result[row[kept], place[kept]] = position[kept]
    return result


def _lower_bound(scores: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.float32]:
    """Return a finite bound that so many scores of each row reach, if it has them: few more do, and it is found fast.

    It is the lowest of the so many highest among the maxima of groups: as many different scores reach it.
    """
    groups = scores.shape[1] // _GROUP
    lowest = np.finfo(np.float32).min
    if groups < length:
        return np.full(len(scores), lowest, dtype=np.float32)
    maxima = scores[:, : groups * _GROUP].reshape(len(scores), _GROUP, groups).max(axis=1)
    bound: npt.NDArray[np.float32] = np.partition(maxima, groups - length, axis=1)[:, groups - length]
    return np.maximum(bound, lowest)


def evaluate(
    view: TrainingView,
    scorer: Scorer,
    *,
    model_version: str = "",
    as_of: date | None = None,
    subject: str = "candidate",
) -> Evaluation:
    """Rank all tracks for each user with test interactions, without those seen before the cutoff, and measure."""
    ranked = rank(scorer, view.test_users, seen=view.seen)
    return evaluate_ranked(view, ranked, model_version=model_version, as_of=as_of, subject=subject)


def evaluate_ranked(
    view: TrainingView,
    ranked: npt.NDArray[np.int32],
    *,
    model_version: str = "",
    as_of: date | None = None,
    subject: str = "candidate",
) -> Evaluation:
    """Measure existing ranked lists.

    Args:
        view: Its test interactions are the relevant tracks.
        ranked: Track positions for `view.test_users`, int32 (n, at least 20), best first, -1 as padding.
        model_version: Written to the table.
        as_of: Written to the table.
        subject: Who ranked: candidate, champion, popularity, als, ...
    """
    users = view.test_users
    if len(ranked) != len(users):
        raise ValueError(
            f"{len(ranked)} ranked lists for {len(users)} users with test interactions: give one each"
        )
    new_tracks = view.track_plays == 0
    cold = view.user_plays[users] <= COLD_PLAYS
    overall = metrics_per_user(ranked, view.test[users])
    overall = overall.join(_novelty_per_user(ranked, view))
    only_new = view.test[users].multiply(new_tracks[None, :]).tocsr()
    only_new.eliminate_zeros()
    segments: dict[Segment, pd.DataFrame] = {
        "all": overall,
        "warm": overall[~cold],
        "cold": overall[cold],
        "new_tracks": metrics_per_user(ranked, only_new),
    }
    rows: list[tuple[str, str, float, float, int]] = []
    for segment, frame in segments.items():
        rows += [(segment, *row) for row in _summary(frame)]
        rows += [(segment, *row) for row in _coverage(ranked[frame.index], view)]
    table = pd.DataFrame(
        rows,
        columns=[columns.SEGMENT, columns.METRIC, columns.VALUE, columns.STANDARD_ERROR, columns.USERS],
    )
    table.insert(0, columns.MODEL_VERSION, model_version)
    table.insert(1, columns.AS_OF, as_of)
    table.insert(2, columns.SUBJECT, subject)
    return Evaluation(table, overall.set_axis(pd.Index(view.user_ids[users], name=columns.USER_ID)))


def metrics_per_user(ranked: npt.NDArray[np.int32], relevant: sparse.csr_matrix) -> pd.DataFrame:
    """Return the ranking metrics of each ranked list whose user has relevant tracks.

    Args:
        ranked: Track positions, int32 (n, k), best first, -1 as padding.
        relevant: The relevant tracks, CSR (n, T), one row per row of `ranked`.

    Returns:
        Index: row of `ranked`; columns ndcg_at_10 (divided by the best achievable), recall_at_20,
        precision_at_10, map_at_10, hit_rate_at_10. Rows without a relevant track are left out.
    """
    rows = np.flatnonzero(np.diff(relevant.indptr))
    found = metrics.hits(ranked[rows], relevant[rows])
    return pd.DataFrame(
        {
            "ndcg_at_10": metrics.ndcg(found, 10),
            "recall_at_20": metrics.recall(found, 20),
            "precision_at_10": metrics.precision(found, 10),
            "map_at_10": metrics.average_precision(found, 10),
            "hit_rate_at_10": metrics.hit_rate(found, 10),
        },
        index=rows,
    )


def ndcg_per_user(ranked: npt.NDArray[np.int32], relevant: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """Return NDCG@10 of each ranked list; NaN where its row of `relevant` is empty. Shape (n,)."""
    return metrics.ndcg(metrics.hits(ranked, relevant), 10)


def _novelty_per_user(ranked: npt.NDArray[np.int32], view: TrainingView) -> pd.DataFrame:
    """Return how far the first 10 of each ranked list are from the most popular tracks.

    novelty_at_10 is the mean of -log2(share of listeners who had played the track before the cutoff), a track
    without listeners counting as one listener (MIUF, Vargas and Castells 2011); popular_share_at_10 is the
    share of the tracks that are among the most played fifth of those played at all.
    """
    listeners = np.bincount(view.plays.indices, minlength=view.plays.shape[1])
    users = max(int((np.diff(view.plays.indptr) > 0).sum()), 1)
    surprise = -np.log2(np.maximum(listeners, 1) / users)
    played = view.track_plays[view.track_plays > 0]
    threshold = np.quantile(played, 1 - POPULAR_SHARE) if len(played) else np.inf
    popular = (view.track_plays >= threshold).astype(np.float64)
    top = ranked[:, :10]
    present = top >= 0
    counts = np.maximum(present.sum(axis=1), 1)
    positions = np.where(present, top, 0)
    return pd.DataFrame(
        {
            "novelty_at_10": np.where(present, surprise[positions], 0.0).sum(axis=1) / counts,
            "popular_share_at_10": np.where(present, popular[positions], 0.0).sum(axis=1) / counts,
        }
    )


def _summary(frame: pd.DataFrame) -> Sequence[tuple[str, float, float, int]]:
    users = len(frame)
    if not users:
        return []
    errors = frame.std(ddof=1) / np.sqrt(users)
    return [(str(name), float(frame[name].mean()), float(errors[name]), users) for name in frame]


def _coverage(ranked: npt.NDArray[np.int32], view: TrainingView) -> Sequence[tuple[str, float, float, int]]:
    """Return the share of the catalogue among the first 10, and first 20, of at least one ranked list."""
    if not len(ranked):
        return []
    rows = []
    for name, length in (("coverage", 10), ("coverage_at_20", 20)):
        shown = np.unique(ranked[:, :length])
        share = (shown >= 0).sum() / len(view.track_ids)
        rows.append((name, float(share), float("nan"), len(ranked)))
    return rows
