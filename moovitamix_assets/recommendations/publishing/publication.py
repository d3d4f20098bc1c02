"""The publication of a day: what is in the warehouse and in the champion's folder, as the arrays that readers map.

Composition only; the parts are in `reading.py` and `arrays.py`, the files in `layout.py`.
"""

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from foundation.models.decisions import POPULARITY
from foundation.models.promotions import standing
from foundation.models.versions import trained_as_of
from moovitamix_assets.recommendations.publishing.arrays import arm_arrays, ranked_tracks, track_arrays
from moovitamix_assets.recommendations.publishing.layout import (
    REASONS,
    ArmArrays,
    ArmName,
    Manifest,
    Publication,
)
from moovitamix_assets.recommendations.publishing.reading import history, recommended_rows, validity
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.warehouse.as_of import POPULARITY_DAYS, track_names, track_plays, tracks_as_of


def publication_of(connection: duckdb.DuckDBPyConnection, day: date, models_dir: Path) -> Publication | None:
    """The publication of a day; None if nothing is recommended for it.

    Raises:
        ModelMissing: If the folder of the champion is gone.
        ModelDamaged: If a file of it is not the one that was written.
    """
    valid = validity(connection, day)
    if valid is None:
        return None
    versions = standing(connection, day)
    tracks = tracks_as_of(connection, day).merge(track_names(connection, day), on="track_id", how="left")
    plays = tracks["plays_last_30_days"].to_numpy()
    if versions.fallback is not None and versions.fallback.popularity_days != POPULARITY_DAYS:
        days = versions.fallback.popularity_days
        plays = track_plays(connection, day, [days])[f"plays_last_{days}_days"].to_numpy()
    ranked, genres = ranked_tracks(tracks, plays)
    champion = versions.champion
    catalogue = track_arrays(tracks, model_store(models_dir).load(champion) if champion else None)
    challenger = versions.challenger.model_version if versions.challenger else None
    user_ids, arms = _arms(connection, day, tracks, versions.serving, challenger)
    generated_at, expires_at = valid
    manifest = Manifest(
        model_version=versions.serving,
        challenger=challenger if "challenger" in arms else None,
        vectors_of=champion,
        generated_for=day.isoformat(),
        generated_at=f"{generated_at.isoformat()}Z",
        expires_at=f"{expires_at.isoformat()}Z",
        users=len(user_ids),
        tracks=len(tracks),
        length=arms["champion"].positions.shape[1],
        genres=genres,
        reasons={str(reason): text for reason, text in REASONS.items()},
    )
    return Publication(manifest, user_ids, arms, catalogue, ranked, history(connection, day, versions))


def _arms(
    connection: duckdb.DuckDBPyConnection,
    day: date,
    tracks: pd.DataFrame,
    serving: str,
    challenger: str | None,
) -> tuple[npt.NDArray[np.int64], dict[ArmName, ArmArrays]]:
    """The users, and what each arm recommends them; users whom the challenger does not know get the champion's."""
    rows = recommended_rows(connection, "recommendations", day)
    shadow = recommended_rows(connection, "shadow_recommendations", day, challenger) if challenger else None
    user_ids, track_ids = rows.user_ids, tracks["track_id"].to_numpy(np.int64)
    length = max(rows.length, shadow.length if shadow else 0)
    champion = arm_arrays(rows, user_ids, track_ids, _came_after(tracks, serving), length)
    arms: dict[ArmName, ArmArrays] = {"champion": champion}
    if challenger and shadow and len(shadow.users):
        arms["challenger"] = arm_arrays(
            shadow, user_ids, track_ids, _came_after(tracks, challenger), length, otherwise=champion
        )
    return user_ids, arms


def _came_after(tracks: pd.DataFrame, version: str) -> npt.NDArray[np.bool_]:
    """Whether each track came after a version was trained, (T,); none did where popular tracks serve."""
    if version == POPULARITY:
        return np.zeros(len(tracks), np.bool_)
    trained_until = pd.Timestamp(trained_as_of(version) + timedelta(days=1))
    return np.asarray(tracks["created_at"] >= trained_until, np.bool_)
