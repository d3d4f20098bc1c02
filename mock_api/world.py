"""The world behind the source: its people, tracks and sessions up to a day, made from the seed alone.

It puts the parts together and generates day after day; what a day holds is in the parts' own modules, and
what an endpoint answers in `app.py`.
"""

from datetime import date, datetime, timedelta

import numpy as np

from mock_api.catalogue import YEAR, Catalogue
from mock_api.clock import EPOCH, microseconds
from mock_api.dirt import spoil_people, spoil_sessions, spoil_tracks
from mock_api.listing import Listing
from mock_api.names import draw_names
from mock_api.people import People
from mock_api.randomness import MICROSECONDS_A_DAY, Stream, generator
from mock_api.sessions import Sessions
from mock_api.settings import Endpoint, MockApiSettings

BEFORE_THE_FIRST_DAY = -1


class World:
    """Everything that can be read, at any moment up to the last generated day."""

    def __init__(self, settings: MockApiSettings) -> None:
        names = draw_names(settings.seed)
        self.catalogue = Catalogue(settings, names)
        self.people = People(settings, names, self.catalogue.genre_weights)
        self.sessions = Sessions(settings, self.people, self.catalogue)
        self._settings = settings
        self._parts: dict[Endpoint, Catalogue | People | Sessions] = {
            "tracks": self.catalogue,
            "users": self.people,
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
        if on == settings.taste_shift_on:
            self.people.shift_tastes()
        counts = generator(settings.seed, Stream.DAY_SIZES, day)
        new_tracks = int(counts.poisson(settings.new_tracks_a_day))
        new_people = int(counts.poisson(settings.new_people_a_day))
        self.catalogue.correct(day, start)
        self.people.change(day, start)
        self._add_profiles(day, start, MICROSECONDS_A_DAY, new_tracks, new_people)
        rows, added = self.sessions.add(day, start, on)
        spoil_sessions(self.sessions, rows, self._dirt(Stream.DIRTY_SESSIONS, day), settings.dirty_share, day)
        self.sessions.grow(day, start, rows, added)

    def _add_profiles(self, day: int, start: int, span: int, tracks: int, people: int) -> None:
        share = self._settings.dirty_share
        rows = self.catalogue.add(day, start, span, tracks)
        spoil_tracks(self.catalogue, rows, self._dirt(Stream.DIRTY_TRACKS, day), share, day)
        rows = self.people.add(day, start, span, people)
        spoil_people(self.people, rows, self._dirt(Stream.DIRTY_PEOPLE, day), share, day)

    def _dirt(self, stream: Stream, day: int) -> np.random.Generator:
        return generator(self._settings.seed, stream, day)
