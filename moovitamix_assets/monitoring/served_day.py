"""A day on which recommendations were shown, read from the warehouse: what was recommended, and what was played.

How good the recommendations were is measured in `quality.py`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import duckdb
import numpy as np
import pandas as pd

from foundation.models.decisions import POPULARITY
from foundation.models.promotions import champion_version
from foundation.warehouse.rows import first_row
from moovitamix_assets.training.evaluation.offline import RANKING_LENGTH
from moovitamix_assets.warehouse.as_of import (
    ever_played,
    first_played_on,
    interactions_as_of,
    track_plays,
)

Role = Literal["champion", "challenger", "fallback"]

POPULARITY_DAYS = (3, 7, 30)
"""The days whose plays make tracks popular; a fallback takes the best of them."""


@dataclass(frozen=True)
class Recommended:
    """Recommendations as of the day before, of the users who played something new.

    Attributes:
        role: The standing of the versions that made them.
        rows: user_id, rank, track_id, model_version.
    """

    role: Role
    rows: pd.DataFrame


@dataclass(frozen=True)
class ServedDay:
    """Recommendations and the plays that followed. "Before" is as of the end of the day before.

    Attributes:
        day: The day of the plays.
        served: The recommendations that users were served.
        shadows: Those of each version in shadow.
        new: user_id, track_id: the interactions of the day that were unknown before.
        seen: user_id, track_id, plays: the interactions of those users before.
        tracks: track_id, and plays_last_<n>_days for each of `POPULARITY_DAYS`: the catalogue before.
        played: The tracks of `new` that any user had played before.
    """

    day: date
    served: Recommended
    shadows: Sequence[Recommended]
    new: pd.DataFrame
    seen: pd.DataFrame
    tracks: pd.DataFrame
    played: Collection[int]


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
    served = _recommended(connection, "recommendations", before, new)
    if served.empty:
        return None
    new = new[new["user_id"].isin(served["user_id"])]
    tracks = track_plays(connection, before, POPULARITY_DAYS)
    wanted = set(new["track_id"])
    recently = wanted & set(tracks["track_id"][tracks[f"plays_last_{POPULARITY_DAYS[-1]}_days"] > 0])
    role = _role_of_served(connection, before)
    # A champion is in shadow during a fallback only.
    sidelined = champion_version(connection, before) if role == "fallback" else None
    return ServedDay(
        day=day,
        served=Recommended(role, served),
        shadows=_shadows(connection, before, new, sidelined),
        new=new,
        seen=interactions_as_of(connection, before, {}, users=served["user_id"].unique().tolist()),
        tracks=tracks,
        # The whole history is read only for the few tracks that no user played lately.
        played=recently | ever_played(connection, before, wanted - recently),
    )


def _recommended(
    connection: duckdb.DuckDBPyConnection, table: str, day: date, new: pd.DataFrame
) -> pd.DataFrame:
    return connection.execute(
        f"""SELECT user_id, rank, track_id, model_version FROM {table}
            WHERE generated_for = $day AND rank <= $length AND user_id IN (SELECT unnest($users::BIGINT[]))
            ORDER BY model_version, user_id, rank""",
        {"day": day, "length": RANKING_LENGTH, "users": np.unique(new["user_id"]).tolist()},
    ).df()


def _role_of_served(connection: duckdb.DuckDBPyConnection, day: date) -> Role:
    """Popular tracks for everyone are a fallback; for the few whom a model does not know, they are its complement."""
    by_model = first_row(
        connection,
        "SELECT 1 FROM recommendations WHERE generated_for = ? AND model_version <> ? LIMIT 1",
        [day, POPULARITY],
    )
    return "champion" if by_model else "fallback"


def _shadows(
    connection: duckdb.DuckDBPyConnection, day: date, new: pd.DataFrame, champion: str | None
) -> list[Recommended]:
    rows = _recommended(connection, "shadow_recommendations", day, new)
    return [
        Recommended("champion" if version == champion else "challenger", some)
        for version, some in rows.groupby("model_version")
    ]
