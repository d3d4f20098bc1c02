"""The world behind the source: its users, tracks and sessions up to a day, generated from the seed alone.

It combines the parts and generates day after day; the content of a day is decided in the parts' own modules, the
answers of endpoints in `app.py`.
"""

from datetime import date, datetime, timedelta

import numpy as np

from mock_api.clock import EPOCH, microseconds
from mock_api.settings import Endpoint, MockApiSettings
from mock_api.simulation.catalogue import YEAR, Catalogue
from mock_api.simulation.invalid_records import invalidate_sessions, invalidate_tracks, invalidate_users
from mock_api.simulation.listing import Listing
from mock_api.simulation.names import draw_names
from mock_api.simulation.randomness import MICROSECONDS_A_DAY, Stream, generator
from mock_api.simulation.sessions import Sessions
from mock_api.simulation.users import Users

BEFORE_THE_FIRST_DAY = -1


class World:
    """Everything that can be read, at any moment up to the last generated day."""

    def __init__(self, settings: MockApiSettings) -> None:
        names = draw_names(settings.seed)
        self.catalogue = Catalogue(settings, names)
        self.users = Users(settings, names, self.catalogue.genre_weights)
        self.sessions = Sessions(settings, self.users, self.catalogue)
        self._settings = settings
        self._parts: dict[Endpoint, Catalogue | Users | Sessions] = {
            "tracks": self.catalogue,
            "users": self.users,
            "listen_history": self.sessions,
        }
        self._listings = {name: Listing(part.table) for name, part in self._parts.items()}
        self._start = microseconds(datetime.combine(settings.first_day, datetime.min.time()))
        self._days = 0
        year_before = self._start - YEAR
        self._add_profiles(BEFORE_THE_FIRST_DAY, year_before, YEAR, settings.tracks, settings.people)

    def advance(self, day: date) -> None:
        """Generate every day up to and with `day` that was not yet."""
        while self._settings.first_day + timedelta(days=self._days) <= day:
            self._generate(self._days)
            self._days += 1

    def records(
        self,
        endpoint: Endpoint,
        now: datetime,
        page: int,
        size: int,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> tuple[list[dict[str, object]], int]:
        """The records of one page as they stand at `now`, and how many there are on all pages.

        Args:
            endpoint: whose records.
            now: naive UTC; later versions and records are not shown.
            page: from 1; one past the end is empty.
            size: records a page.
            since: naive UTC; only records that changed at or after it.
            before: naive UTC; only records that changed before it.
        """
        self.advance(now.date())
        rows, total = self._listings[endpoint].page(
            microseconds(now),
            page,
            size,
            None if since is None else microseconds(since),
            None if before is None else microseconds(before),
        )
        return self._parts[endpoint].render(rows), total

    def _generate(self, day: int) -> None:
        settings, start = self._settings, self._start + day * MICROSECONDS_A_DAY
        on = (EPOCH + timedelta(microseconds=start)).date()
        self.users.shift_tastes(settings.taste_shift_share(on))
        counts = generator(settings.seed, Stream.DAY_SIZES, day)
        new_tracks = int(counts.poisson(settings.new_tracks_a_day))
        new_users = int(counts.poisson(settings.new_people_a_day))
        self.catalogue.correct(day, start)
        self.users.change(day, start)
        self._add_profiles(day, start, MICROSECONDS_A_DAY, new_tracks, new_users)
        rows, added = self.sessions.add(day, start, on)
        invalidate_sessions(
            self.sessions, rows, self._invalid(Stream.DIRTY_SESSIONS, day), settings.dirty_share, day
        )
        self.sessions.grow(day, start, rows, added)

    def _add_profiles(self, day: int, start: int, span: int, tracks: int, users: int) -> None:
        share = self._settings.dirty_share
        rows = self.catalogue.add(day, start, span, tracks)
        invalidate_tracks(self.catalogue, rows, self._invalid(Stream.DIRTY_TRACKS, day), share, day)
        rows = self.users.add(day, start, span, users)
        invalidate_users(self.users, rows, self._invalid(Stream.DIRTY_USERS, day), share, day)

    def _invalid(self, stream: Stream, day: int) -> np.random.Generator:
        return generator(self._settings.seed, stream, day)
