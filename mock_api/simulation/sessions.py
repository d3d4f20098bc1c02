"""The listening sessions: users, times and tracks, day by day.

Users come from `users.py` and tracks from `catalogue.py`; a day depends on earlier days only through what
users played last, never on later ones.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from mock_api.settings import MockApiSettings
from mock_api.simulation.catalogue import Catalogue, with_overrides
from mock_api.simulation.randomness import MICROSECONDS_A_DAY, Stream, generator, instants
from mock_api.simulation.tables import NO_TIME, VersionTable
from mock_api.simulation.users import Users

# Monday to Sunday, mean 1.
WEEKDAYS = (0.88, 0.90, 0.94, 0.98, 1.16, 1.22, 0.92)
# Midnight to 23 h: commutes and evenings.
HOURS = (10, 6, 4, 3, 3, 6, 14, 30, 36, 28, 24, 24, 30, 28, 26, 28, 34, 46, 54, 56, 54, 46, 34, 20)
MEAN_TRACKS = 5.3
MOST_TRACKS = 15
GROWN_SHARE = 0.02
MOST_ADDED = 3
REMEMBERED_TRACKS = 40
# Few enough for the odds of a block to stay in the processor's cache.
USERS_A_BLOCK = 64
NULL_TRACK = 0


class Sessions:
    """All listening sessions up to the last generated day."""

    def __init__(self, settings: MockApiSettings, users: Users, catalogue: Catalogue) -> None:
        self.table = VersionTable({"user_id": np.int64, "first_item": np.int64, "item_count": np.int16})
        self._settings = settings
        self._users = users
        self._catalogue = catalogue
        self._items = np.empty(1024, np.int64)
        self._item_count = 0
        self._played = np.zeros((0, REMEMBERED_TRACKS), np.int32)
        self._played_count = np.zeros(0, np.int64)

    @property
    def items(self) -> NDArray[np.int64]:
        """Track ids of all sessions one after the other; `NULL_TRACK` means null."""
        return self._items[: self._item_count]

    def add(self, day: int, start: int, on: date) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Add the sessions that begin on a day.

        Returns:
            Their rows, and how many more tracks each has on the next day (see `grow`).
        """
        rng = generator(self._settings.seed, Stream.SESSIONS, day)
        count = rng.poisson(self._settings.sessions_a_day * WEEKDAYS[on.weekday()])
        activity = np.cumsum(self._users.activity)
        users = np.searchsorted(activity, rng.random(count) * activity[-1])
        hours = rng.choice(24, count, p=np.array(HOURS) / sum(HOURS)) + rng.random(count)
        created_at = np.sort(instants(rng, start + hours / 24 * MICROSECONDS_A_DAY))
        lengths = np.minimum(1 + rng.poisson(MEAN_TRACKS - 1, count), MOST_TRACKS)
        added = np.where(rng.random(count) < GROWN_SHARE, rng.integers(1, MOST_ADDED + 1, count), 0)
        minutes = lengths * rng.uniform(1.5, 4, count)
        updated_at = created_at + (minutes * 60_000_000).astype(np.int64)

        session = np.repeat(np.arange(count), lengths + added)
        position = np.arange(len(session)) - np.repeat(
            np.cumsum(lengths + added) - lengths - added, lengths + added
        )
        tracks = self._draw_tracks(rng, users[session])
        kept = _first_of_each(session, tracks)
        session, position, tracks = session[kept], position[kept], tracks[kept]
        item_count = np.bincount(session[position < lengths[session]], minlength=count)
        added = np.bincount(session, minlength=count) - item_count
        self._remember(users[session], tracks)

        rows = self.table.append(
            created_at,
            updated_at,
            user_id=self._users.ids[users],
            first_item=self._append_items(tracks) + np.cumsum(item_count + added) - item_count - added,
            item_count=item_count,
        )
        return rows, added

    def grow(self, day: int, start: int, rows: NDArray[np.int64], added: NDArray[np.int64]) -> None:
        """Add the second version of sessions that grow, on the day after the one they began on."""
        rng = generator(self._settings.seed, Stream.GROWTH, day)
        grown = (added > 0) & (self.table["changed_at"][rows] != NO_TIME)
        rows, added = rows[grown], added[grown]
        moments = start + MICROSECONDS_A_DAY * (1 + rng.random(len(rows)))
        new = self.table.append_versions(
            rows, np.maximum(instants(rng, moments), self.table["updated_at"][rows] + 1)
        )
        self.table["item_count"][new] += added.astype(np.int16)

    def _append_items(self, tracks: NDArray[np.int64]) -> int:
        first, end = self._item_count, self._item_count + len(tracks)
        if end > len(self._items):
            grown = np.empty(max(end, 2 * len(self._items)), np.int64)
            grown[:first] = self.items
            self._items = grown
        self._items[first:end] = self._catalogue.ids[tracks]
        self._item_count = end
        return first

    def _draw_tracks(self, rng: np.random.Generator, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw one track for each listen, by taste, by popularity, or from those played last."""
        way = rng.random(len(users))
        popularity = np.cumsum(self._catalogue.popularity)
        tracks: NDArray[np.int64] = np.searchsorted(popularity, rng.random(len(users)) * popularity[-1])
        if self._settings.taste_strength > 0:
            wandering = way >= 1 - self._settings.wandering_share
            by_taste = np.flatnonzero(~wandering)
            tracks[by_taste] = self._draw_by_taste(rng, users[by_taste])
        self._make_room(len(self._users.ids))
        remembered = np.minimum(self._played_count[users], REMEMBERED_TRACKS)
        slots = (rng.random(len(users)) * remembered).astype(np.int64)
        repeats = (way < self._settings.repeat_share) & (remembered > 0)
        tracks[repeats] = self._played[users[repeats], slots[repeats]]
        return tracks

    def _draw_by_taste(self, rng: np.random.Generator, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw with odds popularity times exp(strength x taste of the user . taste of the track)."""
        tracks = np.empty(len(users), np.int64)
        draws = rng.random(len(users))
        order = np.argsort(users, kind="stable")
        distinct, first = np.unique(users[order], return_index=True)
        ends = np.append(first[1:], len(users))
        popularity = np.log(self._catalogue.popularity).astype(np.float32)
        strength = np.float32(self._settings.taste_strength)
        for block in range(0, len(distinct), USERS_A_BLOCK):
            some = distinct[block : block + USERS_A_BLOCK]
            odds = (strength * self._users.tastes[some]) @ self._catalogue.tastes.T
            odds += popularity
            odds -= odds.max(axis=1, keepdims=True)
            np.exp(odds, out=odds)
            # Summed over all rows at once, so that one search finds the track of every listen of the block.
            cumulated = np.cumsum(odds, dtype=np.float64)
            row_ends = cumulated[odds.shape[1] - 1 :: odds.shape[1]]
            row_starts = np.append(0.0, row_ends[:-1])
            listens = order[first[block] : ends[block + len(some) - 1]]
            row = np.searchsorted(some, users[listens])
            aims = row_starts[row] + draws[listens] * (row_ends - row_starts)[row]
            found = np.searchsorted(cumulated, aims, side="right") - row * odds.shape[1]
            tracks[listens] = np.clip(found, 0, odds.shape[1] - 1)
        return tracks

    def _make_room(self, users: int) -> None:
        missing = users - len(self._played)
        self._played = np.concatenate([self._played, np.zeros((missing, REMEMBERED_TRACKS), np.int32)])
        self._played_count = np.concatenate([self._played_count, np.zeros(missing, np.int64)])

    def _remember(self, users: NDArray[np.int64], tracks: NDArray[np.int64]) -> None:
        order = np.argsort(users, kind="stable")
        users, tracks = users[order], tracks[order]
        distinct, first, counts = np.unique(users, return_index=True, return_counts=True)
        rank = np.arange(len(users)) - np.repeat(first, counts)
        self._played[users, (self._played_count[users] + rank) % REMEMBERED_TRACKS] = tracks
        self._played_count[distinct] += counts

    def render(self, rows: NDArray[np.int64]) -> list[dict[str, object]]:
        """Write the rows as the records of an answer."""
        table, items = self.table, self._items
        times = (table[name][rows].astype("datetime64[us]").tolist() for name in ("created_at", "updated_at"))
        records: list[dict[str, object]] = [
            {
                "user_id": user_id,
                "items": [track or None for track in items[first : first + count].tolist()],
                "created_at": created_at,
                "updated_at": updated_at,
            }
            for user_id, first, count, created_at, updated_at in zip(
                *(table[name][rows].tolist() for name in ("user_id", "first_item", "item_count")),
                *times,
                strict=True,
            )
        ]
        return with_overrides(records, rows, table)


def _first_of_each(session: NDArray[np.int64], tracks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the first listen of each track in its session, in order."""
    _, first = np.unique(session * (int(tracks.max(initial=0)) + 1) + tracks, return_index=True)
    return np.sort(first)
