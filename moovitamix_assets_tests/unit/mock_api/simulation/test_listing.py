"""A listing chooses, orders and cuts as a plain reading of the rules does, for any table."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mock_api.simulation.listing import Listing
from mock_api.simulation.tables import NO_TIME, VersionTable

MOMENTS = st.integers(0, 20)


@st.composite
def tables(draw: st.DrawFn) -> VersionTable:
    """Up to 15 records, some of them with a later version, some without a readable time."""
    table = VersionTable({})
    created_at = np.array(draw(st.lists(MOMENTS, max_size=15)), np.int64)
    rows = table.append(created_at, created_at + 1)
    for row in rows.tolist():
        if draw(st.booleans()):
            version = np.array([int(table["changed_at"][row]) + draw(st.integers(1, 5))])
            table.append_versions(np.array([row]), version)
        elif draw(st.booleans()):
            table["changed_at"][row] = NO_TIME
    return table


def shown(table: VersionTable, now: int, since: int | None, before: int | None) -> list[int]:
    """The rows of all pages, by the rules."""
    current = [
        row for row in range(len(table)) if table["visible_from"][row] <= now < table["superseded_at"][row]
    ]
    if since is None and before is None:
        return sorted(current, key=lambda row: (table["listed_from"][row], row))
    current = [row for row in current if since is None or table["changed_at"][row] >= since]
    current = [row for row in current if before is None or table["changed_at"][row] < before]
    return sorted(current, key=lambda row: (table["changed_at"][row], row))


@given(
    tables(),
    st.lists(MOMENTS, min_size=1, max_size=4),
    st.none() | MOMENTS,
    st.none() | MOMENTS,
    st.integers(1, 5),
)
def test_pages_are_what_the_rules_say(
    table: VersionTable, moments: list[int], since: int | None, before: int | None, size: int
) -> None:
    listing = Listing(table)
    for now in moments:
        wanted = shown(table, now, since, before)
        pages = [listing.page(now, page, size, since, before) for page in range(1, len(wanted) // size + 3)]
        assert [row for rows, _ in pages for row in rows.tolist()] == wanted
        assert {total for _, total in pages} == {len(wanted)}


@given(tables())
def test_added_rows_are_seen(table: VersionTable) -> None:
    listing = Listing(table)
    _, before = listing.page(100, 1, 100)
    table.append(np.array([50]), np.array([49]))
    assert listing.page(100, 1, 100)[1] == before + 1
