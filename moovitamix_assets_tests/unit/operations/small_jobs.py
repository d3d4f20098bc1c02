"""Jobs by the project's names that do what a run's tags tell them, so that failures cost no pipeline."""

from collections.abc import Mapping

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetSelection,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    MaterializeResult,
    asset,
    define_asset_job,
    in_process_executor,
)

from moovitamix_assets.operations.logs import console_loggers
from moovitamix_assets.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class SourceGone(RuntimeError):
    """What a step raises here."""


@asset(check_specs=[AssetCheckSpec("nothing_lost", asset="users", blocking=True)])
def users(context: AssetExecutionContext) -> MaterializeResult:
    told = context.run.tags.get("do")
    context.log.info("reading users")
    if told == "raise":
        try:
            raise OSError("connection refused")
        except OSError as error:
            raise SourceGone("Page 2 of users could not be read") from error
    return MaterializeResult(
        check_results=[AssetCheckResult(passed=told != "lose", description="3 records are lost")]
    )


@asset(deps=[users])
def recommendations() -> None:
    pass


def definitions(settings: Settings) -> Definitions:
    jobs = [define_asset_job(name, AssetSelection.all()) for name in ("nightly", "ingest", "train", "other")]
    return Definitions(
        assets=[users, recommendations],
        jobs=jobs,
        executor=in_process_executor,
        loggers=console_loggers(settings),
    )


def run(
    instance: DagsterInstance,
    job: str,
    do: str = "well",
    *,
    settings: Settings | None = None,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, object] | None = QUIET,
) -> ExecuteInProcessResult:
    """A run that succeeds, raises, or loses records before a blocking check."""
    return (
        definitions(settings or Settings())
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance,
            tags={"do": do, **(tags or {})},
            run_config=dict(run_config or {}),
            raise_on_error=False,
        )
    )
