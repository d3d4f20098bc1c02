"""users, tracks, listens: the accepted rows of each day, with the rejected records and the counts of the others.

Each computes its partitions from the landing files alone. Reading the source does not belong here.
See https://docs.dagster.io/guides/build/assets.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetIn,
    AssetKey,
    AssetsDefinition,
    MetadataValue,
    Output,
    ResourceParam,
    asset,
)

from foundation import plots
from foundation.landing.completeness import refuse_read_too_early
from foundation.landing.judged_files import record_judged
from foundation.progress import Progress
from foundation.warehouse.cleaned_partitions import CleanedPartitions
from foundation.warehouse.findings import Finding, judge_rejected_share
from foundation.warehouse.io_manager import table_schema
from foundation.warehouse.layout import SourceTable
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.cleaning import clean
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL
from moovitamix_assets.warehouse.layout import LAYOUT

# Names and emails stay in their table: samples shown in the UI leave them out.
_PERSONAL = {"first_name", "last_name", "email"}
_SAMPLE_ROWS = 5


def _source_table(table: str) -> AssetsDefinition:
    source = LAYOUT.sources[table]

    @asset(
        name=table,
        description=f"{source.schema.description} With it, in one transaction: `{source.rejected.name}` and "
        "`partition_loads`.",
        ins={"landed": AssetIn(key=source.raw_asset)},
        # All endpoints or none: a page that fails leaves every table as it was, not only its own.
        deps=[other.raw_asset for other in LAYOUT.sources.values() if other is not source],
        partitions_def=DAILY,
        backfill_policy=RANGE_IN_ONE_RUN,
        group_name="warehouse",
        kinds={"python", "duckdb"},
        owners=["team:data-platform"],
        pool=WAREHOUSE_POOL,
        io_manager_key="warehouse",
        metadata={"partition_expr": "changed_on", "dagster/column_schema": table_schema(source.schema)},
    )
    def cleaned_table(
        context: AssetExecutionContext,
        landed: pd.DataFrame,
        settings: ResourceParam[Settings],
        progress: ResourceParam[Progress],
    ) -> Output[CleanedPartitions]:
        days = [date.fromisoformat(key) for key in context.partition_keys]
        landing = landing_at(settings.landing_dir)
        refuse_read_too_early(landing, source.endpoint, days)
        with progress.track(f"cleaning {table}"):
            loaded_at = datetime.now(UTC).replace(tzinfo=None)
            cleaned = clean(table, landed, days, loaded_at)
        record_judged(landing, source.endpoint, loaded_at, landed.attrs["landing_files"])
        judged = judge_rejected_share(
            source,
            cleaned.loads,
            warn_share=settings.warehouse.rejected_warn_share,
            error_share=settings.warehouse.rejected_error_share,
            error_minimum=settings.warehouse.rejected_error_minimum,
        )
        if judged.refused:
            # The first partition holds the initial load: without it, the days after it mean nothing.
            left_out = days if settings.start_date in judged.refused else judged.refused
            cleaned = _without_refused(context, source, cleaned, judged, left_out)
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


def _without_refused(
    context: AssetExecutionContext,
    source: SourceTable,
    cleaned: CleanedPartitions,
    judged: Finding,
    left_out: Sequence[date],
) -> CleanedPartitions:
    """Leave out refused partitions, and report the check: it does not run where its asset failed."""
    days = ", ".join(map(str, left_out[:3])) + (" ..." if len(left_out) > 3 else "")
    refused = cleaned.without(left_out, "").refused_records
    received = int(
        cleaned.loads[cleaned.loads["changed_on"].isin(pd.to_datetime(list(left_out)))]["received"].sum()
    )
    reasons = ", ".join(f"{reason} ({count})" for reason, count in list(_reasons(refused).items())[:3])
    words = (
        f"{len(refused)} of {received} records of {source.name} were rejected: {reasons}. Not loaded: {days}. "
        f"Read them with SELECT * FROM {source.rejected.name}, run again once the source is fixed, or raise "
        "MOOVITAMIX_REJECTED_ERROR_SHARE if the source's records are really like that."
    )
    context.instance.report_runless_asset_event(
        AssetCheckEvaluation(
            asset_key=AssetKey(source.name),
            check_name="rejected_share",
            passed=False,
            severity=AssetCheckSeverity.ERROR,
            blocking=True,
            description=words,
            metadata=judged.figures,
        )
    )
    return cleaned.without(left_out, words)


def _reasons(rejected: pd.DataFrame) -> dict[str, int]:
    """The number of rejected records by reason, most frequent first.

    The part of a reason before the colon is fixed; the value found, perhaps a name, stays in its table.
    """
    counts = rejected["reasons"].explode().astype("str").str.split(":").str[0].value_counts()
    return {str(reason): int(count) for reason, count in counts.items()}


def _table_metadata(table: str, cleaned: CleanedPartitions) -> dict[str, Any]:
    sample = cleaned.accepted.drop(columns=[*_PERSONAL, "loaded_at"], errors="ignore").head(_SAMPLE_ROWS)
    metadata: dict[str, Any] = {
        # Recorded with every partition of the run: the counts of a partition have names of their own.
        "run_received": int(cleaned.loads["received"].sum()),
        "run_rejected": int(cleaned.loads["rejected"].sum()),
        "run_items_left_out": cleaned.items_left_out,
        "run_rejected_by_reason": MetadataValue.json(_reasons(cleaned.rejected)),
        "sample": MetadataValue.md(plots.markdown_table(sample)),
    }
    if table == "listens" and len(cleaned.accepted):
        metadata["listens_per_hour"] = MetadataValue.md(
            plots.events_per_hour(cleaned.accepted["listened_at"], "listens")
        )
    return metadata


users = _source_table("users")
tracks = _source_table("tracks")
listens = _source_table("listens")
