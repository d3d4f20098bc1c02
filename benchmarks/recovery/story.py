"""The worlds that are replayed: their size, the day on which tastes shift, and the scenarios that vary it.

Only the description belongs here; a world is loaded in `loaded_world.py` and replayed in `days.py`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Literal

from mock_api.settings import MockApiSettings

START = date(2026, 1, 5)
"""The first partition of every replay: fixed, since weekdays matter to the world."""

Scenario = Literal["shift", "slow", "back", "quiet"]

_SLOW_DAYS = 15
_BACK_AFTER_DAYS = 5
_DAYS: dict[Scenario, int] = {"shift": 35, "slow": 50, "back": 35, "quiet": 60}
"""Long enough for the oracle of `hindsight.py`; in a quiet world, for several trainings by age."""


@dataclass(frozen=True)
class Story:
    """One world, and the days of it that are replayed. Days are numbered from 1, the first after the history.

    Attributes:
        scenario: Under which name it is reported.
        seed, users, tracks, sessions_a_day: Of the simulated world.
        history: Days known before the first replayed one.
        days: Days replayed.
        shift_on: The day on which tastes shift; 0 never.
        shift_days: Over how many days they move.
        shift_back_on: The day from which they are as before the shift; 0 never.
    """

    scenario: str = "custom"
    seed: int = 1
    users: int = 700
    tracks: int = 1000
    sessions_a_day: int = 1050
    history: int = 21
    days: int = 35
    shift_on: int = 0
    shift_days: int = 1
    shift_back_on: int = 0

    @property
    def name(self) -> str:
        """Different for different worlds."""
        return "-".join(str(value) for name, value in asdict(self).items() if name != "scenario")

    @property
    def settled_on(self) -> int:
        """The first day from which tastes stay as they are; 0 if they never shift."""
        return self.shift_back_on or (self.shift_on and self.shift_on + self.shift_days - 1)

    def day(self, number: int) -> date:
        """The date of a day; 0 is the last of the history."""
        return START + timedelta(days=self.history + number - 1)

    def world(self) -> MockApiSettings:
        """The settings of the simulated source."""
        return MockApiSettings(
            first_day=START,
            people=self.users,
            tracks=self.tracks,
            sessions_a_day=self.sessions_a_day,
            seed=self.seed,
            taste_shift_on=self.day(self.shift_on) if self.shift_on else None,
            taste_shift_days=self.shift_days,
            taste_shift_back_on=self.day(self.shift_back_on) if self.shift_back_on else None,
        )


def stories_of(scenario: Scenario, world: Story, shift_days: Sequence[int]) -> list[Story]:
    """The stories of a scenario in one world: one for each day on which tastes shift, and one where they never do.

    Args:
        scenario: Of these.
        world: Whose seed and sizes are taken.
        shift_days: Days on which tastes shift.
    """
    story = replace(world, scenario=scenario, days=_DAYS[scenario], shift_on=0, shift_days=1, shift_back_on=0)
    if scenario == "quiet":
        return [story]
    shifted = [replace(story, shift_on=day) for day in shift_days]
    if scenario == "slow":
        return [replace(each, shift_days=_SLOW_DAYS) for each in shifted]
    if scenario == "back":
        return [replace(each, shift_back_on=each.shift_on + _BACK_AFTER_DAYS) for each in shifted]
    return shifted
