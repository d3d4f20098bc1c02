"""Lists for people the model knows nothing of: recent popularity, their favourite genres first.

A list is made once per set of genres, not once per person. Lists of the model are in `everyone.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class PopularTracks:
    """The catalogue in the order of its recent popularity.

    Attributes:
        track_ids: Most played of the last 30 days first, ties by id, int64 (T,).
        plays: Their plays in those days, int64 (T,).
        genres: The genres of each.
    """

    track_ids: npt.NDArray[np.int64]
    plays: npt.NDArray[np.int64]
    genres: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, tracks: pd.DataFrame) -> "PopularTracks":
        """Order a catalogue.

        Args:
            tracks: track_id, genres (lists or None), plays_last_30_days.
        """
        ordered = tracks.sort_values(
            ["plays_last_30_days", "track_id"], ascending=[False, True], kind="stable"
        )
        return cls(
            track_ids=ordered["track_id"].to_numpy(np.int64),
            plays=ordered["plays_last_30_days"].to_numpy(np.int64),
            genres=tuple(_words(genres) for genres in ordered["genres"]),
        )

    def preferring(self, favorite_genres: Iterable[str] | None) -> npt.NDArray[np.int64]:
        """Positions in `track_ids`, those that share a favourite genre first, each part by popularity."""
        favorites = _words(favorite_genres)
        shares = np.array([bool(favorites & genres) for genres in self.genres], dtype=bool)
        return np.concatenate([np.flatnonzero(shares), np.flatnonzero(~shares)])


def first_unheard(
    popular: PopularTracks, order: npt.NDArray[np.int64], heard: npt.NDArray[np.int64], length: int
) -> npt.NDArray[np.int64]:
    """The first positions of an order whose tracks are not among those heard, at most `length`."""
    # A list of `length` survives the removal of every heard track if that many more are looked at.
    considered = order[: length + len(heard)]
    kept: npt.NDArray[np.int64] = considered[~np.isin(popular.track_ids[considered], heard)][:length]
    return kept


def _words(genres: Iterable[str] | None) -> frozenset[str]:
    # A missing list comes as None or, out of a frame, as NaN.
    return frozenset() if genres is None or isinstance(genres, float) else frozenset(genres)
