"""The quality of the recommendations of the day before, on the tracks that users played for the first time on a day.

Reading a served day and measuring it belong here; the metrics themselves are those of
`training/evaluation/offline.py`, so that a model is measured in service as it was by the gate.
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
"""The number of recommendations per user that coverage and most metrics are about."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ServedDay:
    """Recommendations and the plays that followed. "Before" is as of the end of the day before.

    Attributes:
        day: The day of the plays.
        recommended: user_id, rank, track_id, model_version: the recommendations as of the day before.
        new: user_id, track_id: the interactions of the day that were unknown before.
        seen: user_id, track_id, plays: the interactions of those users before.
        tracks: track_id, genres, plays_last_30_days: the catalogue before.
        played: The tracks of `new` that any user had played before.
    """

    day: date
    recommended: pd.DataFrame
    new: pd.DataFrame
    seen: pd.DataFrame
    tracks: pd.DataFrame
    played: Collection[int]


def quality_of_day(connection: duckdb.DuckDBPyConnection, day: date) -> pd.DataFrame:
    """The rows of `recommendation_quality` for a day, measured, or as they are where that is no longer possible.

    Recommendations are kept for some days only; what was measured on them before stays.
    """
    if not has_recommendations(connection, day - timedelta(days=1)):
        return connection.execute("SELECT * FROM recommendation_quality WHERE day = ?", [day]).df()
    served = read_served_day(connection, day)
    return empty_frame(RECOMMENDATION_QUALITY) if served is None else quality_rows(served)


def has_recommendations(connection: duckdb.DuckDBPyConnection, day: date) -> bool:
    """Return whether the recommendations as of a day are stored: materialized, and still kept."""
    found = first_row(connection, "SELECT 1 FROM recommendations WHERE generated_for = ? LIMIT 1", [day])
    return found is not None


def read_served_day(connection: duckdb.DuckDBPyConnection, day: date) -> ServedDay | None:
    """Read the recommendations of the day before and the plays of a day.

    Read are the listens of the day, all listens of its users, and those of 30 days for popularity.

    Returns:
        None where no user with recommendations of the day before played anything new.
    """
    before = day - timedelta(days=1)
    new = first_played_on(connection, day)
    recommended = connection.execute(
        """SELECT user_id, rank, track_id, model_version FROM recommendations
           WHERE generated_for = $before AND rank <= $length AND user_id IN (SELECT unnest($users::BIGINT[]))
           ORDER BY user_id, rank""",
        {"before": before, "length": RANKING_LENGTH, "users": new["user_id"].unique().tolist()},
    ).df()
    if recommended.empty:
        return None
    new = new[new["user_id"].isin(recommended["user_id"])]
    tracks = tracks_as_of(connection, before)[["track_id", "genres", "plays_last_30_days"]]
    wanted = set(new["track_id"])
    recently = wanted & set(tracks["track_id"][tracks["plays_last_30_days"] > 0])
    return ServedDay(
        day=day,
        recommended=recommended,
        new=new,
        seen=interactions_as_of(connection, before, {}, users=recommended["user_id"].unique().tolist()),
        tracks=tracks,
        # The whole history is read only for the few tracks that no user played lately.
        played=recently | ever_played(connection, before, wanted - recently),
    )


