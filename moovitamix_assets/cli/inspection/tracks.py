"""The tracks that `moovitamix recommend` shows: the newest record of each in the catalogue.

Which tracks are recommended, and why, is in `recommendations.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from foundation.errors import Explained


class NothingToShow(Explained, LookupError):
    """The requested data do not exist; the message names them and the remedy."""


@dataclass(frozen=True)
class Track:
    """A track as it is shown.

    Attributes:
        track_id: Its id in the source.
        name: None where the catalogue has none.
        artist: None where the catalogue has none.
        genres: Its genres.
        in_catalogue: Whether the catalogue knows it.
    """

    track_id: int
    name: str | None = None
    artist: str | None = None
    genres: frozenset[str] = frozenset()
    in_catalogue: bool = True

    @property
    def title(self) -> str:
        """Such as "Song" by Artist."""
        if not self.in_catalogue:
            return "a track that the catalogue does not know"
        return f'"{self.name or "?"}" by {self.artist or "?"}'

    @property
    def with_genres(self) -> str:
        """Such as "Song" by Artist (jazz, pop)."""
        return f"{self.title} ({', '.join(sorted(self.genres))})" if self.genres else self.title

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        named = {"track_id": self.track_id, "name": self.name, "artist": self.artist}
        return {**named, "genres": sorted(self.genres)}


def read_tracks(connection: duckdb.DuckDBPyConnection, track_ids: Iterable[int]) -> dict[int, Track]:
    """The newest record of each track; one that the catalogue does not know says so."""
    wanted = list(set(track_ids))
    rows = connection.execute(
        "SELECT track_id, name, artist, genres FROM dim_tracks WHERE track_id IN (SELECT unnest(?::BIGINT[]))",
        [wanted],
    ).fetchall()
    found = {
        track_id: Track(track_id, name, artist, frozenset(genres or ()))
        for track_id, name, artist, genres in rows
    }
    return {track_id: found.get(track_id) or Track(track_id, in_catalogue=False) for track_id in wanted}


def read_known_tracks(connection: duckdb.DuckDBPyConnection, track_ids: Sequence[int]) -> list[Track]:
    """Like `read_tracks`, in the order given.

    Raises:
        NothingToShow: If the catalogue does not know one of them.
    """
    tracks = read_tracks(connection, track_ids)
    unknown = [str(track_id) for track_id in track_ids if not tracks[track_id].in_catalogue]
    if unknown:
        raise NothingToShow(
            f"There is no track {', '.join(unknown)}. Ids are those of the source: SELECT track_id FROM dim_tracks."
        )
    return [tracks[track_id] for track_id in track_ids]
