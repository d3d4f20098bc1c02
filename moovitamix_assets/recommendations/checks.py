"""The checks of recommendations: what must hold before a list may be shown, and what is worth a warning.

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
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.as_of import interactions_as_of, tracks_as_of, users_as_of
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse


@multi_asset_check(
    specs=[
        AssetCheckSpec(
            "everyone_served",
            asset="recommendations",
            blocking=True,
            description="Each person known has a full list of distinct, known tracks, none heard before.",
        ),
        AssetCheckSpec(
            "made_by_a_model",
            asset="recommendations",
            description="A version is in force; otherwise everyone gets popular tracks.",
        ),
    ],
    can_subset=True,
    pool=WAREHOUSE_POOL,
)
def recommendations_checks(
    context: AssetCheckExecutionContext, settings: ResourceParam[Settings]
) -> Iterator[AssetCheckResult]:
    """Look at the newest day of the run, or of the table."""
    chosen = {key.name for key in context.selected_asset_check_keys}
    with read_warehouse(settings.warehouse_path) as connection:
        day = (partitions_of_run(context.run.tags) or [_newest_day(connection)])[-1]
        lists = connection.execute("SELECT * FROM recommendations WHERE generated_for = ?", [day]).df()
        if "everyone_served" in chosen:
            faults = _faults(connection, day, lists, settings)
            yield AssetCheckResult(
                check_name="everyone_served",
                asset_key="recommendations",
                passed=not any(faults.values()),
                description=f"As of {day}: " + ", ".join(f"{name} {count}" for name, count in faults.items()),
                metadata=faults,
            )
    if "made_by_a_model" in chosen:
        by_model = int(lists[lists["source"] == "model"]["user_id"].nunique())
        yield AssetCheckResult(
            check_name="made_by_a_model",
            asset_key="recommendations",
            passed=by_model > 0,
            severity=AssetCheckSeverity.WARN,
            description=f"As of {day}: {by_model} of {lists['user_id'].nunique()} people have the model's lists.",
            metadata={"by_model": by_model, "people": int(lists["user_id"].nunique())},
        )


def _newest_day(connection: duckdb.DuckDBPyConnection) -> date:
    row = connection.execute("SELECT max(generated_for) FROM recommendations").fetchone()
    if row is None or row[0] is None:
        raise ValueError("There are no recommendations to check yet: materialize recommendations first.")
    day: date = row[0]
    return day


def _faults(
    connection: duckdb.DuckDBPyConnection, day: date, lists: pd.DataFrame, settings: Settings
) -> dict[str, int]:
    """How many people or rows break each promise."""
    users = users_as_of(connection, day)
    tracks = tracks_as_of(connection, day)
    heard = interactions_as_of(connection, day, {})
    pairs = lists[["user_id", "track_id"]]
    lengths = lists.groupby("user_id").size().reindex(users["user_id"], fill_value=0)
    left = len(tracks) - heard.groupby("user_id").size().reindex(users["user_id"], fill_value=0)
    if settings.recommendations.recommend_heard_tracks:
        left, heard = left * 0 + len(tracks), heard.iloc[:0]
    return {
        "short_lists": int(
            (lengths < left.clip(upper=settings.recommendations.recommendations_per_user)).sum()
        ),
        "repeated": int(pairs.duplicated().sum()),
        "unknown_people": int((~pairs["user_id"].isin(users["user_id"])).sum()),
        "unknown_tracks": int((~pairs["track_id"].isin(tracks["track_id"])).sum()),
        "heard_before": len(pairs.merge(heard, on=["user_id", "track_id"])),
        "scores_not_numbers": int(lists["score"].isna().sum()),
    }
