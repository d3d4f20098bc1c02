"""Rollback: returning to an earlier champion, without training.

What a rollback does is planned and carried out here; when one is due is for the product to decide, and the table it is
recorded in belongs to `promotions.py`.
"""

from dataclasses import dataclass
from datetime import date

import duckdb

from foundation.errors import Explained
from foundation.models.promotions import (
    champion_version,
    former_champions,
    insert_decision,
    newest_decision_day,
    version_replaced_by,
)


class NothingToRollBack(Explained):
    """There is no earlier champion to return to; the message says what the current one is."""


@dataclass(frozen=True)
class PlannedRollback:
    """A rollback that is possible: the version to return to, the one it replaces, the day from which it holds."""

    to: str
    rolled_back: str
    as_of: date


def roll_back(
    connection: duckdb.DuckDBPyConnection,
    reason: str,
    *,
    newest_served: date | None,
    only_if: str | None = None,
    to: str | None = None,
) -> tuple[str, str] | None:
    """Make an earlier champion the champion again; nothing is trained.

    It holds from the newest day that was decided or served. Rolling back twice goes back two champions: each returns to
    the one it replaced when it was promoted.

    Args:
        connection: The warehouse, inside a transaction.
        reason: One sentence for the record.
        newest_served: The newest day for which recommendations exist; None if there are none.
        only_if: The version meant; nothing is done if another one is the champion by now.
        to: The version to return to; None for the one before the champion.

    Returns:
        The version that is the champion now, and the one that was; None if `only_if` is not the champion.

    Raises:
        NothingToRollBack: If there is no champion, or none to return to.
    """
    planned = plan_rollback(connection, newest_served=newest_served, only_if=only_if, to=to)
    if planned is None:
        return None
    insert_decision(connection, planned.to, planned.as_of, "rolled_back", reason, {}, planned.rolled_back)
    return planned.to, planned.rolled_back


def plan_rollback(
    connection: duckdb.DuckDBPyConnection,
    *,
    newest_served: date | None,
    only_if: str | None = None,
    to: str | None = None,
) -> PlannedRollback | None:
    """Find what `roll_back` would do, without doing it; see there for arguments and errors."""
    days = [day for day in (newest_decision_day(connection), newest_served) if day is not None]
    as_of = max(days, default=date.min)
    current = champion_version(connection, as_of)
    if only_if is not None and current != only_if:
        return None
    if current is None:
        raise NothingToRollBack("There is no champion to roll back: no model was promoted yet.")
    before = version_replaced_by(connection, current) if to is None else to
    if before is None:
        raise NothingToRollBack(f"{current} is the first champion: there is no version to return to.")
    former = former_champions(connection, as_of)
    if before == current:
        raise NothingToRollBack(f"{current} is the champion already.")
    if before not in former:
        others = ", ".join(version for version in former if version != current)
        choice = (
            f"Versions to return to, the latest first: {others}."
            if others
            else f"{current} is the first champion: there is no version to return to."
        )
        raise NothingToRollBack(f"{before} was never the champion. {choice}")
    return PlannedRollback(before, current, as_of)
