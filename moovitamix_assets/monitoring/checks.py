"""The checks of monitoring: whether yesterday's recommendations beat popular tracks, and whether the day drifted.

They colour the asset page and the catalogue; none blocks, and what follows is decided in `automation/`.
See https://docs.dagster.io/guides/test/asset-checks.
"""

from datetime import date

import duckdb
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    ResourceParam,
    asset_check,
)

from foundation.models.decisions import POPULARITY
from foundation.warehouse.rows import first_row
from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets.setting_groups import MonitoringSettings
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse


@asset_check(
    asset="recommendation_quality",
    description="The champion's recommendations reach quality_minimum_ratio times popularity's NDCG@10.",
    pool=WAREHOUSE_POOL,
)
def better_than_popularity(
    context: AssetCheckExecutionContext, settings: ResourceParam[Settings]
) -> AssetCheckResult:
    """Check the newest day of the run, or of the table."""
    with read_warehouse(settings.warehouse_path) as connection:
        day = _day(connection, context, "recommendation_quality")
        return judge_quality(connection, day, settings.monitoring)


@asset_check(
    asset="drift",
    description="No feature of the day is further from the champion's training data than drift_threshold.",
    pool=WAREHOUSE_POOL,
)
def no_drift(context: AssetCheckExecutionContext, settings: ResourceParam[Settings]) -> AssetCheckResult:
    """Check the newest day of the run, or of the table."""
    with read_warehouse(settings.warehouse_path) as connection:
        return judge_drift(connection, _day(connection, context, "drift"))


def judge_quality(
    connection: duckdb.DuckDBPyConnection, day: date | None, settings: MonitoringSettings
) -> AssetCheckResult:
    """Compare the recommendations of a day with what popular tracks would have earned; a warning if they lose.

    A day passes without a verdict where only popular tracks were recommended or too few users were measured. Versions
    in shadow are not judged here.
    """
    # During a fallback the champion is in shadow.
    served = first_row(
        connection,
        """SELECT role, model_version, users, ndcg_at_10, popularity_ndcg_at_10 FROM recommendation_quality
           WHERE day = ? AND segment = 'all' AND coalesce(role, 'champion') <> 'challenger'
           ORDER BY role = 'fallback' DESC NULLS LAST, model_version = 'popularity', users DESC LIMIT 1""",
        [day],
    )
    if served is None or (served[0] != "fallback" and served[1] == POPULARITY):
        return _passed("Nothing to judge: no recommendations of a model were measured.")
    role, version, users, quality, popularity = served
    if role == "fallback":
        return _passed(f"{day}: popular tracks served all {users} users measured.", day=str(day), users=users)
    figures = {"day": str(day), "users": users, "ndcg_at_10": quality, "popularity_ndcg_at_10": popularity}
    if users < settings.quality_minimum_users:
        return _passed(
            f"{day}: {users} users measured, fewer than {settings.quality_minimum_users}.", **figures
        )
    return AssetCheckResult(
        passed=quality >= settings.quality_minimum_ratio * popularity,
        severity=AssetCheckSeverity.WARN,
        description=f"{day}: NDCG@10 {quality:.4f} by {version} against {popularity:.4f} of popular tracks, "
        f"over {users} users; at least {settings.quality_minimum_ratio:g} times that is expected.",
        metadata={"model_version": version, **figures},
    )


def judge_drift(connection: duckdb.DuckDBPyConnection, day: date | None) -> AssetCheckResult:
    """Name the features that drifted on a day; a warning if there are any, passed where drift was not computed."""
    rows = connection.execute(
        "SELECT feature, statistic, value, threshold, drifted FROM drift WHERE day = ? ORDER BY feature",
        [day],
    ).fetchall()
    if not rows:
        return _passed("Nothing to judge: there is no champion to compare with, or drift was not computed.")
    drifted = [
        f"{feature} ({statistic} {value:.3f}, threshold {threshold:.3f})"
        for feature, statistic, value, threshold, is_drifted in rows
        if is_drifted
    ]
    return AssetCheckResult(
        passed=not drifted,
        severity=AssetCheckSeverity.WARN,
        description=f"{day}: {', '.join(drifted) or 'no feature'} drifted, of {len(rows)} compared.",
        metadata={"day": str(day), "features_drifted": len(drifted), "features": len(rows)},
    )


def _passed(description: str, **figures: str | float) -> AssetCheckResult:
    return AssetCheckResult(
        passed=True, severity=AssetCheckSeverity.WARN, description=description, metadata=figures
    )


def _day(
    connection: duckdb.DuckDBPyConnection, context: AssetCheckExecutionContext, table: str
) -> date | None:
    """The newest partition of the run, else of the table; None while that is empty."""
    days = partitions_of_run(context.run.tags)
    if days:
        return days[-1]
    row = first_row(connection, f"SELECT max(day) FROM {table}")
    return row[0] if row else None
