"""The lists of everyone as of a day: the model's for those it knows, popular tracks for all others.

Pure functions from frames and a model to the rows of `recommendations`. The ranking itself is in `top_n.py`, the
order of popular tracks in `cold_start.py`.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from moovitamix_assets.recommendations.cold_start import PopularTracks, first_unheard
from moovitamix_assets.recommendations.top_n import top_n
from moovitamix_assets.training.recommender import Recommender
from moovitamix_assets.warehouse.schemas import RECOMMENDATIONS

POPULARITY_VERSION = "popularity"


@dataclass(frozen=True)
class Known:
    """What is known as of a day.

    Attributes:
        as_of: The day.
        users: user_id, favorite_genres; one row per person.
        tracks: track_id, genres, plays_last_30_days; one row per track.
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
    heard = known.heard.iloc[:0] if heard_too else known.heard
    user_ids = np.sort(known.users["user_id"].to_numpy(np.int64))
    if model is None:
        lists = [_popular_lists(known, user_ids, heard, length, by_genre=False)]
    else:
        has_plays = model.coverage(user_ids) == "plays"
        lists = [
            _model_lists(known, model, user_ids[has_plays], heard, length),
            _popular_lists(known, user_ids[~has_plays], heard, length, by_genre=True),
        ]
    generated_at = pd.Timestamp(known.as_of + timedelta(days=1))
    rows = pd.concat(lists, ignore_index=True).sort_values(["user_id", "rank"], kind="stable")
    rows = rows.assign(
        generated_for=pd.Timestamp(known.as_of),
        generated_at=generated_at,
        expires_at=generated_at + pd.Timedelta(hours=expire_hours),
    )
    return rows[list(RECOMMENDATIONS.columns)].reset_index(drop=True)


def _model_lists(
    known: Known, model: Recommender, user_ids: npt.NDArray[np.int64], heard: pd.DataFrame, length: int
) -> pd.DataFrame:
    rows = np.searchsorted(model.user_ids, user_ids)
    # A track may have left the catalogue since the model was trained; it is treated like one heard by all.
    still_there = np.isin(model.track_ids, known.tracks["track_id"].to_numpy(np.int64))
    columns = np.flatnonzero(still_there)
    extra = model.extra_scores(rows)
    ranked = top_n(
        model.user_vectors[rows],
        model.track_vectors[columns],
        length,
        heard=_heard_matrix(user_ids, model.track_ids[columns], heard),
        extra_scores=None if extra is None else lambda start, stop: extra(start, stop)[:, columns],
    )
    listed = ranked.indices >= 0
    person, place = np.nonzero(listed)
    return _rows(
        user_ids[person],
        place + 1,
        model.track_ids[columns][ranked.indices[listed]],
        ranked.scores[listed],
        "model",
        model.model_version,
    )


def _popular_lists(
    known: Known, user_ids: npt.NDArray[np.int64], heard: pd.DataFrame, length: int, *, by_genre: bool
) -> pd.DataFrame:
    popular = PopularTracks.of(known.tracks)
    favorites = known.users.set_index("user_id")["favorite_genres"]
    heard_by = {person: tracks.to_numpy() for person, tracks in heard.groupby("user_id")["track_id"]}
    nothing = np.array([], dtype=np.int64)
    orders: dict[frozenset[str], npt.NDArray[np.int64]] = {}
    chosen = []
    for user_id in user_ids:
        genres = favorites[user_id] if by_genre else None
        key = frozenset(genres) if isinstance(genres, list | np.ndarray) else frozenset()
        if key not in orders:
            orders[key] = popular.preferring(key)
        chosen.append(first_unheard(popular, orders[key], heard_by.get(user_id, nothing), length))
    lengths = [len(positions) for positions in chosen]
    positions = np.concatenate([nothing, *chosen])
    places = np.concatenate([nothing, *(np.arange(1, count + 1) for count in lengths)])
    # The rank decides; the score only has to fall with it, also where a favourite genre came first.
    scores = 1.0 / places
    return _rows(
        np.repeat(user_ids, lengths),
        places,
        popular.track_ids[positions],
        scores,
        "cold_start" if by_genre else "popular",
        POPULARITY_VERSION,
    )


def _heard_matrix(
    user_ids: npt.NDArray[np.int64], track_ids: npt.NDArray[np.int64], heard: pd.DataFrame
) -> sparse.csr_matrix:
    """Pairs heard as a (users, tracks) matrix of ones; pairs of others are passed over. Both ids ascend."""
    pairs = heard[heard["user_id"].isin(user_ids) & heard["track_id"].isin(track_ids)]
    rows = np.searchsorted(user_ids, pairs["user_id"].to_numpy(np.int64))
    columns = np.searchsorted(track_ids, pairs["track_id"].to_numpy(np.int64))
    return sparse.csr_matrix(
        (np.ones(len(pairs), dtype=np.float32), (rows, columns)), shape=(len(user_ids), len(track_ids))
    )


def _rows(
    user_ids: npt.NDArray[np.int64],
    ranks: npt.NDArray[np.int64],
    track_ids: npt.NDArray[np.int64],
    scores: npt.NDArray[Any],
    source: str,
    model_version: str,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": user_ids,
            "rank": ranks,
            "track_id": track_ids,
            "score": scores.astype(np.float32),
            "source": source,
            "model_version": model_version,
        }
    )
