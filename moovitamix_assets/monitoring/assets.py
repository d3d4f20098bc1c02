"""recommendation_quality and drift: what lists were worth to people, and whether the world is still the champion's.

A range is one run, and each day of it is computed for itself. The figures come from `quality.py` and `drift.py`;
what follows from them is for checks and sensors to say.
See https://docs.dagster.io/guides/build/assets.
"""

from datetime import date, timedelta
from typing import Any

import duckdb
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
        "What the lists of the day before were worth on what people heard for the first time on the day, by "
        "version and segment, beside what popular tracks would have earned with the same people. No rows where "
        "there were no lists, or nobody with a list heard anything new."
    ),
)
def recommendation_quality(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> Output[pd.DataFrame]:
    """Measure the lists of the day before each day of the run."""
    days = days_to_make([date.fromisoformat(key) for key in context.partition_keys], context.run.tags)
    frames = []
    with (
        progress.track("quality of recommendations") as on_progress,
        read_warehouse(settings.warehouse_path) as connection,
    ):
        require_loaded(connection, days)
        for done, day in enumerate(days, start=1):
            frame = _quality_of(connection, day)
            context.add_asset_metadata(_quality_figures(frame), partition_key=day.isoformat())
            frames.append(frame)
            on_progress(done, len(days))
        before = connection.execute(
            "SELECT * FROM recommendation_quality WHERE day >= ? AND day < ?",
            [days[-1] - timedelta(days=_PLOTTED_DAYS), days[0]],
        ).df()
    rows = pd.concat([empty_frame(RECOMMENDATION_QUALITY), *frames], ignore_index=True)
    plotted = pd.concat([before, rows])
    plotted = plotted[plotted["users"] >= settings.monitoring.quality_minimum_users]
    metadata: dict[str, Any] = {
        "written_from": days[0].isoformat(),
        "last_day": MetadataValue.md(plots.markdown_table(frames[-1].round(4))),
        "beside_popularity": MetadataValue.md(plots.quality_by_day(plotted)),
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
        "How far the listens, people and tracks of the day are from what the champion in force was trained on, "
        "with the distance from which it counts as drift. No rows while no version is in force."
    ),
)
def drift(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> Output[pd.DataFrame]:
    """Compare each day of the run with the reference of the version in force on it."""
    days = days_to_make([date.fromisoformat(key) for key in context.partition_keys], context.run.tags)
    frames = []
    with (
        progress.track("drift") as on_progress,
        read_warehouse(settings.warehouse_path) as connection,
    ):
        require_loaded(connection, days)
        for done, day in enumerate(days, start=1):
            frame, compared_with = _drift_of(connection, day, settings)
            figures = {"compared_with": compared_with, **_drift_figures(frame)}
            context.add_asset_metadata(figures, partition_key=day.isoformat())
            frames.append(frame)
            on_progress(done, len(days))
    metadata: dict[str, Any] = {
        "written_from": days[0].isoformat(),
        "last_day": MetadataValue.md(plots.markdown_table(frames[-1].round(4))),
        "beside_thresholds": MetadataValue.md(plots.drift_beside_thresholds(frames[-1])),
    }
    return Output(pd.concat([empty_frame(DRIFT), *frames], ignore_index=True), metadata=metadata)


def _quality_of(connection: duckdb.DuckDBPyConnection, day: date) -> pd.DataFrame:
    from moovitamix_assets.monitoring.quality import lists_are_stored, quality_rows, read_evidence

    if not lists_are_stored(connection, day - timedelta(days=1)):
        # Lists are kept for some days only: what they were worth was measured before, and stays.
        return connection.execute("SELECT * FROM recommendation_quality WHERE day = ?", [day]).df()
    evidence = read_evidence(connection, day)
    return empty_frame(RECOMMENDATION_QUALITY) if evidence is None else quality_rows(evidence)


def _quality_figures(frame: pd.DataFrame) -> dict[str, Any]:
    """One number per metric, which the UI plots over partitions: the model's lists apart from popular ones."""
    figures: dict[str, Any] = {"dagster/partition_row_count": len(frame)}
    for row in frame[frame["segment"] == "all"].to_dict("records"):
        lists = "popular_lists" if row["model_version"] == "popularity" else "model"
        figures |= {
            f"{lists}_{name}": value
            for name, value in row.items()
            if name not in ("day", "model_version", "segment")
        }
    return figures


def _drift_of(
    connection: duckdb.DuckDBPyConnection, day: date, settings: Settings
) -> tuple[pd.DataFrame, str]:
    """The rows of a day, and what it was compared with, or why with nothing."""
    from foundation.models.promotions import champion_version
    from foundation.models.versions import trained_as_of
    from moovitamix_assets.monitoring.drift import drift_rows, read_reference, read_today

    version = champion_version(connection, day)
    if version is None:
        return empty_frame(DRIFT), "nothing: no version is in force"
    folder = settings.training_sets_dir / trained_as_of(version).isoformat()
    reference = read_reference(folder)
    if reference is None:
        return empty_frame(DRIFT), f"nothing: {folder} of {version} has no reference"
    rows = drift_rows(
        read_today(connection, day),
        reference,
        drift_threshold=settings.monitoring.drift_threshold,
        minimum_rows=settings.monitoring.drift_minimum_rows,
    )
    return rows, version


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
