"""The tracks: artists with a genre and a style, popularity after Zipf, new ones every day, corrections.

Tastes are decided in `users.py`, plays in `sessions.py`.
"""

import numpy as np
from numpy.typing import NDArray

from mock_api.settings import MockApiSettings
from mock_api.simulation.names import GENRES, Ids, Names
from mock_api.simulation.randomness import MICROSECONDS_A_DAY, Stream, generator, instants
from mock_api.simulation.tables import NO_TIME, VersionTable

STYLES = 12
ARTISTS_PER_TRACK = 0.15
ZIPF_EXPONENT = 0.75
# Added to every rank: without it the first track alone would take a tenth of all listens.
ZIPF_RANK_OFFSET = 10.0
OTHER_GENRE_SHARE = 0.1
MISTAKEN_GENRE_SHARE = 0.05
# Of new records; as some change later, a quarter of all are left.
UPDATED_BEFORE_CREATED_SHARE = 0.29
CORRECTIONS_A_DAY = 0.001
YEAR = 365 * MICROSECONDS_A_DAY


def profile_times(
    rng: np.random.Generator, start: int, span: int, count: int, settle: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw `created_at` in `[start, start + span)` and `updated_at`, which comes first in a quarter.

    Args:
        rng: where the numbers come from.
        start: microseconds since 1970.
        span: microseconds.
        count: how many records.
        settle: share of the time left in the span within which the first update comes.
    """
    created = start + rng.random(count) * span
    after = created + rng.random(count) * (start + span - created) * settle
    before = created - rng.random(count) * YEAR
    first = rng.random(count) < UPDATED_BEFORE_CREATED_SHARE
    created_at = instants(rng, created)
    return created_at, np.where(first, instants(rng, before), np.maximum(instants(rng, after), created_at))


class Catalogue:
    """All tracks up to the last generated day.

    `tastes` (tracks, genres + styles) is what users' tastes are multiplied with, `popularity` (tracks) the
    weight of each track in what all users play.
    """

    def __init__(self, settings: MockApiSettings, names: Names) -> None:
        self.table = VersionTable(dict.fromkeys(("record", "seconds", "genre", "album"), np.int32))
        self.ids = np.empty(0, np.int64)
        self.tastes = np.empty((0, len(GENRES) + STYLES), np.float32)
        self.popularity = np.empty(0)
        self._settings = settings
        self._names = names
        self._ids = Ids(settings.seed, Stream.TRACK_IDS)
        # Name, artist and songwriter of each track, which no correction touches.
        self._texts: list[tuple[str, str, str]] = []
        self._genre = np.empty(0, np.int64)
        self._newest_row = np.empty(0, np.int64)
        self._draw_artists()

    def _draw_artists(self) -> None:
        rng = generator(self._settings.seed, Stream.ARTISTS)
        count = max(len(GENRES), int(self._settings.tracks * ARTISTS_PER_TRACK))
        self.genre_weights = rng.permutation(np.arange(1, len(GENRES) + 1) ** -0.5)
        self.genre_weights /= self.genre_weights.sum()
        self._artist_genre = rng.choice(len(GENRES), count, p=self.genre_weights)
        self._artist_genre[: len(GENRES)] = np.arange(len(GENRES))
        self._artist_style = rng.normal(0, 0.8, (count, STYLES))
        self._artist_name = rng.integers(self._names.full_count, size=count)
        productivity = rng.permutation((np.arange(count) + 5.0) ** -0.7)
        self._artist_share = productivity / productivity.sum()

    def add(self, day: int, start: int, span: int, count: int) -> NDArray[np.int64]:
        """Add the tracks of one day and return their rows; `start` and `span` in microseconds."""
        rng = generator(self._settings.seed, Stream.NEW_TRACKS, day)
        artist = rng.choice(len(self._artist_share), count, p=self._artist_share)
        strays = rng.random(count) < OTHER_GENRE_SHARE
        genre = np.where(strays, rng.integers(len(GENRES), size=count), self._artist_genre[artist])
        mistaken = rng.random(count) < MISTAKEN_GENRE_SHARE
        created_at, updated_at = profile_times(rng, start, span, count, settle=0.5 if day < 0 else 0.1)
        rows = self.table.append(
            created_at,
            updated_at,
            record=np.arange(len(self.ids), len(self.ids) + count),
            seconds=np.clip(rng.lognormal(np.log(220), 0.45, count), 2, 3599).astype(np.int64),
            genre=np.where(mistaken, rng.integers(len(GENRES), size=count), genre),
            album=artist * 7 + rng.integers(3, size=count),
        )
        names = rng.integers(self._names.title_count, size=count).tolist()
        songwriters = rng.integers(self._names.full_count, size=count).tolist()
        for name, by, writer in zip(names, self._artist_name[artist].tolist(), songwriters, strict=True):
            self._texts.append((self._names.title(name), self._names.full(by), self._names.full(writer)))
        ranks = rng.permutation(count) if day < 0 else rng.integers(len(self.ids) + count, size=count)
        style = self._artist_style[artist] + rng.normal(0, 0.6, (count, STYLES))
        tastes = np.concatenate([np.eye(len(GENRES))[genre], style], axis=1).astype(np.float32)
        self.ids = np.concatenate([self.ids, self._ids.take(count)])
        self.tastes = np.concatenate([self.tastes, tastes])
        self.popularity = np.concatenate([self.popularity, (ranks + ZIPF_RANK_OFFSET) ** -ZIPF_EXPONENT])
        self._genre = np.concatenate([self._genre, genre])
        self._newest_row = np.concatenate([self._newest_row, rows])
        return rows

    def correct(self, day: int, start: int) -> None:
        """Correct a few tracks on a day: a mistaken genre, or the album."""
        rng = generator(self._settings.seed, Stream.CORRECTIONS, day)
        count = min(rng.poisson(1 + CORRECTIONS_A_DAY * len(self.ids)), len(self.ids))
        records = rng.choice(len(self.ids), count, replace=False)
        updated_at = np.sort(instants(rng, start + rng.random(count) * MICROSECONDS_A_DAY))
        albums = rng.integers(3, size=count)
        table = self.table
        rows = self._newest_row[records]
        possible = (table["changed_at"][rows] < start) & (table["changed_at"][rows] != NO_TIME)
        rows, records = rows[possible], records[possible]
        new = table.append_versions(rows, updated_at[possible])
        mistaken = table["genre"][new] != self._genre[records]
        table["genre"][new] = self._genre[records]
        table["album"][new] = np.where(
            mistaken, table["album"][new], table["album"][new] // 7 * 7 + 3 + albums[possible]
        )
        self._newest_row[records] = new

    def render(self, rows: NDArray[np.int64]) -> list[dict[str, object]]:
        """Write the rows as the records of an answer."""
        table, names = self.table, self._names
        columns = (table[name][rows].tolist() for name in ("record", "seconds", "genre", "album"))
        times = (table[name][rows].astype("datetime64[us]").tolist() for name in ("created_at", "updated_at"))
        ids = self.ids[table["record"][rows]].tolist()
        records: list[dict[str, object]] = []
        for track_id, record, seconds, genre, album, created_at, updated_at in zip(
            ids, *columns, *times, strict=True
        ):
            name, artist, songwriters = self._texts[record]
            records.append(
                {
                    "id": track_id,
                    "name": name,
                    "artist": artist,
                    "songwriters": songwriters,
                    "duration": f"{seconds // 60:02d}:{seconds % 60:02d}",
                    "genres": GENRES[genre],
                    # Neighbouring numbers differ in the first word only; a prime step spreads them.
                    "album": names.title(album * 7919 % names.title_count),
                    "created_at": created_at,
                    "updated_at": updated_at,
                }
            )
        return with_overrides(records, rows, table)


def with_overrides(
    records: list[dict[str, object]], rows: NDArray[np.int64], table: VersionTable
) -> list[dict[str, object]]:
    """Put the values of dirty rows into their rendered records."""
    if table.overrides:
        for record, row in zip(records, rows.tolist(), strict=True):
            if row in table.overrides:
                record.update(table.overrides[row])
    return records
