"""Assembly only: every asset, check, job and resource, put together from the settings.

Tests, the command line and production get their Definitions from `build_definitions`. Nothing is computed here.
See https://docs.dagster.io/api/dagster/definitions.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    AssetsDefinition,
    Definitions,
    InitResourceContext,
    ResourceDefinition,
    apply_freshness_policy,
    load_asset_checks_from_modules,
    load_assets_from_modules,
    map_asset_specs,
)

from foundation.operations.logs import console_loggers
from foundation.operations.run_ends import prompt_in_process_executor
from foundation.progress import NoProgress
from moovitamix_assets.automation.jobs import DECIDE_JOB, JOBS, ROLLBACK_JOB
from moovitamix_assets.automation.schedules import build_nightly_schedule
from moovitamix_assets.automation.sensors import build_sensors
from moovitamix_assets.ingestion import assets as ingestion_assets
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets.ingestion.landing import LandingIOManager
from moovitamix_assets.monitoring import assets as monitoring_assets
from moovitamix_assets.monitoring import checks as monitoring_checks
from moovitamix_assets.operations import checks as operations_checks
from moovitamix_assets.operations.freshness import WATCHED, freshness_policy
from moovitamix_assets.partitions import DAILY
from moovitamix_assets.recommendations import assets as recommendation_assets
from moovitamix_assets.recommendations import checks as recommendation_checks
from moovitamix_assets.settings import Settings
from moovitamix_assets.training import assets as training_assets
from moovitamix_assets.training import checks as training_checks
from moovitamix_assets.warehouse import assets as warehouse_assets
from moovitamix_assets.warehouse import checks as warehouse_checks
from moovitamix_assets.warehouse.io_manager import WarehouseIOManager


def build_definitions(settings: Settings, resources: Mapping[str, Any] | None = None) -> Definitions:
    """All definitions, wired for one deployment.

    Args:
        settings: The deployment's settings; its start date must be the one the process was started with.
        resources: Resources to use instead of the usual ones, by name.

    Raises:
        ValueError: If the settings start on another day than the partitions do.
    """
    if settings.start_date != DAILY.start.date():
        raise ValueError(
            f"The partitions start on {DAILY.start.date()}, the settings on {settings.start_date}: "
            "set MOOVITAMIX_START_DATE before the process starts."
        )
    policy = freshness_policy(settings)
    return Definitions(
        assets=map_asset_specs(
            lambda spec: apply_freshness_policy(spec, policy) if spec.key.path[-1] in WATCHED else spec,
            _assets(),
        ),
        asset_checks=load_asset_checks_from_modules(
            [warehouse_checks, training_checks, recommendation_checks, monitoring_checks, operations_checks]
        ),
        jobs=[*JOBS, DECIDE_JOB, ROLLBACK_JOB],
        schedules=[build_nightly_schedule(settings)],
        sensors=build_sensors(settings),
        executor=prompt_in_process_executor,
        loggers=console_loggers(settings.operations.log_format),
        resources={
            "settings": _settings(settings),
            "progress": _progress(),
            "source_api": _source_api(settings),
            "landing": LandingIOManager(
                data_dir=str(settings.data_dir), start_date=settings.start_date.isoformat()
            ),
            "warehouse": WarehouseIOManager(database=str(settings.warehouse_path)),
            **(resources or {}),
        },
    )


def _assets() -> list[AssetsDefinition]:
    modules = [
        ingestion_assets, warehouse_assets, training_assets, recommendation_assets, monitoring_assets,
    ]  # fmt: skip
    return [each for each in load_assets_from_modules(modules) if isinstance(each, AssetsDefinition)]


# The UI shows the name of a resource's function as its type.


def _settings(settings: Settings) -> ResourceDefinition:
    def deployment_settings(context: InitResourceContext) -> Settings:
        return settings

    return ResourceDefinition(
        resource_fn=deployment_settings,
        description="Every setting of the deployment, read from environment variables; see docs/settings.md.",
    )


def _progress() -> ResourceDefinition:
    def no_progress(context: InitResourceContext) -> NoProgress:
        return NoProgress()

    return ResourceDefinition(
        resource_fn=no_progress,
        description="Where steps report their progress: nowhere in Dagster, the terminal in `moovitamix run`.",
    )


def _source_api(settings: Settings) -> ResourceDefinition:
    def open_source_api(context: InitResourceContext) -> Iterator[SourceApi]:
        with SourceApi.from_settings(settings) as source_api:
            yield source_api

    return ResourceDefinition(
        resource_fn=open_source_api,
        description="The client of the source API at MOOVITAMIX_API_URL: pages, retries, deadlines.",
    )


defs = build_definitions(Settings())
