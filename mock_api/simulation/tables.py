"""Columns in memory: one row for each version of a record, added and never removed.

How rows are chosen and ordered for an answer is in `listing.py`; what is in them, in `users.py`,
`catalogue.py` and `sessions.py`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

NEVER = np.iinfo(np.int64).max
NO_TIME = np.iinfo(np.int64).min
INITIAL_CAPACITY = 1024

# Times are microseconds since 1970. A version is shown from `visible_from` until `superseded_at`, at the
# place of `listed_from`, the moment its record first appeared. `changed_at` is what filters compare with.
TIME_COLUMNS = ("created_at", "updated_at", "changed_at", "visible_from", "listed_from", "superseded_at")


class VersionTable:
    """The versions of the records of one endpoint.

    `overrides` holds, for the few dirty rows, the fields whose value is not what the columns say.
    `revision` grows whenever rows were added or altered.
    """

    def __init__(self, columns: Mapping[str, DTypeLike]) -> None:
        types: dict[str, DTypeLike] = {**dict.fromkeys(TIME_COLUMNS, np.int64), **columns}
        self._columns: dict[str, NDArray[Any]] = {
            name: np.empty(INITIAL_CAPACITY, dtype) for name, dtype in types.items()
        }
        self._length = 0
        self.revision = 0
        self.overrides: dict[int, dict[str, object]] = {}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A writable view of a column, valid until rows are added."""
        return self._columns[name][: self._length]

    def append(
        self, created_at: NDArray[np.int64], updated_at: NDArray[np.int64], **columns: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Add records in their first version, shown from the moment they last changed.

        Returns:
            The numbers of the new rows.
        """
        changed_at = np.maximum(created_at, updated_at)
        times = {"created_at": created_at, "updated_at": updated_at, "changed_at": changed_at}
        times |= {"visible_from": changed_at, "listed_from": changed_at}
        times |= {"superseded_at": np.full(len(changed_at), NEVER)}
        return self._append_columns(times | columns)

    def append_versions(self, rows: NDArray[np.int64], updated_at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Add to each row's record a version that replaces the row from `updated_at` on.

        The caller then writes what changed into the new rows.
        """
        new = self.append_copies(rows)
        for name in ("updated_at", "changed_at", "visible_from"):
            self[name][new] = updated_at
        self["superseded_at"][rows] = updated_at
        return new

    def append_copies(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Add copies of the given rows, in addition to them."""
        new = self._append_columns({name: column[rows] for name, column in self._columns.items()})
        self["superseded_at"][new] = NEVER
        for row, copy in zip(rows.tolist(), new.tolist(), strict=True):
            if row in self.overrides:
                self.overrides[copy] = dict(self.overrides[row])
        return new

    def _append_columns(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        added = len(next(iter(columns.values())))
        start, end = self._length, self._length + added
        for name, column in self._columns.items():
            if end > len(column):
                grown = np.empty(max(end, 2 * len(column)), column.dtype)
                grown[:start] = column[:start]
                self._columns[name] = column = grown
            column[start:end] = columns[name]
        self._length = end
        self.revision += 1
        return np.arange(start, end)
