"""recommendations: the top N of everyone known as of each day, by the version in force on that day.

A range is one run; only the days that are kept are made. How lists come to be is in `batch.py`.
See https://docs.dagster.io/guides/build/assets.
"""

from datetime import date, timedelta
from typing import Any

import duckdb
import pandas as pd
from dagster import AssetExecutionContext, MetadataValue, Output, ResourceParam, asset

from foundation import plots
from foundation.progress import Progress
from foundation.tables import empty_frame
from foundation.warehouse.io_manager import table_schema
from foundation.warehouse.rows import first_row
from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN, days_to_make
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.as_of import interactions_as_of, tracks_as_of, users_as_of
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse
from moovitamix_assets.warehouse.loads import require_loaded
from moovitamix_assets.warehouse.schemas import RECOMMENDATIONS

_SAMPLE_ROWS = 10


@asset(
    partitions_def=DAILY,
    backfill_policy=RANGE_IN_ONE_RUN,
    deps=["users", "tracks", "listens", "champion_model"],
    group_name="recommendations",
    kinds={"python", "duckdb"},
    owners=["team:recommendations"],
    pool=WAREHOUSE_POOL,
    io_manager_key="warehouse",
    metadata={"partition_expr": "generated_for", "dagster/column_schema": table_schema(RECOMMENDATIONS)},
    description=(
        "The top N of everyone known as of the day, tracks they have heard left out. Made by the version in force "
        "in `promotions`; people it does not know get popular tracks of their genres, and everyone gets popular "
        "tracks while no version is in force."
    ),
)
def recommendations(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> Output[pd.DataFrame]:
    """Make the lists of each day of the run that is kept."""
    days = days_to_make([date.fromisoformat(key) for key in context.partition_keys], context.run.tags)
    oldest_kept = days[-1] - timedelta(days=settings.recommendations.recommendations_kept_days - 1)
    kept = [day for day in days if day >= oldest_kept]
    frames = []
    with (
        progress.track("recommendations") as on_progress,
        read_warehouse(settings.warehouse_path) as connection,
    ):
        require_loaded(connection, days)
        for done, day in enumerate(kept, start=1):
            frame = _lists_of(connection, day, settings)
            context.add_asset_metadata(_figures(frame), partition_key=day.isoformat())
            frames.append(frame)
            on_progress(done, len(kept))
        newest = first_row(connection, "SELECT max(generated_for) FROM recommendations")
    rows = pd.concat(frames, ignore_index=True) if frames else empty_frame(RECOMMENDATIONS)
    metadata: dict[str, Any] = {
        "sample": MetadataValue.md(plots.markdown_table(rows.head(_SAMPLE_ROWS))),
        "written_from": days[0].isoformat(),
    }
    if not (newest and newest[0]) or days[-1] >= newest[0]:
        # A day long past that somebody wants to see again stays until the next new day is made.
        metadata["kept_partitions"] = settings.recommendations.recommendations_kept_days
    return Output(rows, metadata=metadata)


def _lists_of(connection: duckdb.DuckDBPyConnection, day: date, settings: Settings) -> pd.DataFrame:
    from foundation.models.promotions import champion_version
    from moovitamix_assets.recommendations.batch import Known, recommend_users
    from moovitamix_assets.training.gate.models import model_store

    version = champion_version(connection, day)
    known = Known(
        as_of=day,
        users=users_as_of(connection, day),
        tracks=tracks_as_of(connection, day),
        interactions=interactions_as_of(connection, day, {}),
    )
    return recommend_users(
        known,
        model_store(settings.models_dir).load(version) if version else None,
        length=settings.recommendations.recommendations_per_user,
        filter_seen=not settings.recommendations.recommend_heard_tracks,
        expire_hours=settings.recommendations.recommendations_expire_hours,
    )


def _figures(frame: pd.DataFrame) -> dict[str, Any]:
    people = frame.drop_duplicates("user_id")
    return {
        "dagster/partition_row_count": len(frame),
        "people": len(people),
        "tracks_listed": int(frame["track_id"].nunique()),
        "people_by_source": MetadataValue.json(
            {str(source): int(count) for source, count in people["source"].value_counts().items()}
        ),
        "model_versions": MetadataValue.json(sorted(frame["model_version"].unique())),
    }
