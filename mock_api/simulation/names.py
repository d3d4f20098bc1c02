"""Names, words and ids: a few thousand drawn once and combined by number.

Only spelling belongs here; names are assigned in `users.py` and `catalogue.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from faker import Faker
from numpy.typing import NDArray

from mock_api.simulation.randomness import Stream, generator

GENRES = (
    "Alternative", "Blues", "Classical", "Country", "Electronic", "Folk", "Funk", "Hip Hop", "Indie", "Jazz",
    "Metal", "Pop", "Punk", "R&B", "Reggae", "Rock", "Techno",
)  # fmt: skip
GENDERS = (
    "Agender", "Bigender", "Female", "Gender nonconforming", "Gender questioning", "Genderfluid",
    "Genderqueer", "Male", "Non-binary",
)  # fmt: skip
EMAIL_DOMAINS = ("example.com", "example.net", "example.org")

IDS_A_BLOCK = 100_000
# No user and no track has an id divisible by this: a play that refers to one is an orphan.
ORPHAN_DIVISOR = 97


@dataclass(frozen=True)
class Names:
    """The spellings that the world combines."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    words: tuple[str, ...]

    def full(self, number: int) -> str:
        """The first and last name with a number."""
        last, first = divmod(number, len(self.first))
        return f"{self.first[first]} {self.last[last % len(self.last)]}"

    def title(self, number: int) -> str:
        """One or two words: the name of a track or an album."""
        second, first = divmod(number, len(self.words))
        # The word at 0, and those beyond the last, mean no second word.
        return (
            f"{self.words[first]} {self.words[second]}" if 0 < second < len(self.words) else self.words[first]
        )

    @property
    def title_count(self) -> int:
        """The number of titles, half of them of one word."""
        return 2 * len(self.words) * (len(self.words) - 1)

    @property
    def full_count(self) -> int:
        """The number of full names."""
        return len(self.first) * len(self.last)


@lru_cache(maxsize=8)
def draw_names(seed: int) -> Names:
    """Draw the spellings with Faker; the same seed gives the same."""
    faker = Faker("en_US")
    faker.seed_instance(int(generator(seed, Stream.NAMES).integers(2**32)))

    def distinct(draw: Callable[[], str], draws: int) -> tuple[str, ...]:
        return tuple(dict.fromkeys(draw() for _ in range(draws)))

    return Names(
        first=distinct(faker.first_name, 1500),
        last=distinct(faker.last_name, 2500),
        words=distinct(faker.word, 2500),
    )


class Ids:
    """Ids in no order: all of 1 to 100000 but the orphans' first, then the next 100000, and so on."""

    def __init__(self, seed: int, stream: Stream) -> None:
        self._rng = generator(seed, stream)
        self._ids = np.empty(0, np.int64)
        self._blocks = 0
        self._taken = 0

    def take(self, count: int) -> NDArray[np.int64]:
        """Return the next `count` ids, none of which was given out before."""
        while self._taken + count > len(self._ids):
            block = np.arange(1, IDS_A_BLOCK + 1) + self._blocks * IDS_A_BLOCK
            block = self._rng.permutation(block[block % ORPHAN_DIVISOR != 0])
            self._ids = np.concatenate([self._ids, block])
            self._blocks += 1
        taken = self._ids[self._taken : self._taken + count]
        self._taken += count
        return taken


def orphan_ids(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Draw ids of the same range that no record has."""
    return ORPHAN_DIVISOR * rng.integers(1, IDS_A_BLOCK // ORPHAN_DIVISOR + 1, count)
