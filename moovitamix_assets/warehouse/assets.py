"""users, tracks, listens: the accepted rows of each day, with what was rejected and what became of the rest.

Each rebuilds its partitions from the landing files alone. Reading the source does not belong here.
See https://docs.dagster.io/guides/build/assets.
"""

from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
from dagster import (
    AssetExecutionContext,
    AssetIn,
    AssetsDefinition,
    MetadataValue,
    Output,
    ResourceParam,
    asset,
)

from moovitamix_assets import plots
from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN
from moovitamix_assets.progress import Progress
from moovitamix_assets.warehouse.cleaning import CleanedPartitions, clean
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL
from moovitamix_assets.warehouse.duckdb_io import table_schema
from moovitamix_assets.warehouse.schemas import SOURCE_TABLES

# Names and emails stay in their table: samples shown in the UI leave them out.
_PERSONAL = {"first_name", "last_name", "email"}
_SAMPLE_ROWS = 5


def _source_table(table: str) -> AssetsDefinition:
    schema = SOURCE_TABLES[table]

    @asset(
        name=table,
        description=f"{schema.description} With it, in one transaction: `rejected_{table}` and `partition_loads`.",
        ins={"landed": AssetIn(key=f"raw_{table}")},
        # All endpoints or none: a page that fails leaves every table as it was, not only its own.
        deps=[f"raw_{other}" for other in SOURCE_TABLES if other != table],
        partitions_def=DAILY,
        backfill_policy=RANGE_IN_ONE_RUN,
        group_name="warehouse",
        kinds={"python", "duckdb"},
        owners=["team:data-platform"],
        pool=WAREHOUSE_POOL,
        io_manager_key="warehouse",
        metadata={"partition_expr": "changed_on", "dagster/column_schema": table_schema(schema)},
    )
    def cleaned_table(
        context: AssetExecutionContext, landed: pd.DataFrame, progress: ResourceParam[Progress]
    ) -> Output[CleanedPartitions]:
        days = [date.fromisoformat(key) for key in context.partition_keys]
        with progress.track(f"cleaning {table}"):
            cleaned = clean(table, landed, days, datetime.now(UTC).replace(tzinfo=None))
        for load in cleaned.loads.to_dict("records"):
            context.add_asset_metadata(
                {
                    "received": load["received"],
                    "accepted": load["accepted"],
                    "rejected": load["rejected"],
                    "duplicates": load["duplicates"],
                    "superseded": load["superseded"],
                    "dagster/partition_row_count": load["stored_rows"],
                },
                partition_key=f"{load['changed_on']:%Y-%m-%d}",
            )
        return Output(cleaned, metadata=_table_metadata(table, cleaned))

    return cleaned_table


def _table_metadata(table: str, cleaned: CleanedPartitions) -> dict[str, Any]:
    sample = cleaned.accepted.drop(columns=[*_PERSONAL, "loaded_at"], errors="ignore").head(_SAMPLE_ROWS)
    # Before the colon stand fixed words only: what was found in the record, perhaps a name, stays in its table.
    reasons = cleaned.rejected["reasons"].explode().astype("str").str.split(":").str[0].value_counts()
    metadata: dict[str, Any] = {
        "records_in_run": int(cleaned.loads["received"].sum()),
        "rejected_in_run": int(cleaned.loads["rejected"].sum()),
        "items_left_out": cleaned.items_left_out,
        "rejected_by_reason": MetadataValue.json({str(key): int(count) for key, count in reasons.items()}),
        "sample": MetadataValue.md(plots.markdown_table(sample)),
    }
    if table == "listens" and len(cleaned.accepted):
        metadata["listens_per_hour"] = MetadataValue.md(
            plots.listens_per_hour(cleaned.accepted["listened_at"])
        )
    return metadata


users = _source_table("users")
tracks = _source_table("tracks")
listens = _source_table("listens")
