"""The versions an endpoint shows at a moment, in their order, sliced without touching the rest.

Nothing here knows what the records say; `tables.py` holds them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mock_api.simulation.tables import NEVER, NO_TIME, VersionTable


@dataclass(frozen=True)
class _Snapshot:
    """The versions shown between two changes."""

    revision: int
    valid_from: int
    valid_until: int
    listed: NDArray[np.int64]
    changed: NDArray[np.int64]
    changed_at: NDArray[np.int64]


class Listing:
    """The pages of one table.

    The sorted orders are made once per revision of the table, and what is current once per moment at which
    something changes, so a page costs two binary searches and a slice.
    """

    def __init__(self, table: VersionTable) -> None:
        self._table = table
        self._revision = -1
        self._listed_order = np.empty(0, np.int64)
        self._changed_order = np.empty(0, np.int64)
        self._moments = np.empty(0, np.int64)
        self._snapshot: _Snapshot | None = None

    def page(
        self, now: int, page: int, size: int, since: int | None = None, before: int | None = None
    ) -> tuple[NDArray[np.int64], int]:
        """Rows of one page, and how many rows there are on all pages.

        Without a filter the order is that of first appearance, so that new records come at the end; with one
        it is that of change. A row without a readable time is older than everything.

        Args:
            now: microseconds since 1970; what appears later is not shown.
            page: number of the page, from 1.
            size: rows a page.
            since: microseconds; only rows changed at or after it.
            before: microseconds; only rows changed before it.
        """
        snapshot = self._at(now)
        rows = snapshot.listed
        if since is not None or before is not None:
            start = 0 if since is None else int(np.searchsorted(snapshot.changed_at, max(since, NO_TIME + 1)))
            end = len(rows) if before is None else int(np.searchsorted(snapshot.changed_at, before))
            rows = snapshot.changed[start : max(start, end)]
        return rows[(page - 1) * size : page * size], len(rows)

    def _at(self, now: int) -> _Snapshot:
        snapshot = self._snapshot
        if (
            snapshot is None
            or snapshot.revision != self._table.revision
            or not snapshot.valid_from <= now < snapshot.valid_until
        ):
            snapshot = self._snapshot = self._take_snapshot(now)
        return snapshot

    def _take_snapshot(self, now: int) -> _Snapshot:
        table = self._table
        if self._revision != table.revision:
            self._listed_order = np.argsort(table["listed_from"], kind="stable")
            self._changed_order = np.argsort(table["changed_at"], kind="stable")
            self._moments = np.sort(table["visible_from"])
            self._revision = table.revision
        current = (table["visible_from"] <= now) & (now < table["superseded_at"])
        changed = self._changed_order[current[self._changed_order]]
        later = int(np.searchsorted(self._moments, now, side="right"))
        return _Snapshot(
            revision=table.revision,
            valid_from=int(self._moments[later - 1]) if later else NO_TIME,
            valid_until=int(self._moments[later]) if later < len(self._moments) else NEVER,
            listed=self._listed_order[current[self._listed_order]],
            changed=changed,
            changed_at=table["changed_at"][changed],
        )
