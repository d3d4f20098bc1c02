"""The checks of users, tracks and listens: what blocks the run, and what only warns.

Each asks `findings.py` about the partitions of the run: one that a blocking check refuses does not count as loaded
from then on. Run by themselves, they look at every partition loaded, and change nothing.
See https://docs.dagster.io/guides/test/asset-checks.
"""

from collections.abc import Callable, Iterator
from datetime import date

import duckdb
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    ResourceParam,
    multi_asset_check,
)

from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse import findings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse, write_warehouse
from moovitamix_assets.warehouse.findings import Finding
from moovitamix_assets.warehouse.loads import withdraw_loads

Ask = Callable[[duckdb.DuckDBPyConnection, str, list[date], Settings], Finding]

_BLOCKING: dict[str, Ask] = {
    "nothing_lost": lambda connection, table, days, settings: findings.nothing_lost(
        connection, table, days, landing_at(settings.landing_dir)
    ),
    "fits_schema": lambda connection, table, days, _: findings.fits_schema(connection, table, days),
    "rejected_share": lambda connection, table, days, settings: findings.rejected_share(
        connection,
        table,
        days,
        warn_share=settings.warehouse.rejected_warn_share,
        error_share=settings.warehouse.rejected_error_share,
        error_minimum=settings.warehouse.rejected_error_minimum,
    ),
}
_WARNING: dict[str, Ask] = {
    "nulled_fields": lambda connection, table, days, _: findings.nulled_fields(connection, table, days),
    "usual_volume": lambda connection, table, days, settings: findings.usual_volume(
        connection, table, days, settings.start_date
    ),
}
_DATED: dict[str, Ask] = {
    "updated_before_created": lambda connection, table, days, _: findings.updated_before_created(
        connection, table, days
    )
}
_WARNING_OF: dict[str, dict[str, Ask]] = {
    "users": {
        **_WARNING,
        **_DATED,
        "repeated_emails": lambda connection, _, days, __: findings.repeated_emails(connection, days),
    },
    "tracks": {**_WARNING, **_DATED},
    "listens": {
        **_WARNING,
        "orphan_listens": lambda connection, _, days, __: findings.orphan_listens(connection, days),
    },
}


def _checks_of(table: str) -> AssetChecksDefinition:
    asks = {**_BLOCKING, **_WARNING_OF[table]}

    @multi_asset_check(
        name=f"{table}_checks",
        specs=[
            AssetCheckSpec(
                name, asset=table, blocking=name in _BLOCKING, description=_description(table, name)
            )
            for name in asks
        ],
        can_subset=True,
        pool=WAREHOUSE_POOL,
    )
    def table_checks(
        context: AssetCheckExecutionContext, settings: ResourceParam[Settings]
    ) -> Iterator[AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        with read_warehouse(settings.warehouse_path) as connection:
            of_run = partitions_of_run(context.run.tags)
            days = of_run or findings.loaded_days(connection, table)
            told = {
                name: ask(connection, table, days, settings) for name, ask in asks.items() if name in chosen
            }
        for name, finding in told.items():
            yield _result(table, name, finding)
        refused = {day for name in _BLOCKING.keys() & told.keys() for day in _refused(told[name])}
        if of_run and refused:
            with write_warehouse(settings.warehouse_path) as connection:
                withdraw_loads(connection, table, sorted(refused))

    return table_checks


def _refused(finding: Finding) -> tuple[date, ...]:
    return () if finding.passed or finding.severity != "error" else finding.refused


def _result(table: str, name: str, finding: Finding) -> AssetCheckResult:
    severity = AssetCheckSeverity.ERROR if finding.severity == "error" else AssetCheckSeverity.WARN
    return AssetCheckResult(
        asset_key=table,
        check_name=name,
        passed=finding.passed,
        severity=severity,
        description=finding.description,
        metadata={
            name: MetadataValue.json(value) if isinstance(value, dict | list) else value
            for name, value in finding.figures.items()
        },
    )


def _description(table: str, name: str) -> str:
    document = getattr(findings, name).__doc__ or ""
    return f"{table}: {document.splitlines()[0]}"


users_checks, tracks_checks, listens_checks = map(_checks_of, ("users", "tracks", "listens"))
