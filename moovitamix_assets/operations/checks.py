"""The checks of freshness: is yesterday there, and does the source still report new listens?

They check the newest day that is due, whatever the partitions of a run. The sensor `freshness` evaluates them
automatically; here they can be run by hand. See https://docs.dagster.io/guides/test/asset-checks.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    DagsterInstance,
    ResourceParam,
    multi_asset_check,
)

from moovitamix_assets.clock import now
from moovitamix_assets.operations.freshness import (
    FRESHNESS_CHECK,
    NEWEST_LISTEN_CHECK,
    WATCHED,
    Freshness,
    expected_day,
    has_just_begun,
    made_in_time,
    newest_listen,
)
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse


def check_freshness(
    instance: DagsterInstance, settings: Settings, moment: datetime
) -> dict[tuple[str, str], Freshness]:
    """Evaluate every check, by asset and name.

    Args:
        instance: Its event log knows which partitions were materialized, empty ones included.
        settings: When days are due.
        moment: Now, naive UTC.

    Raises:
        WarehouseMissing: If nothing was ever loaded.
        WarehouseLocked: If a run is writing.
    """
    expected = expected_day(moment, settings)
    with read_warehouse(settings.warehouse_path) as connection:
        just_begun = has_just_begun(connection, settings)
        listened = newest_listen(connection, expected, settings)
    found = {
        (asset, FRESHNESS_CHECK): made_in_time(
            instance.get_materialized_partitions(AssetKey(asset)), expected, just_begun
        )
        for asset in WATCHED
    }
    return found | {("listens", NEWEST_LISTEN_CHECK): listened}


def freshness_evaluations(found: Mapping[tuple[str, str], Freshness]) -> Iterator[AssetCheckEvaluation]:
    """The events that record what the checks found, for a sensor."""
    for (asset, name), freshness in found.items():
        yield AssetCheckEvaluation(
            asset_key=AssetKey(asset),
            check_name=name,
            passed=freshness.fresh,
            severity=AssetCheckSeverity.ERROR,
            description=freshness.finding,
            metadata={"expected": freshness.expected, "newest": freshness.newest},
        )


@multi_asset_check(
    specs=[
        *(
            AssetCheckSpec(
                FRESHNESS_CHECK,
                asset=asset,
                description="The partition of the day that ended is there; one of an older day does not count.",
            )
            for asset in WATCHED
        ),
        AssetCheckSpec(
            NEWEST_LISTEN_CHECK,
            asset="listens",
            description="The newest listen is recent: a source that stands still is noticed although runs are green.",
        ),
    ],
    can_subset=True,
    pool=WAREHOUSE_POOL,
)
def freshness_checks(
    context: AssetCheckExecutionContext, settings: ResourceParam[Settings]
) -> Iterator[AssetCheckResult]:
    """Check the day that is due by the clock."""
    chosen = {(key.asset_key.path[-1], key.name) for key in context.selected_asset_check_keys}
    for (asset, name), found in check_freshness(context.instance, settings, now(settings)).items():
        if (asset, name) in chosen:
            yield AssetCheckResult(
                asset_key=asset,
                check_name=name,
                passed=found.fresh,
                description=found.finding,
                metadata={"expected": found.expected, "newest": found.newest},
            )
