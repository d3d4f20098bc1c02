"""Small jobs that do what a run's tags say, so that testing failures needs no pipeline."""

from collections.abc import Mapping
from typing import Literal

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

from foundation.operations.logs import console_loggers

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


def definitions(log_format: Literal["text", "json"]) -> Definitions:
    jobs = [
        define_asset_job(name, AssetSelection.all())
        for name in ("nightly", "ingest", "train", "rollback", "decide", "other")
    ]
    return Definitions(
        assets=[users, recommendations],
        jobs=jobs,
        executor=in_process_executor,
        loggers=console_loggers(log_format),
    )


def run(
    instance: DagsterInstance,
    job: str,
    do: str = "well",
    *,
    log_format: Literal["text", "json"] = "text",
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, object] | None = QUIET,
) -> ExecuteInProcessResult:
    """A run that succeeds, raises, or loses records before a blocking check."""
    return (
        definitions(log_format)
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance,
            tags={"do": do, **(tags or {})},
            run_config=dict(run_config or {}),
            raise_on_error=False,
        )
    )
