"""The distance of a day's listens, users and tracks from what the champion was trained on.

The statistics are in `foundation/statistics/drift.py`. What is compared is described by
`training/dataset/reference_profile.py`, for the training set and for the day alike.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from foundation.models.promotions import champion_version
from foundation.models.versions import trained_as_of
from foundation.statistics.drift import ks, psi, share_by_chance
from foundation.tables import empty_frame
from moovitamix_assets.setting_groups import MonitoringSettings
from moovitamix_assets.training.dataset.reference_profile import (
    POPULARITY_COLUMN,
    Profile,
    from_json,
    profile,
)
from moovitamix_assets.training.dataset.training_set import verified_manifest
from moovitamix_assets.training.dataset.training_set_store import training_set_folder
from moovitamix_assets.warehouse.as_of import listens_changed, tracks_changed, users_changed
from moovitamix_assets.warehouse.schemas import DRIFT

_NUMBERS = {"session_length", "track_duration"}
"""Features compared by their cumulated shares; all others are words or few enough numbers."""


@dataclass(frozen=True)
class Reference:
    """The training data of the champion, as far as drift is compared.

    Attributes:
        profile: Of its training set.
        popularity: track_id and the plays that tracks are ranked by, for every track of the set.
        user_ids: Every user of the set.
    """

    profile: Profile
    popularity: pd.DataFrame
    user_ids: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Today:
    """The changes of a day.

    Attributes:
        day: The day.
        listens: user_id, listened_at, track_id, genres; one row per track of a session.
        users: user_id, favorite_genres, gender.
        tracks: track_id, genres, duration_seconds.
    """

    day: date
    listens: pd.DataFrame
    users: pd.DataFrame
    tracks: pd.DataFrame


def drift_of_day(
    connection: duckdb.DuckDBPyConnection, day: date, training_sets_dir: Path, settings: MonitoringSettings
) -> tuple[pd.DataFrame, str]:
    """The rows of `drift` for a day, and the version it was compared with, or the reason why with none.

    Raises:
        TrainingSetDamaged: If a file of the champion's training set is not the one that was written.
    """
    version = champion_version(connection, day)
    if version is None:
        return empty_frame(DRIFT), "nothing: there is no champion"
    folder = training_set_folder(training_sets_dir, trained_as_of(version))
    reference = read_reference(folder)
    if reference is None:
        return empty_frame(DRIFT), f"nothing: {folder} of {version} has no reference"
    rows = drift_rows(
        read_today(connection, day),
        reference,
        drift_threshold=settings.drift_threshold,
        minimum_rows=settings.drift_minimum_rows,
    )
    return rows, version


def read_reference(training_set: Path) -> Reference | None:
    """The reference in the folder of a training set; None if the folder or the reference in it is not there.

    Raises:
        TrainingSetDamaged: If a file of it is not the one that was written.
    """
    if not training_set.exists():
        return None
    described = from_json(verified_manifest(training_set).get("reference", {}))
    if not described:
        return None
    return Reference(
        profile=described,
        popularity=pd.read_parquet(training_set / "tracks.parquet", columns=["track_id", POPULARITY_COLUMN]),
        user_ids=pd.read_parquet(training_set / "users.parquet", columns=["user_id"])["user_id"].to_numpy(
            np.int64
        ),
    )


def read_today(connection: duckdb.DuckDBPyConnection, day: date) -> Today:
    """Read what changed on a day; of anything older only the genres of the tracks played."""
    return Today(
        day=day,
        listens=listens_changed(connection, day, day),
        users=users_changed(connection, day),
        tracks=tracks_changed(connection, day),
    )


def drift_rows(
    today: Today, reference: Reference, *, drift_threshold: float, minimum_rows: int
) -> pd.DataFrame:
    """The rows of `drift` for one day.

    Args:
        today: What changed on the day.
        reference: What it is compared with.
        drift_threshold: What counts as drift on a day with many rows.
        minimum_rows: Features with fewer sessions, users or tracks on the day get no row.

    Returns:
        Columns as in the table, ordered by feature.
    """
    rows = []
    described = profile(today.listens, today.users, today.tracks, reference.popularity)
    for feature, distribution in described.items():
        before = reference.profile.get(feature)
        if before is not None and distribution.rows >= minimum_rows:
            statistic, measure = ("ks", ks) if feature in _NUMBERS else ("psi", psi)
            value, by_chance = measure(before, distribution)
            rows.append((feature, statistic, value, max(drift_threshold, by_chance)))
    for feature, (value, count) in _unknown(today.listens, reference).items():
        if count >= minimum_rows:
            rows.append((feature, "share", value, share_by_chance(drift_threshold, count)))
    if not rows:
        return empty_frame(DRIFT)
    frame = pd.DataFrame(rows, columns=["feature", "statistic", "value", "threshold"])
    frame.insert(0, "day", pd.Timestamp(today.day))
    return frame.assign(drifted=frame["value"] > frame["threshold"]).sort_values("feature", ignore_index=True)


def _unknown(listens: pd.DataFrame, reference: Reference) -> dict[str, tuple[float, int]]:
    """Shares of listens of tracks, and of listeners, that the training set does not know; with the observations."""
    if listens.empty:
        return {}
    listeners = listens["user_id"].unique()
    sessions = len(listens.drop_duplicates(["user_id", "listened_at"]))
    return {
        "unknown_tracks": (
            float((~listens["track_id"].isin(reference.popularity["track_id"])).mean()),
            sessions,
        ),
        "unknown_people": (float((~np.isin(listeners, reference.user_ids)).mean()), len(listeners)),
    }
