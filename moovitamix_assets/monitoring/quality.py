"""What the lists of the day before were worth on what people heard for the first time on a day.

Reading the evidence and the figures made of it belong here; the metrics themselves are those of
`training/evaluation/offline.py`, so that a model is measured in service as it was before it was let in.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from foundation.tables import empty_frame
from foundation.warehouse.rows import first_row
from moovitamix_assets.recommendations.top_n import top_n
from moovitamix_assets.training.components.genre_popularity import genre_popularity
from moovitamix_assets.training.evaluation.offline import (
    COLD_PLAYS,
    RANKING_LENGTH,
    metrics_per_user,
    ndcg_per_user,
)
from moovitamix_assets.warehouse.as_of import ever_played, first_played_on, interactions_as_of, tracks_as_of
from moovitamix_assets.warehouse.schemas import RECOMMENDATION_QUALITY

_SHOWN = 10
"""The length of the lists that coverage and most metrics are about."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """What tells how good a day's lists were. "Before" is as of the end of the day before.

    Attributes:
        day: The day on which people listened.
        lists: user_id, rank, track_id, model_version: the lists made as of the day before.
        new: user_id, track_id: the pairs in the day's listens that were unknown before.
        heard: user_id, track_id, plays: what those people had heard before.
        tracks: track_id, genres, plays_last_30_days: the catalogue before.
        played: The tracks of `new` that anyone had played before.
    """

    day: date
    lists: pd.DataFrame
    new: pd.DataFrame
    heard: pd.DataFrame
    tracks: pd.DataFrame
    played: Collection[int]


def lists_are_stored(connection: duckdb.DuckDBPyConnection, made_for: date) -> bool:
    """Whether the lists as of a day are there: not yet made, or no longer kept, they can tell nothing."""
    found = first_row(connection, "SELECT 1 FROM recommendations WHERE generated_for = ? LIMIT 1", [made_for])
    return found is not None


def read_evidence(connection: duckdb.DuckDBPyConnection, day: date) -> Evidence | None:
    """The evidence of a day; None where there were no lists of the day before, or nobody with one heard anything new.

    Looked at are the listens of the day, all of those who listened, and those of 30 days for popularity.
    """
    before = day - timedelta(days=1)
    new = first_played_on(connection, day)
    lists = connection.execute(
        """SELECT user_id, rank, track_id, model_version FROM recommendations
           WHERE generated_for = $before AND rank <= $length AND user_id IN (SELECT unnest($people::BIGINT[]))
           ORDER BY user_id, rank""",
        {"before": before, "length": RANKING_LENGTH, "people": new["user_id"].unique().tolist()},
    ).df()
    if lists.empty:
        return None
    new = new[new["user_id"].isin(lists["user_id"])]
    tracks = tracks_as_of(connection, before)[["track_id", "genres", "plays_last_30_days"]]
    wanted = set(new["track_id"])
    recently = wanted & set(tracks["track_id"][tracks["plays_last_30_days"] > 0])
    return Evidence(
        day=day,
        lists=lists,
        new=new,
        heard=interactions_as_of(connection, before, {}, users=lists["user_id"].unique().tolist()),
        tracks=tracks,
        # The whole history is asked about the few tracks only that nobody played lately.
        played=recently | ever_played(connection, before, wanted - recently),
    )


def quality_rows(evidence: Evidence) -> pd.DataFrame:
    """The rows of `recommendation_quality` for one day, by version and segment.

    People without a list or without anything new count nowhere, and so do segments without people. Popularity's
    figure is that of the list everyone would get without any model, for the same people and tracks.

    Returns:
        Columns as in the table, ordered by version and segment.
    """
    measured = _Measured(evidence)
    everything = measured.worth(measured.new)
    if everything.empty:
        return empty_frame(RECOMMENDATION_QUALITY)
    cold = measured.plays[everything.index] <= COLD_PLAYS
    segments = {
        "all": everything,
        "warm": everything[~cold],
        "cold": everything[cold],
        "new_tracks": measured.worth(measured.never_played()),
    }
    rows = []
    for segment, frame in segments.items():
        for version, figures in frame.groupby(measured.versions[frame.index]):
            rows.append(
                {
                    "day": pd.Timestamp(evidence.day),
                    "model_version": version,
                    "segment": segment,
                    "users": len(figures),
                    **figures.mean().to_dict(),
                    "coverage": measured.coverage(figures.index.to_numpy(np.int64)),
                }
            )
    ordered = pd.DataFrame(rows).sort_values(["model_version", "segment"], ignore_index=True)
    return ordered[list(RECOMMENDATION_QUALITY.columns)]


class _Measured:
    """The people measured as rows, every track that matters as columns.

    Attributes:
        versions: The version that made each person's list, shape (n,).
        plays: Plays of each person before, shape (n,).
        new: The pairs heard for the first time, as ones, CSR (n, T).
    """

    def __init__(self, evidence: Evidence) -> None:
        people = np.intersect1d(evidence.lists["user_id"], evidence.new["user_id"]).astype(np.int64)
        lists = evidence.lists[evidence.lists["user_id"].isin(people)]
        heard = evidence.heard[evidence.heard["user_id"].isin(people)]
        new = evidence.new[evidence.new["user_id"].isin(people)]
        self._evidence = evidence
        self._catalogue = evidence.tracks["track_id"].to_numpy(np.int64)
        self._columns = np.unique(np.concatenate([self._catalogue, lists["track_id"], new["track_id"]]))
        row = np.searchsorted(people, lists["user_id"])
        column = np.searchsorted(self._columns, lists["track_id"])
        self._lists = np.full((len(people), RANKING_LENGTH), -1, np.int32)
        self._lists[row, lists["rank"].to_numpy(np.int64) - 1] = column
        self.versions = lists.drop_duplicates("user_id").sort_values("user_id")["model_version"].to_numpy(str)
        self.plays = np.bincount(
            np.searchsorted(people, heard["user_id"]), weights=heard["plays"], minlength=len(people)
        )
        self.new = _ones(people, self._columns, new)
        self._popular = self._popular_lists(people, heard)

    def worth(self, relevant: sparse.csr_matrix) -> pd.DataFrame:
        """Every metric of each person with something relevant; index: the person's row."""
        metrics = metrics_per_user(self._lists, relevant)
        rows = metrics.index.to_numpy(np.int64)
        popular = ndcg_per_user(self._popular[rows], relevant[rows]) if len(rows) else np.empty(0)
        return metrics.assign(popularity_ndcg_at_10=popular)

    def never_played(self) -> sparse.csr_matrix:
        """The new pairs with tracks that nobody at all had played before."""
        fresh = ~np.isin(self._columns, np.fromiter(self._evidence.played, np.int64))
        only: sparse.csr_matrix = self.new.multiply(fresh[None, :]).tocsr()
        only.eliminate_zeros()
        return only

    def coverage(self, rows: Ids) -> float:
        """Share of the catalogue in the first ten of at least one of these lists."""
        shown = self._columns[np.setdiff1d(self._lists[rows, :_SHOWN], [-1])]
        return float(np.isin(shown, self._catalogue).sum() / len(self._catalogue))

    def _popular_lists(self, people: Ids, heard: pd.DataFrame) -> npt.NDArray[np.int32]:
        tracks_before = self._evidence.tracks
        users, tracks = genre_popularity(
            [None] * len(people),
            tracks_before["genres"],
            tracks_before["plays_last_30_days"].to_numpy(np.float64),
        )
        known = heard[heard["track_id"].isin(self._catalogue)]
        ranked = top_n(users, tracks, _SHOWN, seen=_ones(people, self._catalogue, known)).indices
        columns = np.searchsorted(self._columns, self._catalogue)
        return np.where(ranked >= 0, columns[ranked], -1).astype(np.int32)


def _ones(people: Ids, tracks: Ids, pairs: pd.DataFrame) -> sparse.csr_matrix:
    """Pairs as ones in a (people, tracks) matrix; both ids ascend and hold every id of the pairs."""
    rows = np.searchsorted(people, pairs["user_id"])
    columns = np.searchsorted(tracks, pairs["track_id"])
    ones = np.ones(len(pairs), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(people), len(tracks)))
