"""Returning to a chosen version; to the one before the champion is in test_promotions.py."""

from datetime import date

import pytest

from foundation.models.gate import Decision
from foundation.models.promotions import champion_version, record
from foundation.models.rollback import NothingToRollBack, plan_rollback, roll_back

LAST = date(2026, 9, 16)


@pytest.fixture
def decided(connection):
    """Three champions, one after the other, and a candidate that was rejected."""
    for day, version, verdict in (
        (10, "a", "promoted"),
        (12, "b", "promoted"),
        (13, "x", "rejected"),
        (14, "c", "promoted"),
    ):
        record(connection, version, date(2026, 9, day), Decision(verdict, "Why."), {})
    return connection


def test_any_former_champion_can_be_returned_to(decided) -> None:
    assert roll_back(decided, "the best one", newest_served=LAST, to="a") == ("a", "c")
    assert champion_version(decided, LAST) == "a"
    assert champion_version(decided, date(2026, 9, 15)) == "c"
    # Also to one that came later than the champion now is.
    assert roll_back(decided, "after all", newest_served=LAST, to="c") == ("c", "a")
    assert champion_version(decided, LAST) == "c"


def test_what_was_never_champion_is_refused_with_those_that_were(decided) -> None:
    for version in ("x", "nonsense"):
        with pytest.raises(NothingToRollBack, match=f"{version} was never the champion.*: b, a"):
            plan_rollback(decided, newest_served=LAST, to=version)


def test_the_champion_itself_is_refused(decided) -> None:
    with pytest.raises(NothingToRollBack, match="c is the champion already"):
        roll_back(decided, "why", newest_served=LAST, to="c")


def test_planning_changes_nothing(decided) -> None:
    planned = plan_rollback(decided, newest_served=LAST, to="b")
    assert planned is not None
    assert (planned.to, planned.rolled_back, planned.as_of) == ("b", "c", LAST)
    assert champion_version(decided, LAST) == "c"


def test_next_to_the_first_champion_there_is_nothing_to_choose_from(connection) -> None:
    record(connection, "a", date(2026, 9, 11), Decision("promoted", "Why."), {})
    with pytest.raises(
        NothingToRollBack, match=r"nonsense was never the champion\. a is the first champion: "
    ):
        plan_rollback(connection, newest_served=LAST, to="nonsense")
