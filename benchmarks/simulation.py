"""Training sets of any size with a known kind of taste, drawn in seconds.

Only the drawing belongs here; what is measured on it is in `scale.py`. The bundled source (`mock_api/`) has a
richer world, but it simulates users session by session, which takes hours for millions of plays.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.training_set import TrainingSet

Integers = npt.NDArray[np.int64]

AS_OF = date(2026, 10, 14)
DAYS = 90
RECENT_DAYS = 30
INTERACTIONS_PER_USER = 50
"""More interactions are more users: the catalogue stays, and so does how much each user plays."""

NICHES_PER_USER = 4
NICHE_SHARE = 0.9
"""The share of plays within a user's niches; the others follow the charts."""

FLATNESS = 100.0
"""Of the popularity curve 1 / (FLATNESS + rank): some percent of users know the most played track."""

PLAYS_PER_INTERACTION = 1.2
"""Plays drawn for each interaction still missing."""


@dataclass(frozen=True)
class Taste:
    """The tastes that decide who plays what.

    Attributes:
        niche_of_track: int64 (T,).
        niches_of_user: int64 (U, NICHES_PER_USER), the dearest first.
        appeal: How often a track is played by those who like its kind, float64 (T,).
    """

    niche_of_track: Integers
    niches_of_user: Integers
    appeal: npt.NDArray[np.float64]


def simulated_training_set(interactions: int, tracks: int, niches: int, seed: int) -> TrainingSet:
    """Draw a training set.

    Args:
        interactions: of users with tracks; one user per 50 of them.
        tracks: Of the catalogue.
        niches: Kinds of tracks; a user likes four, the first most.
        seed: Equal seeds draw equal sets.
    """
    random = np.random.default_rng(seed)
    users = max(1, interactions // INTERACTIONS_PER_USER)
    taste = Taste(
        niche_of_track=random.integers(0, niches, tracks),
        niches_of_user=random.integers(0, niches, (users, NICHES_PER_USER)),
        appeal=1.0 / (FLATNESS + random.permutation(tracks).astype(np.float64)),
    )
    drawn, recent = _interactions(taste, interactions, random)
    return TrainingSet(
        as_of=AS_OF,
        users=_users(taste, random),
        tracks=_tracks(taste, recent, random),
        interactions=drawn,
    )


def _cuts(settings: Settings) -> dict[str, int]:
    """Days before each cut, counted from the first day of plays."""
    holdout = DAYS - settings.training.holdout_days
    return {
        "": DAYS,
        "_before_holdout": holdout,
        "_before_validation": holdout - settings.training.validation_days,
    }


def _interactions(
    taste: Taste, interactions: int, random: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, Integers]]:
    """Draw plays until there are enough interactions; return them and the recent plays of each track per cut."""
    tracks = len(taste.niche_of_track)
    keys = np.empty(0, dtype=np.int64)
    while (missing := interactions - len(distinct := np.unique(keys // DAYS))) > 0:
        keys = np.concatenate([keys, _plays(taste, int(missing * PLAYS_PER_INTERACTION) + 1000, random)])
    if len(distinct) > interactions:
        dropped = random.choice(distinct, len(distinct) - interactions, replace=False)
        keys = keys[~np.isin(keys // DAYS, dropped)]
    keys.sort()
    interaction, day = np.divmod(keys, DAYS)
    starts = np.flatnonzero(np.diff(interaction, prepend=-1))
    ends = np.append(starts[1:], len(interaction)) - 1
    track = interaction % tracks
    cuts = _cuts(Settings())
    recent = {
        columns.PLAYS_LAST_30_DAYS + name: np.bincount(
            track[(day < cut) & (day >= cut - RECENT_DAYS)], minlength=tracks
        )
        for name, cut in cuts.items()
    }
    first_day = np.datetime64(AS_OF - timedelta(days=DAYS - 1), "us")
    frame: dict[str, npt.NDArray[Any]] = {
        columns.USER_ID: interaction[starts] // tracks + 1,
        columns.TRACK_ID: track[starts] + 1,
    }
    frame |= {
        columns.PLAYS + name: np.add.reduceat(day < cut, starts, dtype=np.int64) for name, cut in cuts.items()
    }
    frame[columns.FIRST_LISTENED_AT] = first_day + day[starts] * np.timedelta64(1, "D")
    frame[columns.LAST_LISTENED_AT] = first_day + day[ends] * np.timedelta64(1, "D")
    return pd.DataFrame(frame), recent


def _plays(taste: Taste, count: int, random: np.random.Generator) -> Integers:
    """Draw plays as (user * T + track) * DAYS + day."""
    users, tracks = len(taste.niches_of_user), len(taste.niche_of_track)
    user = random.integers(0, users, count)
    place = np.minimum(random.geometric(0.45, count) - 1, NICHES_PER_USER - 1)
    niche = taste.niches_of_user[user, place]
    # Tracks niche by niche, with the appeal summed up: a draw within a niche is a draw between two sums.
    order = np.argsort(taste.niche_of_track, kind="stable")
    sums = np.append(0.0, np.cumsum(taste.appeal[order]))
    edges = np.searchsorted(taste.niche_of_track[order], np.arange(taste.niche_of_track.max() + 2))
    within = random.random(count) < NICHE_SHARE
    low = np.where(within, sums[edges[niche]], 0.0)
    high = np.where(within, sums[edges[niche + 1]], sums[-1])
    drawn = np.searchsorted(sums, low + random.random(count) * (high - low), side="right") - 1
    track = order[np.minimum(drawn, tracks - 1)]
    keys: Integers = (user * tracks + track) * DAYS + random.integers(0, DAYS, count)
    return keys


def _users(taste: Taste, random: np.random.Generator) -> pd.DataFrame:
    users = len(taste.niches_of_user)
    genders = np.array(["Female", "Male", "Agender"], dtype=object)
    return pd.DataFrame(
        {
            columns.USER_ID: np.arange(users) + 1,
            columns.FAVORITE_GENRES: [
                [f"genre {niche % 30}" for niche in row] for row in taste.niches_of_user[:, :2].tolist()
            ],
            columns.GENDER: genders[random.integers(0, len(genders), users)],
            columns.CREATED_AT: np.datetime64(AS_OF - timedelta(days=DAYS), "us"),
        }
    )


def _tracks(taste: Taste, recent: dict[str, Integers], random: np.random.Generator) -> pd.DataFrame:
    count = len(taste.niche_of_track)
    # An artist stays in a niche and has some ten tracks, an album some five.
    artists_a_niche = max(1, count // (10 * (int(taste.niche_of_track.max()) + 1)))
    artist = taste.niche_of_track * artists_a_niche + random.integers(0, artists_a_niche, count)
    return pd.DataFrame(
        {
            columns.TRACK_ID: np.arange(count) + 1,
            columns.ARTIST: [f"artist {number}" for number in artist],
            columns.SONGWRITERS: [f"writer {number // 2}" for number in artist],
            columns.GENRES: [[f"genre {niche % 30}"] for niche in taste.niche_of_track.tolist()],
            columns.ALBUM: [f"album {number}" for number in artist * 2 + random.integers(0, 2, count)],
            columns.DURATION_SECONDS: 180.0,
            **recent,
        }
    )
