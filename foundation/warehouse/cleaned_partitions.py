"""Cleaned partitions: what cleaning hands to the IO manager.

Cleaning records belongs to the product; storing them is in `io_manager.py`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date

import pandas as pd


@dataclass(frozen=True)
class CleanedPartitions:
    """The outcome of cleaning one or more partitions of one table, to be stored in one transaction.

    Attributes:
        accepted: Rows of the table.
        rejected: Rows of its `rejected_` table.
        loads: Rows of `partition_loads`, one per partition, empty ones too.
        items_left_out: Parts of accepted records that could not become rows.
        refused: Why some partitions of the run must not be loaded; empty if all may.
        refused_records: Rows of the `rejected_` table for those partitions, for finding the cause.
    """

    accepted: pd.DataFrame
    rejected: pd.DataFrame
    loads: pd.DataFrame
    items_left_out: int = 0
    refused: str = ""
    refused_records: pd.DataFrame = field(default_factory=pd.DataFrame)

    def without(self, partitions: Collection[date], reason: str) -> "CleanedPartitions":
        """A copy without some partitions, which are refused for a reason."""
        left_out = pd.to_datetime(list(partitions))
        accepted, rejected, loads = (
            frame[~frame["changed_on"].isin(left_out)].reset_index(drop=True)
            for frame in (self.accepted, self.rejected, self.loads)
        )
        records = self.rejected[self.rejected["changed_on"].isin(left_out)].reset_index(drop=True)
        return replace(
            self, accepted=accepted, rejected=rejected, loads=loads, refused=reason, refused_records=records
        )
