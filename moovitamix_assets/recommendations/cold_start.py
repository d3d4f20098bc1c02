"""Vectors for people the model knows nothing of: recent popularity, their favourite genres first.

They are ranked like everybody's, by `top_n.py`. The order itself is a component of training, so that what is
measured is what is served.
"""

import numpy as np
import pandas as pd

from moovitamix_assets.training.components.base import FloatArray
from moovitamix_assets.training.components.genre_popularity import genre_popularity


def cold_vectors(
    users: pd.DataFrame, tracks: pd.DataFrame, *, by_genre: bool
) -> tuple[FloatArray, FloatArray]:
    """Vectors of people and of the catalogue whose product gives the cold order.

    Args:
        users: favorite_genres; one row per person.
        tracks: genres, plays_last_30_days; one row per track.
        by_genre: Whether tracks of a favourite genre come first; otherwise all people get one order.

    Returns:
        User vectors and track vectors, float32, in the order of the rows.
    """
    favorites = users["favorite_genres"] if by_genre else [None] * len(users)
    return genre_popularity(favorites, tracks["genres"], tracks["plays_last_30_days"].to_numpy(np.float64))
