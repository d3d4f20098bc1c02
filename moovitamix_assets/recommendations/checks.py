"""The checks of recommendations: what must hold before they are shown, and what only warns.

See https://docs.dagster.io/guides/test/asset-checks.
"""

from collections.abc import Iterator
from datetime import date

import duckdb
import pandas as pd
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    ResourceParam,
    multi_asset_check,
)

from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets.setting_groups import RecommendationSettings
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.as_of import interactions_as_of, tracks_as_of, users_as_of
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day


@multi_asset_check(
    specs=[
        AssetCheckSpec(
            "everyone_served",
            asset="recommendations",
            blocking=True,
            description="Each known user has their full number of distinct, known tracks, none played before.",
        ),
        AssetCheckSpec(
            "made_by_a_model",
            asset="recommendations",
            description="A model serves; without a champion, and during a fallback, all users get popular tracks.",
        ),
    ],
    can_subset=True,
    pool=WAREHOUSE_POOL,
)
def recommendations_checks(
    context: AssetCheckExecutionContext, settings: ResourceParam[Settings]
) -> Iterator[AssetCheckResult]:
    """Check the newest day of the run, or of the table."""
    chosen = {key.name for key in context.selected_asset_check_keys}
    with read_warehouse(settings.warehouse_path) as connection:
        day = (partitions_of_run(context.run.tags) or [_newest_day(connection)])[-1]
        recommended = connection.execute("SELECT * FROM recommendations WHERE generated_for = ?", [day]).df()
        if "everyone_served" in chosen:
            faults = _faults(connection, day, recommended, settings.recommendations)
            yield AssetCheckResult(
                check_name="everyone_served",
                asset_key="recommendations",
                passed=not any(faults.values()),
                description=f"As of {day}: " + ", ".join(f"{name} {count}" for name, count in faults.items()),
                metadata=faults,
            )
    if "made_by_a_model" in chosen:
        users = int(recommended["user_id"].nunique())
        by_model = int(recommended[recommended["source"] == "model"]["user_id"].nunique())
        yield AssetCheckResult(
            check_name="made_by_a_model",
            asset_key="recommendations",
            passed=by_model > 0,
            severity=AssetCheckSeverity.WARN,
            description=f"As of {day}: {by_model} of {users} users have recommendations of the model.",
            metadata={"by_model": by_model, "users": users},
        )


def _newest_day(connection: duckdb.DuckDBPyConnection) -> date:
    day = newest_recommended_day(connection)
    if day is None:
        raise ValueError("There are no recommendations to check yet: materialize recommendations first.")
    return day


def _faults(
    connection: duckdb.DuckDBPyConnection,
    day: date,
    recommended: pd.DataFrame,
    settings: RecommendationSettings,
) -> dict[str, int]:
    """The number of users or rows that break each promise."""
    users = users_as_of(connection, day)
    tracks = tracks_as_of(connection, day)
    seen = interactions_as_of(connection, day, {})
    if settings.recommend_heard_tracks:
        seen = seen.iloc[:0]
    lengths = recommended.groupby("user_id").size().reindex(users["user_id"], fill_value=0)
    left = len(tracks) - seen.groupby("user_id").size().reindex(users["user_id"], fill_value=0)
    user_tracks = recommended[["user_id", "track_id"]]
    return {
        "incomplete": int((lengths < left.clip(upper=settings.recommendations_per_user)).sum()),
        "repeated": int(user_tracks.duplicated().sum()),
        "unknown_users": int((~user_tracks["user_id"].isin(users["user_id"])).sum()),
        "unknown_tracks": int((~user_tracks["track_id"].isin(tracks["track_id"])).sum()),
        "seen_before": len(user_tracks.merge(seen, on=["user_id", "track_id"])),
        "scores_not_numbers": int(recommended["score"].isna().sum()),
    }
