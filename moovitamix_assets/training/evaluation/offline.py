"""How good lists are: full ranking, heard tracks left out, split in time, per segment and with standard errors.

Ranking of score blocks and what is measured for whom belong here; the metrics' formulas are in `metrics.py`, whether
a candidate is let in is decided in `gate.py`, and what yesterday's recommendations were worth in
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

LIST_LENGTH = 20
COLD_PLAYS = 5
"""A person with up to so many plays before the cut is cold."""

POPULAR_SHARE = 0.2
"""The most played tracks, this share of those played at all, are called popular."""

_BLOCK = 256


class Scorer(Protocol):
    """Whatever can score every track for some users (rows of the view)."""

    def scores(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return float32 (n, T)."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """What lists were worth.

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
    scorer: Scorer, users: npt.NDArray[np.int64], heard: sparse.csr_matrix | None, length: int = LIST_LENGTH
) -> npt.NDArray[np.int32]:
    """Return the best tracks of each user, best first, ties in favour of the lower position.

    Args:
        scorer: Scores blocks of users.
        users: Rows to rank for, shape (n,).
        heard: Matrix (U, T) whose non-zero tracks are left out; None leaves nothing out.
        length: Length of the lists.

    Returns:
        Track positions, int32 (n, length), padded with -1 where a user has fewer tracks left.
    """
    lists = np.full((len(users), length), -1, dtype=np.int32)
    for start in range(0, len(users), _BLOCK):
        block = users[start : start + _BLOCK]
        scores = np.array(scorer.scores(block), dtype=np.float32)
        if heard is not None:
            rows = heard[block]
            scores[np.repeat(np.arange(len(block)), np.diff(rows.indptr)), rows.indices] = -np.inf
        lists[start : start + len(block)] = best_positions(scores, length)
    return lists


def best_positions(scores: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.int32]:
    """Return the positions of the highest scores of each row, best first; -inf is never returned, -1 pads."""
    tracks = scores.shape[1]
    kept = min(length, tracks)
    result = np.full((len(scores), length), -1, dtype=np.int32)
    if kept == 0:
        return result
    threshold = np.partition(scores, tracks - kept, axis=1)[:, tracks - kept]
    for row, (values, lowest) in enumerate(zip(scores, threshold, strict=True)):
        candidates = np.flatnonzero((values >= lowest) & (values > -np.inf))
        order = candidates[np.argsort(-values[candidates], kind="stable")][:kept]
        result[row, : len(order)] = order
    return result


def evaluate(
    view: TrainingView,
    scorer: Scorer,
    *,
    model_version: str = "",
    as_of: date | None = None,
    subject: str = "candidate",
) -> Evaluation:
    """Rank all tracks for everyone with test pairs, without what they had heard before the cut, and measure."""
    lists = rank(scorer, view.test_users, heard=view.plays)
    return evaluate_lists(view, lists, model_version=model_version, as_of=as_of, subject=subject)


def evaluate_lists(
    view: TrainingView,
    lists: npt.NDArray[np.int32],
    *,
    model_version: str = "",
    as_of: date | None = None,
    subject: str = "candidate",
) -> Evaluation:
    """Measure ready lists.

    Args:
        view: The cut; its test pairs are what is relevant.
        lists: Track positions for `view.test_users`, int32 (n, at least 20), best first, -1 as padding.
        model_version: Goes into the table.
        as_of: Goes into the table.
        subject: Whose lists these are: candidate, champion, popularity, als, ...
    """
    users = view.test_users
    if len(lists) != len(users):
        raise ValueError(f"{len(lists)} lists for {len(users)} users with test pairs")
    new_tracks = view.track_plays == 0
    cold = view.user_plays[users] <= COLD_PLAYS
    everyone = metrics_per_user(lists, view.test[users])
    everyone = everyone.join(_taste_per_user(lists, view))
    only_new = view.test[users].multiply(new_tracks[None, :]).tocsr()
    only_new.eliminate_zeros()
    segments: dict[Segment, pd.DataFrame] = {
        "all": everyone,
        "warm": everyone[~cold],
        "cold": everyone[cold],
        "new_tracks": metrics_per_user(lists, only_new),
    }
    rows: list[tuple[str, str, float, float, int]] = []
    for segment, frame in segments.items():
        rows += [(segment, *row) for row in _summary(frame)]
        rows += [(segment, *row) for row in _coverage(lists[frame.index], view)]
    table = pd.DataFrame(
        rows,
        columns=[columns.SEGMENT, columns.METRIC, columns.VALUE, columns.STANDARD_ERROR, columns.USERS],
    )
    table.insert(0, columns.MODEL_VERSION, model_version)
    table.insert(1, columns.AS_OF, as_of)
    table.insert(2, columns.SUBJECT, subject)
    return Evaluation(table, everyone.set_axis(pd.Index(view.user_ids[users], name=columns.USER_ID)))


def metrics_per_user(lists: npt.NDArray[np.int32], relevant: sparse.csr_matrix) -> pd.DataFrame:
    """Return the ranking metrics of each list that has something relevant.

    Args:
        lists: Track positions, int32 (n, k), best first, -1 as padding.
        relevant: The tracks that count, CSR (n, T), one row per list.

    Returns:
        Index: row of `lists`; columns ndcg_at_10 (divided by the best achievable), recall_at_20,
        precision_at_10, map_at_10, hit_rate_at_10. Rows without a relevant track are left out.
    """
    rows = np.flatnonzero(np.diff(relevant.indptr))
    found = metrics.hits(lists[rows], relevant[rows])
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


def ndcg_per_user(lists: npt.NDArray[np.int32], relevant: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """Return NDCG@10 of each list; every row must have something relevant, else it has NaN. Shape (n,)."""
    return metrics.ndcg(metrics.hits(lists, relevant), 10)


def _taste_per_user(lists: npt.NDArray[np.int32], view: TrainingView) -> pd.DataFrame:
    """Return how far each list's first 10 are from what everybody hears.

    novelty_at_10 is the mean of -log2(share of listeners who had heard the track before the cut), a track
    without listeners counting as one listener (MIUF, Vargas and Castells 2011); popular_share_at_10 is the
    share of the tracks that are among the most played fifth of those played at all.
    """
    listeners = np.bincount(view.plays.indices, minlength=view.plays.shape[1])
    people = max(int((np.diff(view.plays.indptr) > 0).sum()), 1)
    surprise = -np.log2(np.maximum(listeners, 1) / people)
    played = view.track_plays[view.track_plays > 0]
    threshold = np.quantile(played, 1 - POPULAR_SHARE) if len(played) else np.inf
    popular = (view.track_plays >= threshold).astype(np.float64)
    top = lists[:, :10]
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


def _coverage(lists: npt.NDArray[np.int32], view: TrainingView) -> Sequence[tuple[str, float, float, int]]:
    """Return the share of the catalogue that is in at least one list's first 10, and first 20."""
    if not len(lists):
        return []
    rows = []
    for name, length in (("coverage", 10), ("coverage_at_20", 20)):
        shown = np.unique(lists[:, :length])
        share = (shown >= 0).sum() / len(view.track_ids)
        rows.append((name, float(share), float("nan"), len(lists)))
    return rows
