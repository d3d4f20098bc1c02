"""The quality of the recommendations of the day before, on the tracks that users played for the first time on a day.

The day is read in `served_day.py`; the metrics themselves are those of `training/evaluation/offline.py`, so that a
model is measured in service as it was by the gate.
"""

from datetime import date, timedelta
from functools import cached_property

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from foundation.tables import empty_frame
from moovitamix_assets.monitoring.served_day import (
    POPULARITY_DAYS,
    Recommended,
    ServedDay,
    has_recommendations,
    read_served_day,
)
from moovitamix_assets.recommendations.top_n import top_n
from moovitamix_assets.training.components.genre_popularity import genre_popularity
from moovitamix_assets.training.evaluation.offline import (
    COLD_PLAYS,
    RANKING_LENGTH,
    metrics_per_user,
    ndcg_per_user,
)
from moovitamix_assets.warehouse.schemas import RECOMMENDATION_QUALITY

_SHOWN = 10
"""The number of recommendations per user that coverage and most metrics are about."""

_NDCG = "ndcg_at_10"
_POPULARITY = {days: f"popularity_{days}_days_ndcg_at_10" for days in POPULARITY_DAYS[:-1]} | {
    POPULARITY_DAYS[-1]: "popularity_ndcg_at_10"
}
_SERVED = "served_ndcg_at_10"
_STANDARD_ERRORS = {
    "popularity_gain_standard_error": _POPULARITY[POPULARITY_DAYS[-1]],
    "served_gain_standard_error": _SERVED,
}

Ids = npt.NDArray[np.int64]


def quality_of_day(connection: duckdb.DuckDBPyConnection, day: date) -> pd.DataFrame:
    """The rows of `recommendation_quality` for a day, measured, or as they are where that is no longer possible.

    Recommendations are kept for some days only; what was measured on them before stays.
    """
    if not has_recommendations(connection, day - timedelta(days=1)):
        return connection.execute("SELECT * FROM recommendation_quality WHERE day = ?", [day]).df()
    served = read_served_day(connection, day)
    return empty_frame(RECOMMENDATION_QUALITY) if served is None else quality_rows(served)


def quality_rows(served: ServedDay) -> pd.DataFrame:
    """The rows of `recommendation_quality` for one day, by role, version and segment.

    Users without recommendations or without anything new do not count, and segments without users have no row.
    Popularity's figure is that of the tracks all users would get without any model, for the same users.

    Returns:
        Columns as in the table, ordered by role, version and segment.
    """
    plays = _Plays(served)
    measured = _Measured(plays, served.served)
    rows = [*_rows(served.day, measured, measured)]
    for shadow in served.shadows:
        rows += _rows(served.day, _Measured(plays, shadow), measured)
    if not rows:
        return empty_frame(RECOMMENDATION_QUALITY)
    ordered = pd.DataFrame(rows).sort_values(["role", "model_version", "segment"], ignore_index=True)
    return ordered[list(RECOMMENDATION_QUALITY.columns)]


def _rows(day: date, measured: "_Measured", served: "_Measured") -> list[dict[str, object]]:
    all_users = measured.metrics(measured.plays.new)
    if all_users.empty:
        return []
    cold = measured.plays.before[all_users.index] <= COLD_PLAYS
    segments = {
        "all": (all_users, measured.plays.new),
        "warm": (all_users[~cold], measured.plays.new),
        "cold": (all_users[cold], measured.plays.new),
        "new_tracks": (measured.metrics(measured.plays.never_played), measured.plays.never_played),
    }
    rows: list[dict[str, object]] = []
    for segment, (frame, relevant) in segments.items():
        frame = frame.assign(**{_SERVED: served.ndcg(frame.index.to_numpy(np.int64), relevant)})
        for version, figures in frame.groupby(measured.versions[frame.index]):
            rows.append(
                {
                    "day": pd.Timestamp(day),
                    "model_version": version,
                    "role": measured.role,
                    "segment": segment,
                    "users": len(figures),
                    **{str(name): mean for name, mean in figures.mean().items()},
                    **{
                        name: _standard_error(figures[_NDCG] - figures[other])
                        for name, other in _STANDARD_ERRORS.items()
                    },
                    "coverage": measured.coverage(figures.index.to_numpy(np.int64)),
                }
            )
    return rows


