"""What listens, people and tracks are like: distributions small enough for the manifest of a training set.

A training set carries the profile of its last week as a reference, and `monitoring/drift.py` makes the same of a
day. How two profiles are compared belongs there. Shares of whole groups only; nothing personal is in a profile.
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
"""By which tracks are ranked: plays before the reference week (with the usual hold-out of seven days).

Ranked by plays of the very week, lucky tracks would stand too high, and every later day would seem to drift.
"""

POPULARITY_BINS = 10
UNKNOWN = "unknown"

# More different numbers than this are thinned: a cumulated share is then off by 1 / 255 at most.
_MOST_NUMBERS = 256
_DECIMALS = 6

Profile = Mapping[str, Distribution]
"""Distributions by feature, over sessions, users or tracks. A session is one observation, shared out over its tracks:
it has one user and one mood."""


def profile(
    listens: pd.DataFrame, users: pd.DataFrame, tracks: pd.DataFrame, popularity: pd.DataFrame
) -> dict[str, Distribution]:
    """Describe what was played, and people and tracks.

    Args:
        listens: user_id, listened_at, track_id, genres (of the track); one row per track of a session.
        users: favorite_genres (lists or None), gender; one row per person.
        tracks: genres (lists or None), duration_seconds; one row per track.
        popularity: track_id and `POPULARITY_COLUMN`, of the training set that is the reference.

    Returns:
        By feature: listen_hour, listen_genre, listen_popularity, session_length, user_genre, user_gender,
        track_genre and track_duration. What nothing is known of has no rows.
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
    """Ten groups of tracks with about equally many plays each; 0 holds the few most played.

    Tracks without plays have no group: new ones among them get their first plays within days, which is no drift.

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
    """A profile for the manifest; equal profiles give equal texts."""
    return {
        feature: {"rows": distribution.rows, "shares": dict(distribution.shares)}
        for feature, distribution in described.items()
        if distribution.rows
    }


def from_json(content: Mapping[str, Any]) -> dict[str, Distribution]:
    """What `to_json` wrote."""
    return {feature: Distribution(entry["rows"], entry["shares"]) for feature, entry in content.items()}


def _each(values: Iterable[object]) -> Distribution:
    """Each value is an observation."""
    listed = pd.Series(list(values), dtype=object)
    return _distribution(listed, np.arange(len(listed)))


def _words(lists: "pd.Series[Any]", observation: npt.NDArray[np.integer[Any]] | None = None) -> Distribution:
    """The words of lists, in small letters; each list is an observation, or part of the one that is named."""
    # A missing list comes as None or, out of a frame, as NaN.
    words = [
        sorted({str(word).casefold() for word in row}) if isinstance(row, list | tuple | np.ndarray) else []
        for row in lists
    ]
    exploded = pd.Series(words, dtype=object).explode()
    position = exploded.index.to_numpy(np.int64)
    return _distribution(
        exploded.reset_index(drop=True), position if observation is None else observation[position]
    )


def _distribution(values: "pd.Series[Any]", observation: npt.NDArray[np.integer[Any]]) -> Distribution:
    """Share each observation out equally among its values; missing values do not count."""
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
    """Few enough numbers: what lies between two that are kept counts as the upper one."""
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
