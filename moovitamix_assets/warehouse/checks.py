"""The checks of users, tracks and listens: some block the run, others only warn.

Each asks for a finding on the partitions of the run: one that a blocking check refuses does not count as loaded from
then on. Run on their own, they check every partition loaded, and change nothing.
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

from foundation.warehouse import findings as standard
from foundation.warehouse.findings import Finding
from foundation.warehouse.layout import SourceTable
from foundation.warehouse.loads import stored_days, withdraw_loads
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse import findings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse, write_warehouse
from moovitamix_assets.warehouse.layout import LAYOUT

Ask = Callable[[duckdb.DuckDBPyConnection, SourceTable, list[date], Settings], Finding]


def _nothing_lost(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, days: list[date], settings: Settings
) -> Finding:
    return standard.nothing_lost(connection, source, days, landing_at(settings.landing_dir))


def _rejected_share(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, days: list[date], settings: Settings
) -> Finding:
    return standard.rejected_share(
        connection,
        source,
        days,
        warn_share=settings.warehouse.rejected_warn_share,
        error_share=settings.warehouse.rejected_error_share,
        error_minimum=settings.warehouse.rejected_error_minimum,
    )


_BLOCKING: dict[str, Ask] = {
    "nothing_lost": _nothing_lost,
    "fits_schema": lambda connection, source, days, _: standard.fits_schema(connection, source, days),
    "rejected_share": _rejected_share,
}
_WARNING: dict[str, Ask] = {
    "nulled_fields": lambda connection, source, days, _: standard.nulled_fields(connection, source, days),
    "usual_volume": lambda connection, source, days, settings: standard.usual_volume(
        connection, source, days, settings.start_date
    ),
}
_DATED: dict[str, Ask] = {
    "updated_before_created": lambda connection, source, days, settings: standard.updated_before_created(
        connection,
        source,
        days,
        warn_share=settings.warehouse.updated_before_created_warn_share,
        minimum=settings.warehouse.unusual_minimum,
    )
}
_WARNING_OF: dict[str, dict[str, Ask]] = {
    "users": {
        **_WARNING,
        **_DATED,
        "repeated_emails": lambda connection, _, days, settings: findings.repeated_emails(
            connection,
            days,
            warn_share=settings.warehouse.repeated_emails_warn_share,
            minimum=settings.warehouse.unusual_minimum,
        ),
    },
    "tracks": {**_WARNING, **_DATED},
    "listens": {
        **_WARNING,
        "orphan_listens": lambda connection, _, days, settings: findings.orphan_listens(
            connection,
            days,
            warn_share=settings.warehouse.orphan_listens_warn_share,
            minimum=settings.warehouse.unusual_minimum,
        ),
    },
}


def _checks_of(table: str) -> AssetChecksDefinition:
    source = LAYOUT.sources[table]
    asks = {**_BLOCKING, **_WARNING_OF[table]}

    @multi_asset_check(
        name=f"{table}_checks",
        specs=[
            AssetCheckSpec(name, asset=table, blocking=name in _BLOCKING, description=_description(name))
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
            days = of_run or stored_days(connection, source)
            found = {
                name: ask(connection, source, days, settings) for name, ask in asks.items() if name in chosen
            }
        for name, finding in found.items():
            yield _result(table, name, finding)
        refused = {day for name in _BLOCKING.keys() & found.keys() for day in _refused(found[name])}
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


def _description(name: str) -> str:
    document = (getattr(standard, name, None) or getattr(findings, name)).__doc__ or ""
    return document.splitlines()[0]


users_checks, tracks_checks, listens_checks = map(_checks_of, ("users", "tracks", "listens"))
