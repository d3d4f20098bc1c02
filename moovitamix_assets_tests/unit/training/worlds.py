"""Small worlds with a known taste: every user belongs to a genre and mostly plays its tracks."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from moovitamix_assets.training.dataset.training_set import TrainingSet

AS_OF = date(2026, 10, 14)
GENRES = ("Jazz", "Metal", "Pop", "Techno")
DAYS = 40
HOLDOUT_DAYS = 7
VALIDATION_DAYS = 7


def taste_world(
    users: int = 80,
    tracks: int = 120,
    listens: int = 5000,
    seed: int = 1,
    moved_on: int | None = None,
    joining: int = 0,
) -> TrainingSet:
    """Return a training set in which user u loves genre u mod 4, and track t is of genre t mod 4.

    From the day `moved_on`, counted from 0, all users love the next genre; then the set has decayed plays.
    The last user has never played anything; the last four tracks appear on the first hold-out day. With `joining`,
    so many of the most played tracks join one after the other on the last 14 days instead, and it is known when.
    """
    random = np.random.default_rng(seed)
    user_ids = np.arange(users) * 3 + 100
    track_ids = np.arange(tracks) * 7 + 1000
    user = random.integers(0, users - 1, listens)
    loyal = random.random(listens) < 0.85
    other = random.integers(0, 4, listens)
    place = np.floor(np.square(random.random(listens)) * (tracks // 4)).astype(int)
    day = np.sort(random.integers(0, DAYS, listens))
    moved = 0 if moved_on is None else (day >= moved_on).astype(int)
    genre = np.where(loyal, (user + moved) % 4, other)
    track = np.minimum(place * 4 + genre, tracks - 1)
    track = np.where((track >= tracks - 4) & (day < DAYS - HOLDOUT_DAYS), track - 4, track)
    plays = pd.DataFrame({"user_id": user_ids[user], "track_id": track_ids[track], "day": day})
    came = np.full(tracks, -100)
    came[:joining] = DAYS - HOLDOUT_DAYS - VALIDATION_DAYS + np.arange(joining) * 14 // max(joining, 1) - 1
    plays = plays[day > came[track]].reset_index(drop=True)
    return TrainingSet(
        as_of=AS_OF,
        users=pd.DataFrame(
            {
                "user_id": user_ids,
                "favorite_genres": [[GENRES[number % 4]] for number in range(users)],
                "gender": [("Female", "Agender", None)[number % 3] for number in range(users)],
                "created_at": [datetime(2026, 1, 1)] * users,
            }
        ),
        tracks=_tracks(plays, track_ids).assign(**_created_at(came) if joining else {}),
        interactions=_interactions(plays) if moved_on is None else _with_decayed(plays),
    )


def changed_world(world: TrainingSet, changed_on: date) -> TrainingSet:
    """Return a set in which tastes changed on a day: every interaction first played before it has its older plays."""
    older = pd.to_datetime(world.interactions["first_listened_at"]).dt.date < changed_on
    once = pd.to_datetime(world.interactions["last_listened_at"]).dt.date < changed_on
    plays = world.interactions["plays"]
    before = plays.where(once, np.minimum(1, plays)).where(older, 0)
    return replace(
        world, changed_on=changed_on, interactions=world.interactions.assign(plays_before_change=before)
    )


def _created_at(came: np.ndarray) -> dict[str, list[datetime]]:
    return {"created_at": [datetime(2026, 9, 5, 12) + timedelta(days=int(day)) for day in came]}


def _tracks(plays: pd.DataFrame, track_ids: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "track_id": track_ids,
            "artist": [f"artist {number % 4} {number % 5}" for number in range(len(track_ids))],
            "songwriters": [f"writer {number % 11}" for number in range(len(track_ids))],
            "genres": [[GENRES[number % 4].lower()] for number in range(len(track_ids))],
            "album": [
                None if number % 10 == 0 else f"album {number % 20}" for number in range(len(track_ids))
            ],
            "duration_seconds": 180.0,
        }
    )
    cuts = {
        "plays_last_30_days": DAYS,
        "plays_last_30_days_before_holdout": DAYS - HOLDOUT_DAYS,
        "plays_last_30_days_before_validation": DAYS - HOLDOUT_DAYS - VALIDATION_DAYS,
    }
    for name, cut in cuts.items():
        recent = plays[(plays["day"] < cut) & (plays["day"] >= cut - 30)].groupby("track_id").size()
        frame[name] = recent.reindex(track_ids).fillna(0).to_numpy(np.int64)
    return frame


def _with_decayed(plays: pd.DataFrame) -> pd.DataFrame:
    cuts = {
        "faded_plays": DAYS,
        "faded_plays_before_holdout": DAYS - HOLDOUT_DAYS,
        "faded_plays_before_validation": DAYS - HOLDOUT_DAYS - VALIDATION_DAYS,
    }
    for name, cut in cuts.items():
        weights = np.round(1000 * 0.5 ** ((cut - plays["day"]) / 7)).where(plays["day"] < cut, 0)
        plays[name] = weights.astype(np.int64)
    decayed = plays.groupby(["user_id", "track_id"], as_index=False)[list(cuts)].sum()
    return _interactions(plays).merge(decayed, on=["user_id", "track_id"])


def _interactions(plays: pd.DataFrame) -> pd.DataFrame:
    holdout, validation = DAYS - HOLDOUT_DAYS, DAYS - HOLDOUT_DAYS - VALIDATION_DAYS
    start = datetime(2026, 9, 5)
    grouped = plays.assign(
        plays=1,
        plays_before_holdout=plays["day"] < holdout,
        plays_before_validation=plays["day"] < validation,
    ).groupby(["user_id", "track_id"], as_index=False)
    return grouped.agg(
        plays=("plays", "sum"),
        plays_before_holdout=("plays_before_holdout", "sum"),
        plays_before_validation=("plays_before_validation", "sum"),
        first_listened_at=("day", lambda days: start + timedelta(days=int(days.min()))),
        last_listened_at=("day", lambda days: start + timedelta(days=int(days.max()))),
    )
