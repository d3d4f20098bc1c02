"""A job with a raw asset and checks, one that waits, and what a scrape tells of their runs.

No assertion belongs here.
"""

import time
from pathlib import Path

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DailyPartitionsDefinition,
    Definitions,
    JobDefinition,
    Output,
    asset,
    define_asset_job,
    in_process_executor,
    job,
    op,
)
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from moovitamix_assets.operations.health.exporter import HealthCollector, Watched

DAILY = DailyPartitionsDefinition("2026-09-01")
SECRET = "jane.doe@example.org"
PULL = {
    "requests": 40,
    "retries": 3,
    "retries_by_cause": {"status_503": 2, "timeout": 1},
    "latency_p50_ms": 12.5,
    "latency_p95_ms": 80.0,
}


@asset(
    partitions_def=DAILY,
    check_specs=[
        AssetCheckSpec("strict", asset="raw_users", blocking=True),
        AssetCheckSpec("lenient", asset="raw_users"),
    ],
)
def raw_users(context):
    """Brings something, unless the source is tagged as broken."""
    if "broken" in context.run_tags:
        raise RuntimeError(SECRET)
    records = {} if "empty" in context.run_tags else {"records": 7}
    yield Output(None, metadata={**PULL, **records, "sample": SECRET})
    yield AssetCheckResult(check_name="strict", passed="strict" not in context.run_tags)
    yield AssetCheckResult(check_name="lenient", passed=False, severity=AssetCheckSeverity.WARN)


@op
def wait(context):
    for number in range(200):
        context.log.debug(f"line {number}")
    time.sleep(600)


@job(executor_def=in_process_executor)
def waiting():
    wait()


DEFINITIONS = Definitions(
    assets=[raw_users],
    jobs=[define_asset_job("nightly", selection=[raw_users]), waiting],
    executor=in_process_executor,
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_nightly(instance: DagsterInstance, day: str = "2026-09-03", *words: str, **tags: str):
    return DEFINITIONS.resolve_job_def("nightly").execute_in_process(
        instance=instance,
        partition_key=day,
        tags=dict.fromkeys(words, "yes") | tags,
        run_config=QUIET,
        raise_on_error=False,
    )


def queue(instance: DagsterInstance, queued: JobDefinition) -> DagsterRun:
    location = RegisteredCodeLocationOrigin("location")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "repository"), queued.name)
    return instance.create_run_for_job(queued, status=DagsterRunStatus.QUEUED, remote_job_origin=origin)


def collector(instance: DagsterInstance, cache_seconds: float = 0.0, **places: Path) -> HealthCollector:
    return HealthCollector(instance, Watched.all_of(DEFINITIONS, places), cache_seconds)


def scraped(source: HealthCollector) -> dict[tuple[str, ...], float]:
    """Samples by name, without the prefix, and values of labels."""
    return {
        (sample.name.removeprefix("moovitamix_"), *sample.labels.values()): sample.value
        for family in source.collect()
        for sample in family.samples
    }
