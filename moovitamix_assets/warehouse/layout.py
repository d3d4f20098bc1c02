"""The layout of this product's warehouse: the tables of `schemas.py`, and what the foundation has to know of them."""

from foundation.warehouse.layout import SourceTable, WarehouseLayout
from moovitamix_assets.program import PROGRAM
from moovitamix_assets.warehouse.schemas import (
    FILLED_WHEN_ADDED,
    LISTENS,
    REJECTED_TABLES,
    TABLES,
    TRACKS,
    USERS,
    VIEWS,
)

LAYOUT = WarehouseLayout(
    program=PROGRAM,
    tables=TABLES,
    sources={
        "users": SourceTable(USERS, REJECTED_TABLES["users"], "users", ["user_id"], ["user_id"]),
        "tracks": SourceTable(TRACKS, REJECTED_TABLES["tracks"], "tracks", ["track_id"], ["track_id"]),
        "listens": SourceTable(
            LISTENS,
            REJECTED_TABLES["listens"],
            endpoint="listen_history",
            record_key=["user_id", "listened_at"],
            row_key=["user_id", "listened_at", "position"],
        ),
    },
    # Rows of a group are replaced together, so a later line of the ledger replaces an earlier one.
    ledger_groups={
        "promotions": ["model_version", "as_of", "decided_at"],
        "model_evaluations": ["model_version"],
        "recommendation_quality": ["day"],
        "drift": ["day"],
        "partition_loads": ["table_name", "changed_on"],
        "partitions_made": ["table_name", "day"],
    },
    computed_again=frozenset({"recommendations", "shadow_recommendations"}),
    views=VIEWS,
    filled_when_added=FILLED_WHEN_ADDED,
)
