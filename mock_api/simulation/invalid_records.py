"""Invalid records: some of the valid ones altered, by seed and record, so that each is always altered the same way.

Valid records are created elsewhere (`users.py`, `catalogue.py`, `sessions.py`). Without invalid records the world is
the same, except for those records.
"""

import numpy as np
from numpy.typing import NDArray

from mock_api.simulation.catalogue import Catalogue
from mock_api.simulation.names import orphan_ids
from mock_api.simulation.sessions import NULL_TRACK, Sessions
from mock_api.simulation.tables import NO_TIME, VersionTable
from mock_api.simulation.users import Users

BAD_DURATIONS = ("99:99", "-1:00", "abc", "1:02:03")
BAD_EMAIL = "not-an-email"
UNREADABLE_TIMES = ("not-a-date", "2026-13-45T25:61:00", "", None)
HOUR = 3_600_000_000
# Records without any readable time count as older than everything. They appear in the first week only, so
# that a pipeline which starts later has them in its first load and no past day ever changes.
LAST_DAY_WITHOUT_TIME = 7

PROFILE_KINDS = ("missing_id", "bad_field", "repeated", "another_version", "unreadable_created_at", "no_time")
SESSION_KINDS = (
    "missing_id", "orphan_user", "orphan_track", "null_items", "empty_items", "null_track", "repeated",
    "another_version", "unreadable_created_at", "no_time",
)  # fmt: skip


def _choose(
    rng: np.random.Generator, rows: NDArray[np.int64], share: float, kinds: tuple[str, ...], day: int
) -> dict[str, NDArray[np.int64]]:
    """The rows to alter, by kind; a greater share includes the rows of a smaller one."""
    dirty = rng.random(len(rows)) < share
    kind = rng.integers(len(kinds), size=len(rows))
    chosen = {name: rows[dirty & (kind == number)] for number, name in enumerate(kinds)}
    if day >= LAST_DAY_WITHOUT_TIME:
        later = chosen["unreadable_created_at"], chosen.pop("no_time")
        chosen["unreadable_created_at"] = np.sort(np.concatenate(later))
        chosen["no_time"] = np.empty(0, np.int64)
    return chosen


def _override(table: VersionTable, row: int, **fields: object) -> None:
    table.overrides.setdefault(row, {}).update(fields)


def _invalidate_times(table: VersionTable, chosen: dict[str, NDArray[np.int64]]) -> None:
    for row in chosen["unreadable_created_at"].tolist():
        # The change time is then `updated_at` alone, which must not lie before the record turned up.
        table["updated_at"][row] = table["changed_at"][row]
        _override(table, row, created_at=UNREADABLE_TIMES[row % len(UNREADABLE_TIMES)])
    for row in chosen["no_time"].tolist():
        table["changed_at"][row] = NO_TIME
        unreadable = UNREADABLE_TIMES[row % len(UNREADABLE_TIMES)]
        _override(table, row, created_at=unreadable, updated_at=unreadable)


def _repeat(table: VersionTable, chosen: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Repeat some records and return the copies that get other values."""
    table.append_copies(chosen["repeated"])
    copies = table.append_copies(chosen["another_version"])
    updated_at = table["changed_at"][chosen["another_version"]] + HOUR
    for name in ("updated_at", "changed_at", "visible_from", "listed_from"):
        table[name][copies] = updated_at
    return copies


def invalidate_users(
    users: Users, rows: NDArray[np.int64], rng: np.random.Generator, share: float, day: int
) -> None:
    """Make a share of the users in `rows` invalid."""
    table = users.table
    chosen = _choose(rng, rows, share, PROFILE_KINDS, day)
    for row in chosen["missing_id"].tolist():
        _override(table, row, id=None)
    for row in chosen["bad_field"].tolist():
        _override(table, row, email=BAD_EMAIL)
    _invalidate_times(table, chosen)
    copies = _repeat(table, chosen)
    table["gender"][copies] = (table["gender"][copies] + 1) % 9


def invalidate_tracks(
    catalogue: Catalogue, rows: NDArray[np.int64], rng: np.random.Generator, share: float, day: int
) -> None:
    """Make a share of the tracks in `rows` invalid."""
    table = catalogue.table
    chosen = _choose(rng, rows, share, PROFILE_KINDS, day)
    for row in chosen["missing_id"].tolist():
        _override(table, row, id=None)
    for number, row in enumerate(chosen["bad_field"].tolist()):
        _override(table, row, duration=BAD_DURATIONS[number % len(BAD_DURATIONS)])
    _invalidate_times(table, chosen)
    copies = _repeat(table, chosen)
    table["seconds"][copies] = np.minimum(table["seconds"][copies] + 1, 3599)


def invalidate_sessions(
    sessions: Sessions, rows: NDArray[np.int64], rng: np.random.Generator, share: float, day: int
) -> None:
    """Make a share of the sessions in `rows` invalid, before they grow."""
    table = sessions.table
    chosen = _choose(rng, rows, share, SESSION_KINDS, day)
    for row in chosen["missing_id"].tolist():
        _override(table, row, user_id=None)
    for row in chosen["null_items"].tolist():
        _override(table, row, items=None)
    for row in chosen["empty_items"].tolist():
        _override(table, row, items=[])
    orphans = orphan_ids(rng, len(rows))
    table["user_id"][chosen["orphan_user"]] = orphans[: len(chosen["orphan_user"])]
    orphan_tracks = table["first_item"][chosen["orphan_track"]]
    sessions.items[orphan_tracks] = orphans[len(orphans) - len(orphan_tracks) :]
    sessions.items[table["first_item"][chosen["null_track"]]] = NULL_TRACK
    _invalidate_times(table, chosen)
    copies = _repeat(table, chosen)
    table["item_count"][copies] = np.maximum(table["item_count"][copies] - 1, 1)