class _Plays:
    """The plays of a day: the users with something new as rows, every track that matters as columns.

    Attributes:
        users: Ascending, shape (n,).
        columns: Track ids, ascending, shape (T,).
        before: Plays of each user before the day, shape (n,).
        new: The interactions of the day that were unknown before, as ones, CSR (n, T).
    """

    def __init__(self, served: ServedDay) -> None:
        self.users = np.unique(served.new["user_id"]).astype(np.int64)
        seen = served.seen[served.seen["user_id"].isin(self.users)]
        self._served = served
        self._seen = seen
        self.catalogue = served.tracks["track_id"].to_numpy(np.int64)
        recommended = [each.rows["track_id"] for each in (served.served, *served.shadows)]
        self.columns = np.unique(np.concatenate([self.catalogue, *recommended, served.new["track_id"]]))
        self.before = np.bincount(
            np.searchsorted(self.users, seen["user_id"]), weights=seen["plays"], minlength=len(self.users)
        )
        self.new = _interaction_matrix(self.users, self.columns, served.new)

    @cached_property
    def never_played(self) -> sparse.csr_matrix:
        """The new interactions with tracks that no user at all had played before."""
        fresh = ~np.isin(self.columns, np.fromiter(self._served.played, np.int64))
        only: sparse.csr_matrix = self.new.multiply(fresh[None, :]).tocsr()
        only.eliminate_zeros()
        return only

    @cached_property
    def popular(self) -> dict[int, npt.NDArray[np.int32]]:
        """The popular tracks that each user has not played, as columns, (n, 10) by days of popularity."""
        known = self._seen[self._seen["track_id"].isin(self.catalogue)]
        filtered = _interaction_matrix(self.users, self.catalogue, known)
        columns = np.searchsorted(self.columns, self.catalogue)
        result = {}
        for days in POPULARITY_DAYS:
            # Without favorite genres those of the tracks play no part.
            user_vectors, track_vectors = genre_popularity(
                [None] * len(self.users),
                [None] * len(self.catalogue),
                self._served.tracks[f"plays_last_{days}_days"].to_numpy(np.float64),
            )
            ranked = top_n(user_vectors, track_vectors, _SHOWN, seen=filtered).indices
            result[days] = np.where(ranked >= 0, columns[ranked], -1).astype(np.int32)
        return result


class _Measured:
    """Some recommendations, measured on the plays of a day.

    Attributes:
        plays: The plays.
        role: Of the versions that made the recommendations.
        versions: The version that recommended to each user; empty for users without, shape (n,).
    """

    def __init__(self, plays: _Plays, recommended: Recommended) -> None:
        self.plays, self.role = plays, recommended.role
        rows = recommended.rows[recommended.rows["user_id"].isin(plays.users)]
        row = np.searchsorted(plays.users, rows["user_id"])
        self._ranked = np.full((len(plays.users), RANKING_LENGTH), -1, np.int32)
        column = np.searchsorted(plays.columns, rows["track_id"])
        self._ranked[row, rows["rank"].to_numpy(np.int64) - 1] = column
        self.versions = np.full(len(plays.users), "", dtype=object)
        self.versions[row] = rows["model_version"]

    def metrics(self, relevant: sparse.csr_matrix) -> pd.DataFrame:
        """Every metric of each user with recommendations and something relevant; index: the user's row."""
        has_some = np.flatnonzero(self.versions != "")
        metrics = metrics_per_user(self._ranked[has_some], relevant[has_some])
        metrics.index = has_some[metrics.index]
        rows = metrics.index.to_numpy(np.int64)
        return metrics.assign(
            **{
                name: ndcg_per_user(self.plays.popular[days][rows], relevant[rows])
                if len(rows)
                else np.empty(0)
                for days, name in _POPULARITY.items()
            }
        )

    def ndcg(self, rows: Ids, relevant: sparse.csr_matrix) -> npt.NDArray[np.float64]:
        """NDCG@10 of some users' recommendations, shape (len(rows),)."""
        return ndcg_per_user(self._ranked[rows], relevant[rows]) if len(rows) else np.empty(0)

    def coverage(self, rows: Ids) -> float:
        """Share of the catalogue in the first ten recommendations of at least one of these users."""
        shown = self.plays.columns[np.setdiff1d(self._ranked[rows, :_SHOWN], [-1])]
        return float(np.isin(shown, self.plays.catalogue).sum() / len(self.plays.catalogue))


def _standard_error(differences: "pd.Series[float]") -> float:
    """Of a mean over users; NaN for a single one."""
    values = differences.to_numpy(np.float64)
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _interaction_matrix(users: Ids, tracks: Ids, interactions: pd.DataFrame) -> sparse.csr_matrix:
    """Interactions as ones in a (users, tracks) matrix; both ids ascend and hold every id of the interactions."""
    rows = np.searchsorted(users, interactions["user_id"])
    columns = np.searchsorted(tracks, interactions["track_id"])
    ones = np.ones(len(interactions), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(users), len(tracks)))
