"""How far a day's listens, people and tracks are from what the champion was trained on.

The distances, and what chance alone makes of them, belong here. What is compared is described by
`training/dataset/reference_profile.py`, for the training set and for the day alike.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from moovitamix_assets.training.dataset.reference_profile import (
    POPULARITY_COLUMN,
    Distribution,
    Profile,
    from_json,
    profile,
)
from moovitamix_assets.training.dataset.training_set import verified_manifest
from moovitamix_assets.warehouse.as_of import listens_changed, tracks_changed, users_changed
from moovitamix_assets.warehouse.connection import first_row
from moovitamix_assets.warehouse.schemas import DRIFT, empty_frame

# One day in a thousand may exceed by chance what chance gives, for each feature.
_CONFIDENCE = 0.999

# Values expected less often than this in the smaller sample are counted as one (Cochran 1954).
_LEAST_EXPECTED = 5

_NUMBERS = {"session_length", "track_duration"}
"""Features compared by their cumulated shares; all others are words or few enough numbers."""


@dataclass(frozen=True)
class Reference:
    """What the champion was trained on.

    Attributes:
        profile: Of its training set.
        popularity: track_id and the plays that tracks are ranked by, for every track of the set.
        user_ids: Every person of the set.
    """

    profile: Profile
    popularity: pd.DataFrame
    user_ids: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Today:
    """What changed on a day.

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


def trained_as_of(connection: duckdb.DuckDBPyConnection, model_version: str) -> date | None:
    """The day as of which a version was trained; None if it was never promoted."""
    row = first_row(
        connection,
        "SELECT as_of FROM promotions WHERE model_version = ? AND decision = 'promoted'",
        [model_version],
    )
    return row[0] if row else None


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
    """What changed on a day; nothing older is looked at but the genres of the tracks played."""
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
        minimum_rows: Features with fewer sessions, people or tracks on the day get no row.

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
            rows.append((feature, "share", value, _clearly_above(drift_threshold, count)))
    if not rows:
        return empty_frame(DRIFT)
    frame = pd.DataFrame(rows, columns=["feature", "statistic", "value", "threshold"])
    frame.insert(0, "day", pd.Timestamp(today.day))
    return frame.assign(drifted=frame["value"] > frame["threshold"]).sort_values("feature", ignore_index=True)


def psi(one: Distribution, other: Distribution) -> tuple[float, float]:
    """The population stability index, and what it exceeds by chance once in a thousand times.

    PSI is the sum of (p - q) ln(p / q). Between samples of m and n from one population it is distributed as
    (1/m + 1/n) times chi-square with one degree of freedom less than there are values (Yurdakul 2018, Statistical
    Properties of Population Stability Index), provided that no value is rare: rare ones are counted as one. A value
    that a sample lacks counts as half an observation of it, as its logarithm would be infinite.
    """
    values = sorted(one.shares.keys() | other.shares.keys())
    shares = np.array([[side.shares.get(value, 0.0) for value in values] for side in (one, other)])
    rows = np.array([one.rows, other.rows], dtype=np.float64)
    together = rows @ shares / rows.sum()
    rare = together * rows.min() < _LEAST_EXPECTED
    pooled = np.column_stack([shares[:, ~rare], shares[:, rare].sum(axis=1)]) if rare.any() else shares
    p, q = np.maximum(pooled, 0.5 / rows[:, None])
    value = float(((p - q) * np.log(p / q)).sum())
    by_chance = float(stats.chi2.ppf(_CONFIDENCE, max(len(p) - 1, 1)) * (1 / rows).sum())
    return value, by_chance


def ks(one: Distribution, other: Distribution) -> tuple[float, float]:
    """The Kolmogorov-Smirnov distance, and what it exceeds by chance at most once in a thousand times.

    The distance is the greatest difference of the two cumulated shares. By chance it exceeds
    sqrt(-ln(alpha / 2) / 2) sqrt(1/m + 1/n) with probability alpha, less often where values repeat (Smirnov 1939).
    """
    values = sorted({float(value) for side in (one, other) for value in side.shares})
    place = {value: number for number, value in enumerate(values)}
    cumulated = []
    for side in (one, other):
        shares = np.zeros(len(values))
        for value, share in side.shares.items():
            shares[place[float(value)]] = share
        cumulated.append(shares.cumsum() / shares.sum())
    by_chance = np.sqrt(-np.log((1 - _CONFIDENCE) / 2) / 2) * np.sqrt(1 / one.rows + 1 / other.rows)
    return float(np.abs(cumulated[0] - cumulated[1]).max()), float(by_chance)


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


def _clearly_above(share: float, count: int) -> float:
    """What a share so large exceeds by chance once in a thousand times, among so many observations (normal bound).

    A training set knows all of its own people and tracks, so there is no share of the reference to compare with.
    """
    return float(share + stats.norm.ppf(_CONFIDENCE) * np.sqrt(max(share * (1 - share), 0.0) / count))
