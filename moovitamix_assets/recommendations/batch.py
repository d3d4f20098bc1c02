"""The lists of everyone as of a day: the model's for those with plays, cold lists for all others.

Pure functions from frames and a model to the rows of `recommendations`. The ranking itself is in `top_n.py`, the
order of popular tracks in `cold_start.py`.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from threadpoolctl import threadpool_limits

from moovitamix_assets.recommendations.cold_start import cold_vectors
from moovitamix_assets.recommendations.top_n import TopN, top_n
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.warehouse.schemas import RECOMMENDATIONS

POPULARITY_VERSION = "popularity"

Source = Literal["model", "cold_start", "popular"]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """What is known as of a day.

    Attributes:
        as_of: The day.
        users: user_id, favorite_genres; one row per person, by user_id.
        tracks: track_id, genres, plays_last_30_days; one row per track, by track_id.
        heard: user_id, track_id; one row per pair played.
    """

    as_of: date
    users: pd.DataFrame
    tracks: pd.DataFrame
    heard: pd.DataFrame


def recommend_everyone(
    known: Known, model: Recommender | None, *, length: int, heard_too: bool, expire_hours: int
) -> pd.DataFrame:
    """The rows of `recommendations` for one day.

    Args:
        known: The world as of the day.
        model: The version in force; None while there is none, and everyone gets popular tracks.
        length: Tracks per person; fewer where the catalogue has no more that they have not heard.
        heard_too: Whether tracks a person has heard may be listed.
        expire_hours: Hours after the end of the day until which a list may be shown.

    Returns:
        Columns as in the table, ordered by person and rank.
    """
    ranking = _Ranking(known, length, heard_too)
    # One thread: the lists do not depend on how many the machine has.
    with threadpool_limits(limits=1, user_api="blas"):
        lists = [ranking.cold("popular")] if model is None else ranking.by(model)
    generated_at = pd.Timestamp(known.as_of + timedelta(days=1))
    rows = pd.concat(lists, ignore_index=True).sort_values(["user_id", "rank"], kind="stable")
    rows = rows.assign(
        generated_for=pd.Timestamp(known.as_of),
        generated_at=generated_at,
        expires_at=generated_at + pd.Timedelta(hours=expire_hours),
    )
    return rows[list(RECOMMENDATIONS.columns)].reset_index(drop=True)


class _Ranking:
    """Ranks the catalogue of a day for some of its people, by one kind of vectors after the other."""

    def __init__(self, known: Known, length: int, heard_too: bool) -> None:
        self._known = known
        self._length = length
        self._user_ids = known.users["user_id"].to_numpy(np.int64)
        self._track_ids = known.tracks["track_id"].to_numpy(np.int64)
        self._played = _pairs_matrix(self._user_ids, self._track_ids, known.heard)
        self._heard = None if heard_too else self._played

    def by(self, model: Recommender) -> list[pd.DataFrame]:
        """Those the model was trained on, those who came since and have plays, and those without any."""
        trained = model.coverage(self._user_ids) == "plays"
        newcomers = ~trained & (np.diff(self._played.indptr) > 0)
        return [
            self._trained(model, np.flatnonzero(trained)),
            self._newcomers(model, np.flatnonzero(newcomers)),
            self.cold("cold_start", np.flatnonzero(~trained & ~newcomers)),
        ]

    def cold(self, source: Source, people: Ids | None = None) -> pd.DataFrame:
        """Recent popularity, for cold starts with the favourite genres first; everyone if no people are named."""
        rows = np.arange(len(self._user_ids)) if people is None else people
        users, tracks = cold_vectors(
            self._known.users.iloc[rows], self._known.tracks, by_genre=source == "cold_start"
        )
        heard = None if self._heard is None else self._heard[rows]
        ranked = top_n(users, tracks, self._length, heard=heard)
        return self._rows(rows, self._track_ids, ranked, source, POPULARITY_VERSION)

    def _trained(self, model: Recommender, people: Ids) -> pd.DataFrame:
        rows = np.searchsorted(model.user_ids, self._user_ids[people])
        there, heard = self._catalogue(model, people)
        extra = model.extra_scores(rows)
        ranked = top_n(
            model.user_vectors[rows],
            model.track_vectors[there],
            self._length,
            heard=heard,
            extra_scores=None if extra is None else lambda start, stop: extra(start, stop)[:, there],
        )
        return self._rows(people, model.track_ids[there], ranked, "model", model.model_version)

    def _newcomers(self, model: Recommender, people: Ids) -> pd.DataFrame:
        there, heard = self._catalogue(model, people)
        played = _pairs_matrix(self._user_ids[people], model.track_ids, self._known.heard)
        ranked = top_n(
            model.newcomer_vectors(played),
            model.track_vectors[there, : model.lightfm_width],
            self._length,
            heard=heard,
        )
        return self._rows(people, model.track_ids[there], ranked, "model", model.model_version)

    def _catalogue(self, model: Recommender, people: Ids) -> tuple[Ids, sparse.csr_matrix | None]:
        """Rows of the model's tracks that are still in the catalogue, and who of the people heard which of them."""
        there = np.flatnonzero(np.isin(model.track_ids, self._track_ids))
        if self._heard is None:
            return there, None
        return there, _pairs_matrix(self._user_ids[people], model.track_ids[there], self._known.heard)

    def _rows(
        self, people: Ids, track_ids: Ids, ranked: TopN, source: Source, model_version: str
    ) -> pd.DataFrame:
        listed = ranked.indices >= 0
        person, place = np.nonzero(listed)
        return pd.DataFrame(
            {
                "user_id": self._user_ids[people][person],
                "rank": place + 1,
                "track_id": track_ids[ranked.indices[listed]],
                "score": ranked.scores[listed],
                "source": source,
                "model_version": model_version,
            }
        )


def _pairs_matrix(user_ids: Ids, track_ids: Ids, pairs: pd.DataFrame) -> sparse.csr_matrix:
    """Pairs as ones in a (users, tracks) matrix; pairs of others are passed over. Both ids ascend."""
    wanted = pairs[pairs["user_id"].isin(user_ids) & pairs["track_id"].isin(track_ids)]
    rows = np.searchsorted(user_ids, wanted["user_id"].to_numpy(np.int64))
    columns = np.searchsorted(track_ids, wanted["track_id"].to_numpy(np.int64))
    ones = np.ones(len(wanted), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(user_ids), len(track_ids)))
