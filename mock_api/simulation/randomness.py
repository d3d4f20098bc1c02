"""Random numbers by purpose and day, so that no day and no purpose disturbs another.

Only the generators belong here; what is drawn from them is decided where it is used.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

MICROSECONDS_A_DAY = 86_400_000_000
ZERO_MICROSECOND_SHARE = 0.002


class Stream(IntEnum):
    """The purpose of a stream of random numbers."""

    USER_IDS = 1
    TRACK_IDS = 2
    NAMES = 3
    ARTISTS = 4
    NEW_TRACKS = 5
    NEW_USERS = 6
    CORRECTIONS = 7
    PROFILE_CHANGES = 14
    GROWTH = 15
    DAY_SIZES = 16
    SESSIONS = 8
    TASTE_SHIFT = 9
    DIRTY_TRACKS = 10
    DIRTY_USERS = 11
    DIRTY_SESSIONS = 12
    FAULTS = 13


def generator(seed: int, stream: Stream, day: int = 0) -> np.random.Generator:
    """Return the generator of one purpose on one day (days since the world's first)."""
    # The initial load is day -1; entropy takes no negative number.
    return np.random.default_rng([seed, int(stream), day + 1])


def instants(rng: np.random.Generator, microseconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round microseconds since 1970 to integers, a few of them to a whole second.

    A zero microsecond is one in a million by chance; here it is 2 in 1000, because a timestamp without a
    fraction is what breaks readers and must turn up in every world.
    """
    whole = microseconds.astype(np.int64)
    return np.where(rng.random(len(whole)) < ZERO_MICROSECOND_SHARE, whole // 1_000_000 * 1_000_000, whole)
