"""The top N as of each day, by the version that serves and by those in shadow, and what is published of them.

A range is one run; only the days that are kept are materialized, and the last one is published. The recommendations are
computed in `batch.py`, the published files in `publishing/`.
See https://docs.dagster.io/guides/build/assets.
"""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, Output, ResourceParam, asset

from foundation import plots
from foundation.models.decisions import Standing
from foundation.models.promotions import standing
from foundation.progress import Progress
from foundation.publishing.generations import Generations
from foundation.warehouse.io_manager import table_schema
from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN, days_to_make
from moovitamix_assets.recommendations.publishing.layout import Publication, write_publication
from moovitamix_assets.recommendations.publishing.store import generations
from moovitamix_assets.setting_groups import RecommendationSettings
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse
from moovitamix_assets.warehouse.loads import require_loaded
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day
from moovitamix_assets.warehouse.schemas import RECOMMENDATIONS, SHADOW_RECOMMENDATIONS


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
        "The top N of every user known as of the day, without tracks they have played, by the champion in "
        "`promotions`. Users it knows nothing of get popular tracks of their favorite genres; all users get "
        "popular tracks while there is no champion, or during a fallback."
    ),
)
def recommendations(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> Output[pd.DataFrame]:
    """Recommend for each day of the run that is kept."""
    from moovitamix_assets.recommendations.batch import recommend_day

    return _recommended(context, settings, progress, "recommendations", recommend_day)


@asset(
    partitions_def=DAILY,
    backfill_policy=RANGE_IN_ONE_RUN,
    deps=["users", "tracks", "listens", "champion_model"],
    group_name="recommendations",
    kinds={"python", "duckdb"},
    owners=["team:recommendations"],
    pool=WAREHOUSE_POOL,
    io_manager_key="warehouse",
    metadata={
        "partition_expr": "generated_for",
        "dagster/column_schema": table_schema(SHADOW_RECOMMENDATIONS),
    },
    description=(
        "The top N by the versions in shadow, shown to no user and measured like those that are served: the "
        "challenger's, and the champion's during a fallback. No rows while no version is in shadow."
    ),
)
def shadow_recommendations(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> Output[pd.DataFrame]:
    """Recommend in shadow for each day of the run that is kept."""
    from moovitamix_assets.recommendations.batch import recommend_shadows

    return _recommended(context, settings, progress, "shadow recommendations", recommend_shadows)


@asset(
    partitions_def=DAILY,
    backfill_policy=RANGE_IN_ONE_RUN,
    deps=["recommendations", "shadow_recommendations"],
    group_name="recommendations",
    kinds={"python", "numpy"},
    owners=["team:recommendations"],
    pool=WAREHOUSE_POOL,
    # In a nightly run after the measurements that are published too, without failing where they fail.
    op_tags={"dagster/priority": "-1"},
    description=(
        "What the serving API hands out, as memory-mapped arrays in `data/serving`: the champion's recommendations "
        "and the challenger's, the catalogue with vectors, popular and new tracks, and the history of model, quality, "
        "drift and data. A generation appears whole by one rename. Only the newest day is published."
    ),
)
def published_recommendations(
    context: AssetExecutionContext, settings: ResourceParam[Settings]
) -> MaterializeResult:  # type: ignore[type-arg]
    """Publish the last day of the run, unless there are recommendations of a newer one."""
    from moovitamix_assets.recommendations.publishing.publication import publication_of

    day = date.fromisoformat(context.partition_keys[-1])
    with read_warehouse(settings.warehouse_path) as connection:
        newest = newest_recommended_day(connection)
        publication = publication_of(connection, day, settings.models_dir) if day == newest else None
    if publication is None:
        reason = f"The newest recommendations are of {newest}." if newest else "There are no recommendations."
        return MaterializeResult(metadata={"published": False, "reason": reason})
    store, version = generations(settings.serving_dir), publication.manifest.model_version
    name = store.publish(
        f"{day}-{version.rpartition('-')[2]}",
        lambda folder: write_publication(folder, publication),
        kept=settings.serving.published_kept,
    )
    return MaterializeResult(metadata=_published_figures(publication, name, store))


def _recommended(
    context: AssetExecutionContext,
    settings: Settings,
    progress: Progress,
    title: str,
    recommend: Callable[[duckdb.DuckDBPyConnection, date, Path, RecommendationSettings], pd.DataFrame],
) -> Output[pd.DataFrame]:
    """The rows of each day of the run that is kept."""
    from moovitamix_assets.recommendations.batch import sample_with_titles

    days = days_to_make([date.fromisoformat(key) for key in context.partition_keys], context.run.tags)
    oldest_kept = days[-1] - timedelta(days=settings.recommendations.recommendations_kept_days - 1)
    kept = [day for day in days if day >= oldest_kept]
    frames = []
    with (
        progress.track(title) as on_progress,
        read_warehouse(settings.warehouse_path) as connection,
    ):
        require_loaded(connection, days)
        for done, day in enumerate(kept, start=1):
            frame = recommend(connection, day, settings.models_dir, settings.recommendations)
            figures = _figures(frame) | _state(standing(connection, day))
            context.add_asset_metadata(figures, partition_key=day.isoformat())
            frames.append(frame)
            on_progress(done, len(kept))
        newest = newest_recommended_day(connection)
        sample = sample_with_titles(connection, frames[-1])
    rows = pd.concat(frames, ignore_index=True)
    metadata: dict[str, Any] = {"written_from": days[0].isoformat()}
    if len(sample):
        metadata["sample"] = MetadataValue.md(plots.markdown_table(sample))
    if newest is None or days[-1] >= newest:
        # A past day materialized again stays until the next new day is.
        metadata["kept_partitions"] = settings.recommendations.recommendations_kept_days
    return Output(rows, metadata=metadata)


def _state(versions: Standing) -> dict[str, Any]:
    """Numbers, which the UI plots over partitions, and the exporter reads of the newest one."""
    return {
        "fallback": int(versions.fallback is not None),
        "challengers": int(versions.challenger is not None),
    }


def _published_figures(publication: Publication, name: str, store: Generations) -> dict[str, Any]:
    manifest, served = publication.manifest, publication.arms["champion"]
    return {
        "published": True,
        "generation": name,
        "model_version": manifest.model_version,
        "challenger": manifest.challenger or "none",
        "expires_at": manifest.expires_at,
        "users": manifest.users,
        "tracks": manifest.tracks,
        "users_by_source": MetadataValue.json(served.users_by_source()),
        "recommendations_by_reason": MetadataValue.json(served.recommendations_by_reason()),
        "bytes": sum(file.stat().st_size for file in store.folder(name).iterdir()),
        "generations_kept": MetadataValue.json(store.names()),
        "folder": MetadataValue.path(store.folder(name)),
    }


def _figures(frame: pd.DataFrame) -> dict[str, Any]:
    users = frame.drop_duplicates("user_id")
    return {
        "dagster/partition_row_count": len(frame),
        "users": len(users),
        "tracks_recommended": int(frame["track_id"].nunique()),
        "users_by_source": MetadataValue.json(
            {str(source): int(count) for source, count in users["source"].value_counts().items()}
        ),
        "model_versions": MetadataValue.json(sorted(frame["model_version"].unique())),
    }
