"""The users: profiles, tastes over genres and styles, how much they listen, joining and changing.

Their plays are drawn in `sessions.py`; the tracks are in `catalogue.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mock_api.settings import MockApiSettings
from mock_api.simulation.catalogue import STYLES, profile_times, with_overrides
from mock_api.simulation.names import EMAIL_DOMAINS, GENDERS, GENRES, Ids, Names
from mock_api.simulation.randomness import MICROSECONDS_A_DAY, Stream, generator, instants
from mock_api.simulation.tables import NO_TIME, VersionTable

FAVORITE_GENRE_PULL = 3.2
SECOND_GENRE_PULL = 2.0
STYLE_PULL = 0.6
REPEATED_EMAIL_SHARE = 0.0035
CHANGES_A_DAY = 0.0015


@dataclass(frozen=True)
class TasteShift:
    """The tastes of the users known on the day of the shift, and the weights of genres for new users, around it.

    Attributes:
        old_tastes, new_tastes: (users of that day, genres + styles).
        old_weights, new_weights: (genres).
    """

    old_tastes: NDArray[np.float32]
    new_tastes: NDArray[np.float32]
    old_weights: NDArray[np.float64]
    new_weights: NDArray[np.float64]


class Users:
    """All users who joined up to the last generated day.

    `tastes` (users, genres + styles) times a track's gives how much a user likes it, in the logarithm of
    the odds to play it; `activity` (users) is each user's weight among those who listen.
    """

    def __init__(self, settings: MockApiSettings, names: Names, genre_weights: NDArray[np.float64]) -> None:
        columns = ("record", "first_name", "last_name", "email", "gender", "favorite_genre")
        self.table = VersionTable(dict.fromkeys(columns, np.int32))
        self.ids = np.empty(0, np.int64)
        self.tastes = np.empty((0, len(GENRES) + STYLES), np.float32)
        self.activity = np.empty(0)
        self._settings = settings
        self._names = names
        self._genre_weights = genre_weights
        self._shift: TasteShift | None = None
        self._shifted_share = 0.0
        self._ids = Ids(settings.seed, Stream.USER_IDS)
        self._emails: list[str] = []
        self._known_emails: set[str] = set()
        self._second_genre = np.empty(0, np.int64)
        self._newest_row = np.empty(0, np.int64)

    def add(self, day: int, start: int, span: int, count: int) -> NDArray[np.int64]:
        """Add those who join on one day and return their rows; `start` and `span` in microseconds."""
        rng = generator(self._settings.seed, Stream.NEW_USERS, day)
        favorite = rng.choice(len(GENRES), count, p=self._genre_weights)
        second = (favorite + 1 + rng.choice(len(GENRES) - 1, count)) % len(GENRES)
        created_at, updated_at = profile_times(rng, start, span, count, settle=0.5 if day < 0 else 0.1)
        first_email = len(self._emails)
        self._draw_emails(rng, count)
        rows = self.table.append(
            created_at,
            updated_at,
            record=np.arange(len(self.ids), len(self.ids) + count),
            first_name=rng.integers(len(self._names.first), size=count),
            last_name=rng.integers(len(self._names.last), size=count),
            email=np.arange(first_email, first_email + count),
            gender=rng.integers(len(GENDERS), size=count),
            favorite_genre=favorite,
        )
        self.ids = np.concatenate([self.ids, self._ids.take(count)])
        self.tastes = np.concatenate([self.tastes, _draw_tastes(rng, favorite, second)])
        self.activity = np.concatenate([self.activity, rng.lognormal(0, 0.7, count)])
        self._second_genre = np.concatenate([self._second_genre, second])
        self._newest_row = np.concatenate([self._newest_row, rows])
        return rows

    def _draw_emails(self, rng: np.random.Generator, count: int) -> None:
        names = self._names
        firsts = rng.integers(len(names.first), size=count).tolist()
        lasts = rng.integers(len(names.last), size=count).tolist()
        domains = rng.integers(len(EMAIL_DOMAINS), size=count).tolist()
        repeats = rng.random((count, 2)).tolist()
        for first, last, domain, (repeat, earlier) in zip(firsts, lasts, domains, repeats, strict=True):
            if self._emails and repeat < REPEATED_EMAIL_SHARE:
                self._emails.append(self._emails[int(earlier * len(self._emails))])
                continue
            local = f"{names.first[first]}{names.last[last]}".lower().replace(" ", "").replace("'", "")
            email, number = f"{local}@{EMAIL_DOMAINS[domain]}", 1
            while email in self._known_emails:
                number += 1
                email = f"{local}{number}@{EMAIL_DOMAINS[domain]}"
            self._known_emails.add(email)
            self._emails.append(email)

    def change(self, day: int, start: int) -> None:
        """Change a few profiles on a day: another favourite genre, or another last name."""
        rng = generator(self._settings.seed, Stream.PROFILE_CHANGES, day)
        count = min(rng.poisson(1 + CHANGES_A_DAY * len(self.ids)), len(self.ids))
        records = rng.choice(len(self.ids), count, replace=False)
        updated_at = np.sort(instants(rng, start + rng.random(count) * MICROSECONDS_A_DAY))
        last_names = rng.integers(len(self._names.last), size=count)
        renames = rng.random(count) < 0.5
        table = self.table
        rows = self._newest_row[records]
        possible = (table["changed_at"][rows] < start) & (table["changed_at"][rows] != NO_TIME)
        rows, records = rows[possible], records[possible]
        new = table.append_versions(rows, updated_at[possible])
        table["last_name"][new] = np.where(renames[possible], last_names[possible], table["last_name"][new])
        table["favorite_genre"][new] = np.where(
            renames[possible], table["favorite_genre"][new], self._second_genre[records]
        )
        self._newest_row[records] = new

    def shift_tastes(self, share: float) -> None:
        """Move the tastes of all users to a share of the way from those before the shift to those after it.

        The genres are drawn from other weights than before, so that the popularity of genres changes as well; profiles
        stay unchanged, as users do not update them when their taste changes. Users who join after the
        shift began keep the taste they join with.

        Args:
            share: 0 is before the shift, or after it has been reversed; 1 is after it.
        """
        if share == self._shifted_share:
            return
        shift = self._shift = self._shift or self._draw_shift()
        self._shifted_share = share
        self._genre_weights = (1 - share) * shift.old_weights + share * shift.new_weights
        self.tastes[: len(shift.old_tastes)] = (1 - share) * shift.old_tastes + share * shift.new_tastes

    def _draw_shift(self) -> TasteShift:
        rng = generator(self._settings.seed, Stream.TASTE_SHIFT)
        weights = np.roll(self._genre_weights, len(GENRES) // 2) ** 3
        weights /= weights.sum()
        favorite = rng.choice(len(GENRES), len(self.ids), p=weights)
        second = (favorite + 1 + rng.choice(len(GENRES) - 1, len(self.ids))) % len(GENRES)
        return TasteShift(
            self.tastes.copy(), _draw_tastes(rng, favorite, second), self._genre_weights, weights
        )

    def render(self, rows: NDArray[np.int64]) -> list[dict[str, object]]:
        """Write the rows as the records of an answer."""
        table, names = self.table, self._names
        columns = ("first_name", "last_name", "email", "gender", "favorite_genre")
        times = (table[name][rows].astype("datetime64[us]").tolist() for name in ("created_at", "updated_at"))
        records: list[dict[str, object]] = [
            {
                "id": user_id,
                "first_name": names.first[first_name],
                "last_name": names.last[last_name],
                "email": self._emails[email],
                "gender": GENDERS[gender],
                "favorite_genres": GENRES[favorite_genre],
                "created_at": created_at,
                "updated_at": updated_at,
            }
            for user_id, first_name, last_name, email, gender, favorite_genre, created_at, updated_at in zip(
                self.ids[table["record"][rows]].tolist(),
                *(table[name][rows].tolist() for name in columns),
                *times,
                strict=True,
            )
        ]
        return with_overrides(records, rows, table)


def _draw_tastes(
    rng: np.random.Generator, favorite: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float32]:
    count = len(favorite)
    genres = (
        FAVORITE_GENRE_PULL * np.eye(len(GENRES))[favorite] + SECOND_GENRE_PULL * np.eye(len(GENRES))[second]
    )
    styles = rng.normal(0, STYLE_PULL, (count, STYLES))
    tastes: NDArray[np.float32] = np.concatenate([genres, styles], axis=1).astype(np.float32)
    return tastes
