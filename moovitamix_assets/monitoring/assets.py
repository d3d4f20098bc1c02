"""recommendation_quality and drift: how good recommendations were, and how far the data moved since the training.

A range is one run, and each day of it is computed on its own. The figures come from `quality.py` and `drift.py`;
checks and sensors decide what follows from them.
See https://docs.dagster.io/guides/build/assets.
"""

from datetime import date, timedelta
from typing import Any

import pandas as pd
from dagster import (
    AssetDep,
    AssetExecutionContext,
    MetadataValue,
    Output,
    ResourceParam,
    asset,
)

from foundation import plots
from foundation.models.decisions import POPULARITY
from foundation.progress import Progress
from foundation.tables import empty_frame
from foundation.warehouse.io_manager import table_schema
from moovitamix_assets.partitions import DAILY, OF_THE_DAY_BEFORE, RANGE_IN_ONE_RUN, days_to_make
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse
from moovitamix_assets.warehouse.loads import require_loaded
from moovitamix_assets.warehouse.schemas import DRIFT, RECOMMENDATION_QUALITY

_PLOTTED_DAYS = 60


@asset(
    partitions_def=DAILY,
    backfill_policy=RANGE_IN_ONE_RUN,
    deps=[
        AssetDep("recommendations", partition_mapping=OF_THE_DAY_BEFORE),
        AssetDep("shadow_recommendations", partition_mapping=OF_THE_DAY_BEFORE),
        "users",
        "tracks",
        "listens",
    ],
    group_name="monitoring",
    kinds={"python", "duckdb"},
    owners=["team:recommendations"],
    pool=WAREHOUSE_POOL,
    io_manager_key="warehouse",
    metadata={"partition_expr": "day", "dagster/column_schema": table_schema(RECOMMENDATION_QUALITY)},
    description=(
        "The quality of the recommendations of the day before on the tracks that users played for the first "
        "time on the day, by version and segment, compared with popular tracks for the same users. No rows "
        "where no user with recommendations played anything new."
    ),
)
def recommendation_quality(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> Output[pd.DataFrame]:
    """Measure the recommendations of the day before each day of the run."""
    from moovitamix_assets.monitoring.quality import quality_of_day

    days = days_to_make([date.fromisoformat(key) for key in context.partition_keys], context.run.tags)
    frames = []
    with (
        progress.track("quality of recommendations") as on_progress,
        read_warehouse(settings.warehouse_path) as connection,
    ):
        require_loaded(connection, days)
        for done, day in enumerate(days, start=1):
            frame = quality_of_day(connection, day)
            context.add_asset_metadata(_quality_figures(frame), partition_key=day.isoformat())
            frames.append(frame)
            on_progress(done, len(days))
        before = connection.execute(
            "SELECT * FROM recommendation_quality WHERE day >= ? AND day < ?",
            [days[-1] - timedelta(days=_PLOTTED_DAYS), days[0]],
        ).df()
    rows = pd.concat([empty_frame(RECOMMENDATION_QUALITY), *frames], ignore_index=True)
    plotted = pd.concat([before, rows])
    plotted = plotted.assign(served=_was_served(plotted))
    plotted = plotted[plotted["users"] >= settings.monitoring.quality_minimum_users]
    metadata: dict[str, Any] = {
        "written_from": days[0].isoformat(),
        "last_day": MetadataValue.md(plots.markdown_table(frames[-1].round(4))),
        "compared_with_popularity": MetadataValue.md(plots.quality_by_day(plotted)),
    }
    return Output(rows, metadata=metadata)


@asset(
    partitions_def=DAILY,
    backfill_policy=RANGE_IN_ONE_RUN,
    deps=["users", "tracks", "listens", "champion_model"],
    group_name="monitoring",
    kinds={"python", "duckdb"},
    owners=["team:recommendations"],
    pool=WAREHOUSE_POOL,
    io_manager_key="warehouse",
    metadata={"partition_expr": "day", "dagster/column_schema": table_schema(DRIFT)},
    description=(
        "The distance of the day's listens, users and tracks from what the champion was trained on, with the "
        "threshold from which it counts as drift. No rows while there is no champion."
    ),
)
def drift(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> Output[pd.DataFrame]:
    """Compare each day of the run with the reference of the champion as of that day."""
    from moovitamix_assets.monitoring.drift import drift_of_day

    days = days_to_make([date.fromisoformat(key) for key in context.partition_keys], context.run.tags)
    frames = []
    with (
        progress.track("drift") as on_progress,
        read_warehouse(settings.warehouse_path) as connection,
    ):
        require_loaded(connection, days)
        for done, day in enumerate(days, start=1):
            frame, compared_with = drift_of_day(
                connection, day, settings.training_sets_dir, settings.monitoring
            )
            figures = {"compared_with": compared_with, **_drift_figures(frame)}
            context.add_asset_metadata(figures, partition_key=day.isoformat())
            frames.append(frame)
            on_progress(done, len(days))
    metadata: dict[str, Any] = {
        "written_from": days[0].isoformat(),
        "last_day": MetadataValue.md(plots.markdown_table(frames[-1].round(4))),
        "compared_with_thresholds": MetadataValue.md(plots.drift_against_thresholds(frames[-1])),
    }
    return Output(pd.concat([empty_frame(DRIFT), *frames], ignore_index=True), metadata=metadata)


def _quality_figures(frame: pd.DataFrame) -> dict[str, Any]:
    """One number per metric, which the UI plots over partitions.

    `model_*` is of the version that served, popular tracks in a fallback; `popular_*` of the users it does not know;
    `challenger_*` and `champion_*` of those in shadow.
    """
    figures: dict[str, Any] = {"dagster/partition_row_count": len(frame)}
    shown = frame[frame["segment"] == "all"]
    for row, served in zip(shown.to_dict("records"), _was_served(shown), strict=True):
        complement = row["role"] == "champion" and row["model_version"] == POPULARITY
        source = "popular" if complement else "model" if served else row["role"]
        figures |= {
            f"{source}_{name}": value
            for name, value in row.items()
            if name not in ("day", "model_version", "role", "segment")
        }
    return figures


def _was_served(rows: pd.DataFrame) -> pd.Series:
    """Return for each row of `recommendation_quality` whether it was served; the champion's is not in a fallback."""
    fallback = rows["role"] == "fallback"
    in_fallback = rows["day"].isin(rows["day"][fallback])
    return fallback | ((rows["role"] == "champion") & ~in_fallback)


def _drift_figures(frame: pd.DataFrame) -> dict[str, Any]:
    """One number per feature, which the UI plots over partitions."""
    return {
        "dagster/partition_row_count": len(frame),
        "features_drifted": int(frame["drifted"].sum()),
        **{
            str(feature): float(value)
            for feature, value in zip(frame["feature"], frame["value"], strict=True)
        },
    }
