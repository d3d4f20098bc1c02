"""The profile of listens, users and tracks: distributions small enough for the manifest of a training set.

A training set holds the profile of its last week as a reference, and `monitoring/drift.py` computes the same for a day.
How two profiles are compared belongs there. A profile has shares of whole groups only, and nothing personal.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from foundation.statistics.drift import Distribution
from moovitamix_assets.training.dataset import columns

# One whole week, so that a Saturday is not compared with Mondays only.
REFERENCE_DAYS = 7

POPULARITY_COLUMN = columns.PLAYS_LAST_30_DAYS_BEFORE_HOLDOUT
"""The column that ranks tracks: plays before the reference week (with the usual hold-out of seven days).

Ranked by plays of that same week, lucky tracks would rank too high, and every later day would seem to drift.
"""

POPULARITY_BINS = 10
UNKNOWN = "unknown"

# More distinct numbers than this are thinned: a cumulative share is then off by 1 / 255 at most.
_MOST_NUMBERS = 256
_DECIMALS = 6

Profile = Mapping[str, Distribution]
"""Distributions by feature, over sessions, users or tracks. A session is one observation, divided among its tracks:
it has one user and one mood."""


def profile(
    listens: pd.DataFrame, users: pd.DataFrame, tracks: pd.DataFrame, popularity: pd.DataFrame
) -> dict[str, Distribution]:
    """Return the profile of listens, users and tracks.

    Args:
        listens: user_id, listened_at, track_id, genres (of the track); one row per track of a session.
        users: favorite_genres (sequences or None), gender; one row per user.
        tracks: genres (sequences or None), duration_seconds; one row per track.
        popularity: track_id and `POPULARITY_COLUMN`, of the training set that is the reference.

    Returns:
        By feature: listen_hour, listen_genre, listen_popularity, session_length, user_genre, user_gender,
        track_genre and track_duration. A feature without any known value has no rows.
    """
    sessions = listens.groupby(["user_id", "listened_at"])
    session = sessions.ngroup().to_numpy(np.int64)
    lengths = sessions.size()
    bins = popularity_bins(popularity).reindex(listens["track_id"]).astype("Int64")
    gender = users["gender"].astype(object)
    return {
        "listen_hour": _each(pd.DatetimeIndex(lengths.index.get_level_values("listened_at")).hour),
        "listen_genre": _words(listens["genres"], session),
        "listen_popularity": _distribution(bins.reset_index(drop=True), session),
        "session_length": _thinned(_each(lengths)),
        "user_genre": _words(users["favorite_genres"]),
        "user_gender": _each(gender.where(gender.notna(), UNKNOWN)),
        "track_genre": _words(tracks["genres"]),
        "track_duration": _thinned(_each(tracks["duration_seconds"].astype("Int64"))),
    }


def popularity_bins(popularity: pd.DataFrame) -> "pd.Series[int]":
    """Return ten groups of tracks with about equally many plays each; 0 holds the few most played.

    Tracks without plays have no group: new ones get their first plays within days, which is no drift.

    Args:
        popularity: track_id and `POPULARITY_COLUMN`.

    Returns:
        The group by track_id.
    """
    played = popularity[popularity[POPULARITY_COLUMN] > 0]
    ranked = played.sort_values([POPULARITY_COLUMN, "track_id"], ascending=[False, True])
    plays = ranked[POPULARITY_COLUMN].to_numpy(np.float64)
    middle = (plays.cumsum() - plays / 2) / max(plays.sum(), 1.0)
    return pd.Series((middle * POPULARITY_BINS).astype(np.int64), index=ranked["track_id"].to_numpy())


def to_json(described: Profile) -> dict[str, Any]:
    """Return a profile for the manifest; equal profiles give equal texts."""
    return {
        feature: {"rows": distribution.rows, "shares": dict(distribution.shares)}
        for feature, distribution in described.items()
        if distribution.rows
    }


def from_json(content: Mapping[str, Any]) -> dict[str, Distribution]:
    """Read what `to_json` returned."""
    return {feature: Distribution(entry["rows"], entry["shares"]) for feature, entry in content.items()}


def _each(values: Iterable[object]) -> Distribution:
    """Count each value as an observation."""
    listed = pd.Series(list(values), dtype=object)
    return _distribution(listed, np.arange(len(listed)))


def _words(
    sequences: "pd.Series[Any]", observation: npt.NDArray[np.integer[Any]] | None = None
) -> Distribution:
    """Count words, in lower case; each sequence is an observation, or part of the one with the given number."""
    # A missing sequence is None or, in a frame, NaN.
    words = [
        sorted({str(word).casefold() for word in row}) if isinstance(row, list | tuple | np.ndarray) else []
        for row in sequences
    ]
    exploded = pd.Series(words, dtype=object).explode()
    position = exploded.index.to_numpy(np.int64)
    return _distribution(
        exploded.reset_index(drop=True), position if observation is None else observation[position]
    )


def _distribution(values: "pd.Series[Any]", observation: npt.NDArray[np.integer[Any]]) -> Distribution:
    """Divide each observation equally among its values; missing values do not count."""
    there = values.notna().to_numpy(bool)
    _, own, sizes = np.unique(observation[there], return_inverse=True, return_counts=True)
    if not len(sizes):
        return Distribution(0, {})
    texts, kinds = np.unique(values[there].astype(str).to_numpy(str), return_inverse=True)
    shares = np.bincount(kinds, weights=1 / sizes[own]) / len(sizes)
    return Distribution(
        len(sizes),
        {str(text): round(float(share), _DECIMALS) for text, share in zip(texts, shares, strict=True)},
    )


def _thinned(numbers: Distribution) -> Distribution:
    """Return fewer numbers: those between two that are kept count as the upper one."""
    if len(numbers.shares) <= _MOST_NUMBERS:
        return numbers
    kept: dict[str, float] = {}
    waiting = 0.0
    ordered = sorted(numbers.shares, key=float)
    for number in ordered:
        waiting += numbers.shares[number]
        if waiting * (_MOST_NUMBERS - 1) >= 1 or number == ordered[-1]:
            kept[number] = round(waiting, _DECIMALS)
            waiting = 0.0
    return Distribution(numbers.rows, kept)
