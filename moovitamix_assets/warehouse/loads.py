"""This product's loaded and written partitions: the foundation's queries, bound to the layout."""

from collections.abc import Sequence
from datetime import date

import duckdb

from foundation.warehouse import loads
from moovitamix_assets.warehouse.layout import LAYOUT

NIGHTLY_TABLES = ("recommendations", "shadow_recommendations", "recommendation_quality", "drift")
"""The tables that a nightly run computes from what was loaded."""


def loaded_days(connection: duckdb.DuckDBPyConnection) -> set[date]:
    """The partitions of which every source table is loaded."""
    return loads.loaded_days(connection, LAYOUT)


def require_loaded(connection: duckdb.DuckDBPyConnection, days: Sequence[date]) -> None:
    """Refuse to build on partitions that are not loaded.

    Raises:
        PartitionNotLoaded: If a source table of one of them is not loaded.
    """
    loads.require_loaded(connection, LAYOUT, days)


def made_days(connection: duckdb.DuckDBPyConnection, tables: Sequence[str] = NIGHTLY_TABLES) -> set[date]:
    """The partitions that were written of each of some tables, by default of every nightly one."""
    return loads.made_days(connection, tables)
