"""Recent popularity, a user's favourite genres first: the ranking for users without plays.

The order as a component of two-part vectors belongs here, so that cold starts are ranked and measured like all other
users. Which users are cold starts is decided in `serving.py`.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from moovitamix_assets.training.components.base import FloatArray


def genre_popularity(
    favorite_genres: Iterable[object], track_genres: Iterable[object], plays: npt.NDArray[np.float64]
) -> tuple[FloatArray, FloatArray]:
    """Return vectors whose product orders tracks by shared genres first, then by plays.

    Args:
        favorite_genres: Of each user, a sequence of words or nothing (None, NaN).
        track_genres: Of each track, likewise.
        plays: Recent plays of each track, shape (T,).

    Returns:
        User vectors and track vectors, float32 (U, 1 + G) and (T, 1 + G).
    """
    of_users = [_words(genres) for genres in favorite_genres]
    of_tracks = [_words(genres) for genres in track_genres]
    places = {genre: place for place, genre in enumerate(sorted(set().union(*of_tracks)), start=1)}
    # The rank, not the count: float32 distinguishes a million ranks below 1, and none of them outweighs a genre.
    order = np.argsort(-plays, kind="stable")
    by_rank = np.empty(len(plays), dtype=np.float32)
    by_rank[order] = 1.0 - np.arange(len(plays), dtype=np.float32) / max(len(plays), 1)
    users = np.zeros((len(of_users), 1 + len(places)), dtype=np.float32)
    tracks = np.zeros((len(of_tracks), 1 + len(places)), dtype=np.float32)
    users[:, 0] = 1.0
    tracks[:, 0] = by_rank
    for row, genres in enumerate(of_users):
        users[row, [places[genre] for genre in genres if genre in places]] = 1.0
    for row, genres in enumerate(of_tracks):
        tracks[row, [places[genre] for genre in genres]] = 1.0
    return users, tracks


def shares_genre(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return whether scores by these vectors are those of tracks of a favorite genre: without one, 1 is the highest."""
    return scores > 1.0


def _words(genres: object) -> frozenset[str]:
    # A missing sequence is None or, in a frame, NaN.
    return (
        frozenset(str(genre).casefold() for genre in genres)
        if isinstance(genres, list | tuple | np.ndarray)
        else frozenset()
    )
