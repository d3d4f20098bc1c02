"""The layout of a warehouse: its tables, and what the foundation has to know of them.

The product makes one instance; how tables are created, filled and checked is in the modules next to this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandera.pandas as pa

from foundation.program import Program


@dataclass(frozen=True)
class SourceTable:
    """A table loaded from landing, partitioned by `changed_on`.

    Attributes:
        schema: The table.
        rejected: The table of its rejected records.
        endpoint: The endpoint whose records it holds, see `foundation.landing.area`.
        record_key: The columns that identify a record; one record may have several rows.
        row_key: The columns that identify a row within a partition.
    """

    schema: pa.DataFrameSchema
    rejected: pa.DataFrameSchema
    endpoint: str
    record_key: Sequence[str]
    row_key: Sequence[str]

    @property
    def name(self) -> str:
        """The table's name, which is also its asset's."""
        return str(self.schema.name)

    @property
    def raw_asset(self) -> str:
        """The name of the asset that lands its records."""
        return f"raw_{self.name}"


@dataclass(frozen=True)
class WarehouseLayout:
    """The tables of a warehouse.

    Attributes:
        program: For the remedies in messages.
        tables: Every table by name, `partition_loads` and `partitions_made` among them.
        sources: The tables loaded from landing, by name.
        ledger_groups: The tables that the ledger keeps, each with the columns that name a group of rows.
        computed_again: The tables that are computed again after a rebuild rather than restored from the ledger.
        views: Views by name, each a query.
        filled_when_added: The columns that a warehouse of an older version lacks, by table and column, and the
            statement that fills each once it was added. They are nullable.
    """

    program: Program
    tables: Mapping[str, pa.DataFrameSchema]
    sources: Mapping[str, SourceTable]
    ledger_groups: Mapping[str, Sequence[str]]
    computed_again: frozenset[str] = frozenset()
    views: Mapping[str, str] = field(default_factory=dict)
    filled_when_added: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def endpoints(self) -> list[str]:
        """The endpoints that the source tables are loaded from."""
        return [source.endpoint for source in self.sources.values()]
