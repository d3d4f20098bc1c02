"""The recommendations of all users as of a day: from the warehouse, or frames and a model, to the table's rows.

Which way a user is served, and by which vectors, is decided in `training/artifacts/serving.py`; the ranking is in
`top_n.py`.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, get_args

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from threadpoolctl import threadpool_limits

from foundation.models.decisions import POPULARITY
from foundation.models.promotions import current_champion, standing
from foundation.tables import empty_frame
from moovitamix_assets.recommendations.top_n import top_n
from moovitamix_assets.setting_groups import RecommendationSettings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.artifacts.serving import ScoredGroup, Serving, ServingContext, Way
from moovitamix_assets.training.dataset.features import track_features
from moovitamix_assets.training.dataset.training_view import track_ages
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.warehouse.as_of import interactions_as_of, track_plays, tracks_as_of, users_as_of
from moovitamix_assets.warehouse.schemas import RECOMMENDATIONS, SHADOW_RECOMMENDATIONS

# The sample in the metadata: so many users of each source, and so many of their recommendations.
_SAMPLE_USERS = 2
_SAMPLE_RANKS = 5

Source = Literal["model", "cold_start", "popular"]
Ids = npt.NDArray[np.int64]

_SOURCES: dict[Way, Source] = {
    "trained": "model",
    "newcomer": "model",
    "cold_start": "cold_start",
    "popular": "popular",
}


@dataclass(frozen=True)
class Known:
    """The users, the catalogue and the interactions known as of a day.

    Attributes:
        as_of: The day.
        users: user_id, favorite_genres; one row per user, by user_id.
        tracks: track_id, artist, songwriters, genres, album, created_at (may be left out), plays_last_30_days; one
            row per track, by track_id.
        interactions: user_id, track_id; one row per user and track played.
    """

    as_of: date
    users: pd.DataFrame
    tracks: pd.DataFrame
    interactions: pd.DataFrame

    def with_recent_plays(self, plays: pd.DataFrame) -> "Known":
        """A copy with the popularity of another number of days: track_id and one column of plays, by track_id."""
        _, recent = plays.columns
        return replace(self, tracks=self.tracks.assign(plays_last_30_days=plays[recent].to_numpy()))

    def serving_context(self) -> ServingContext:
        """The same as matrices."""
        user_ids = self.users["user_id"].to_numpy(np.int64)
        track_ids = self.tracks["track_id"].to_numpy(np.int64)
        ages = track_ages(self.tracks, self.as_of + timedelta(days=1))
        return ServingContext(
            user_ids=user_ids,
            track_ids=track_ids,
            favorite_genres=list(self.users["favorite_genres"]),
            genres=list(self.tracks["genres"]),
            recent_plays=self.tracks["plays_last_30_days"].to_numpy(np.float64),
            plays=_interaction_matrix(user_ids, track_ids, self.interactions),
            track_features=track_features(self.tracks),
            track_ages=np.full(len(track_ids), np.nan) if ages is None else ages,
        )


def recommend_day(
    connection: duckdb.DuckDBPyConnection, day: date, models_dir: Path, settings: RecommendationSettings
) -> pd.DataFrame:
    """The rows of `recommendations` for one day, by the version that serves as of that day.

    Raises:
        ModelMissing: If the folder of the champion is gone.
        ModelDamaged: If a file of it is not the one that was written.
    """
    versions = standing(connection, day)
    known = read_known(connection, day)
    if versions.fallback is not None:
        known = known.with_recent_plays(track_plays(connection, day, [versions.fallback.popularity_days]))
    champion = current_champion(connection, day) if versions.serving != POPULARITY else None
    return recommend_users(
        known,
        model_store(models_dir, champion.previous_version).load(champion.model_version) if champion else None,
        length=settings.recommendations_per_user,
        filter_seen=not settings.recommend_heard_tracks,
        expire_hours=settings.recommendations_expire_hours,
    )


def recommend_shadows(
    connection: duckdb.DuckDBPyConnection, day: date, models_dir: Path, settings: RecommendationSettings
) -> pd.DataFrame:
    """The rows of `shadow_recommendations` for one day, by every version in shadow as of that day.

    Users whom a version does not know get from it what everyone gets; they have no rows.

    Raises:
        ModelMissing: If the folder of a version is gone.
        ModelDamaged: If a file of it is not the one that was written.
    """
    shadows = standing(connection, day).shadows
    if not shadows:
        return empty_frame(SHADOW_RECOMMENDATIONS)
    known = read_known(connection, day)
    rows = [
        recommend_users(
            known,
            model_store(models_dir).load(version),
            length=settings.recommendations_per_user,
            filter_seen=not settings.recommend_heard_tracks,
            expire_hours=settings.recommendations_expire_hours,
        )
        for version in shadows
    ]
    return pd.concat([some[some["source"] == "model"] for some in rows], ignore_index=True)


def read_known(connection: duckdb.DuckDBPyConnection, day: date) -> Known:
    """Read what is known as of a day."""
    return Known(
        as_of=day,
        users=users_as_of(connection, day),
        tracks=tracks_as_of(connection, day),
        interactions=interactions_as_of(connection, day, {}),
    )


def recommend_users(
    known: Known, model: Recommender | None, *, length: int, filter_seen: bool, expire_hours: int
) -> pd.DataFrame:
    """The rows of `recommendations` for one day.

    Args:
        known: What is known as of the day.
        model: None where popular tracks serve: all users get them.
        length: Tracks per user; fewer where the catalogue has no more to recommend.
        filter_seen: Leave out the tracks that a user has played.
        expire_hours: Hours after the end of the day until which the recommendations may be shown.

    Returns:
        Columns as in the table, ordered by user and rank.
    """
    context = known.serving_context()
    version = model.model_version if model else POPULARITY
    # One thread: the recommendations do not depend on how many the machine has.
    with threadpool_limits(limits=1, user_api="blas"):
        ranked = [
            _ranked(group, context, version, length=length, filter_seen=filter_seen)
            for group in Serving(model, context).groups
        ]
    generated_at = pd.Timestamp(known.as_of + timedelta(days=1))
    rows = pd.concat(ranked, ignore_index=True).sort_values(["user_id", "rank"], kind="stable")
    rows = rows.assign(
        generated_for=pd.Timestamp(known.as_of),
        generated_at=generated_at,
        expires_at=generated_at + pd.Timedelta(hours=expire_hours),
    )
    return rows[list(RECOMMENDATIONS.columns)].reset_index(drop=True)


def sample_with_titles(connection: duckdb.DuckDBPyConnection, rows: pd.DataFrame) -> pd.DataFrame:
    """The first recommendations of a few users of each source, with titles; users are shown by id alone.

    Args:
        connection: An open warehouse; titles and artists are the newest known.
        rows: Rows of `recommendations` for one day.

    Returns:
        user_id, source, rank, title, artist, score; the model's first, then by user and rank.
    """
    users = rows.drop_duplicates("user_id").groupby("source")["user_id"].head(_SAMPLE_USERS)
    shown = rows[rows["user_id"].isin(users) & (rows["rank"] <= _SAMPLE_RANKS)]
    wanted = [int(track) for track in shown["track_id"].unique()]
    titles = connection.execute(
        "SELECT track_id, name AS title, artist FROM dim_tracks WHERE track_id IN (SELECT unnest(?::BIGINT[]))",
        [wanted],
    ).df()
    sample = shown.merge(titles, on="track_id", how="left")
    sample["source"] = pd.Categorical(sample["source"], get_args(Source))
    sample = sample.sort_values(["source", "user_id", "rank"])
    sample["score"] = sample["score"].map("{:.3f}".format)
    return sample[["user_id", "source", "rank", "title", "artist", "score"]].reset_index(drop=True)


def _ranked(
    group: ScoredGroup, context: ServingContext, version: str, *, length: int, filter_seen: bool
) -> pd.DataFrame:
    extra, source = group.extra_scores, _SOURCES[group.way]
    ranked = top_n(
        group.user_vectors,
        group.track_vectors,
        length,
        seen=context.plays[group.users][:, group.tracks].tocsr() if filter_seen else None,
        extra_scores=None if extra is None else lambda start, stop: extra(np.arange(start, stop)),
    )
    filled = ranked.indices >= 0
    user, place = np.nonzero(filled)
    return pd.DataFrame(
        {
            "user_id": context.user_ids[group.users][user],
            "rank": place + 1,
            "track_id": context.track_ids[group.tracks[ranked.indices[filled]]],
            "score": ranked.scores[filled],
            "source": source,
            "model_version": version if source == "model" else POPULARITY,
        }
    )


def _interaction_matrix(user_ids: Ids, track_ids: Ids, interactions: pd.DataFrame) -> sparse.csr_matrix:
    """Interactions as ones in a (users, tracks) matrix; those of others are ignored. Both ids ascend."""
    wanted = interactions[interactions["user_id"].isin(user_ids) & interactions["track_id"].isin(track_ids)]
    rows = np.searchsorted(user_ids, wanted["user_id"].to_numpy(np.int64))
    columns = np.searchsorted(track_ids, wanted["track_id"].to_numpy(np.int64))
    ones = np.ones(len(wanted), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(user_ids), len(track_ids)))