def quality_rows(served: ServedDay) -> pd.DataFrame:
    """The rows of `recommendation_quality` for one day, by version and segment.

    Users without recommendations or without anything new do not count, and segments without users have no row.
    Popularity's figure is that of the tracks all users would get without any model, for the same users.

    Returns:
        Columns as in the table, ordered by version and segment.
    """
    measured = _Measured(served)
    all_users = measured.metrics(measured.new)
    if all_users.empty:
        return empty_frame(RECOMMENDATION_QUALITY)
    cold = measured.plays[all_users.index] <= COLD_PLAYS
    segments = {
        "all": all_users,
        "warm": all_users[~cold],
        "cold": all_users[cold],
        "new_tracks": measured.metrics(measured.never_played()),
    }
    rows = []
    for segment, frame in segments.items():
        for version, figures in frame.groupby(measured.versions[frame.index]):
            rows.append(
                {
                    "day": pd.Timestamp(served.day),
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
    """The users measured as rows, every track that matters as columns.

    Attributes:
        versions: The version that recommended to each user, shape (n,).
        plays: Plays of each user before, shape (n,).
        new: The interactions of the day that were unknown before, as ones, CSR (n, T).
    """

    def __init__(self, served: ServedDay) -> None:
        users = np.intersect1d(served.recommended["user_id"], served.new["user_id"]).astype(np.int64)
        recommended = served.recommended[served.recommended["user_id"].isin(users)]
        seen = served.seen[served.seen["user_id"].isin(users)]
        new = served.new[served.new["user_id"].isin(users)]
        self._served = served
        self._catalogue = served.tracks["track_id"].to_numpy(np.int64)
        self._columns = np.unique(np.concatenate([self._catalogue, recommended["track_id"], new["track_id"]]))
        row = np.searchsorted(users, recommended["user_id"])
        column = np.searchsorted(self._columns, recommended["track_id"])
        self._ranked = np.full((len(users), RANKING_LENGTH), -1, np.int32)
        self._ranked[row, recommended["rank"].to_numpy(np.int64) - 1] = column
        by_user = recommended.drop_duplicates("user_id").sort_values("user_id")
        self.versions = by_user["model_version"].to_numpy(str)
        self.plays = np.bincount(
            np.searchsorted(users, seen["user_id"]), weights=seen["plays"], minlength=len(users)
        )
        self.new = _interaction_matrix(users, self._columns, new)
        self._popular = self._popular_ranked(users, seen)

    def metrics(self, relevant: sparse.csr_matrix) -> pd.DataFrame:
        """Every metric of each user with something relevant; index: the user's row."""
        metrics = metrics_per_user(self._ranked, relevant)
        rows = metrics.index.to_numpy(np.int64)
        popular = ndcg_per_user(self._popular[rows], relevant[rows]) if len(rows) else np.empty(0)
        return metrics.assign(popularity_ndcg_at_10=popular)

    def never_played(self) -> sparse.csr_matrix:
        """The new interactions with tracks that no user at all had played before."""
        fresh = ~np.isin(self._columns, np.fromiter(self._served.played, np.int64))
        only: sparse.csr_matrix = self.new.multiply(fresh[None, :]).tocsr()
        only.eliminate_zeros()
        return only

    def coverage(self, rows: Ids) -> float:
        """Share of the catalogue in the first ten recommendations of at least one of these users."""
        shown = self._columns[np.setdiff1d(self._ranked[rows, :_SHOWN], [-1])]
        return float(np.isin(shown, self._catalogue).sum() / len(self._catalogue))

    def _popular_ranked(self, users: Ids, seen: pd.DataFrame) -> npt.NDArray[np.int32]:
        tracks_before = self._served.tracks
        user_vectors, track_vectors = genre_popularity(
            [None] * len(users),
            tracks_before["genres"],
            tracks_before["plays_last_30_days"].to_numpy(np.float64),
        )
        known = seen[seen["track_id"].isin(self._catalogue)]
        filtered = _interaction_matrix(users, self._catalogue, known)
        ranked = top_n(user_vectors, track_vectors, _SHOWN, seen=filtered).indices
        columns = np.searchsorted(self._columns, self._catalogue)
        return np.where(ranked >= 0, columns[ranked], -1).astype(np.int32)


def _interaction_matrix(users: Ids, tracks: Ids, interactions: pd.DataFrame) -> sparse.csr_matrix:
    """Interactions as ones in a (users, tracks) matrix; both ids ascend and hold every id of the interactions."""
    rows = np.searchsorted(users, interactions["user_id"])
    columns = np.searchsorted(tracks, interactions["track_id"])
    ones = np.ones(len(interactions), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(users), len(tracks)))
