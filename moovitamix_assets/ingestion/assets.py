"""raw_users, raw_tracks, raw_listens: the records of the source API that changed on each day, landed as received.

One pull serves every partition of the run; an implausible source, or a day that has not ended, is refused before
anything is landed. Single records are judged by the warehouse.
See https://docs.dagster.io/guides/build/assets.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pandas as pd
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    MetadataValue,
    Output,
    ResourceParam,
    TableColumn,
    TableSchema,
    asset,
)

from foundation.progress import Progress
from moovitamix_assets.clock import now
from moovitamix_assets.ingestion.appraisal import appraise_pull
from moovitamix_assets.ingestion.client.pull import Pull
from moovitamix_assets.ingestion.client.records import Endpoint
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets.ingestion.plausibility import Judgement, refuse_unless_ended
from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN, day_start, partition_of
from moovitamix_assets.settings import Settings

_LANDED_COLUMNS = TableSchema(
    columns=[
        TableColumn("record", "string", "The record as received: canonical JSON."),
        TableColumn("changed_at", "timestamp", "The greatest readable of created_at and updated_at, UTC."),
        TableColumn("observed_at", "timestamp", "When the pull that returned it began, UTC."),
        TableColumn("run_id", "string", "The run that landed it."),
    ]
)


def _raw_asset(name: str, endpoint: Endpoint, what: str) -> AssetsDefinition:
    @asset(
        name=name,
        description=f"{what} that changed on each day, as `GET /{endpoint}` returned them; append-only Parquet.",
        partitions_def=DAILY,
        backfill_policy=RANGE_IN_ONE_RUN,
        group_name="ingestion",
        kinds={"python", "parquet"},
        owners=["team:data-platform"],
        io_manager_key="landing",
        metadata={"endpoint": endpoint, "dagster/column_schema": _LANDED_COLUMNS},
        check_specs=[
            AssetCheckSpec(
                "source_plausible",
                asset=name,
                blocking=True,
                description="Few records lack a readable time; where most do, nothing is landed at all.",
            ),
            AssetCheckSpec(
                "source_not_regenerated",
                asset=name,
                blocking=True,
                description="Most of the known records still exist; where most are gone, nothing is landed.",
            ),
        ],
    )
    def raw(
        context: AssetExecutionContext,
        source_api: ResourceParam[SourceApi],
        settings: ResourceParam[Settings],
        progress: ResourceParam[Progress],
    ) -> Iterator[Output[pd.DataFrame] | AssetCheckResult]:
        days = [date.fromisoformat(key) for key in context.partition_keys]
        is_first = days[0] == settings.start_date
        refuse_unless_ended(days[-1], now(settings), None, settings)
        with progress.track(f"reading {endpoint}") as on_page:
            pull = source_api.pull(
                endpoint,
                since=None if is_first else day_start(days[0]),
                before=day_start(days[-1] + timedelta(days=1)),
                on_page=on_page,
            )
        # By the source's clock as it was when the pull began.
        asked_at = pull.source_time and pull.source_time - timedelta(seconds=pull.statistics.seconds)
        refuse_unless_ended(days[-1], now(settings), asked_at, settings)
        appraisal = appraise_pull(source_api, pull, days, settings)
        frame = _landed_frame(pull, settings.start_date, context.run_id)
        if pull.undated_left_out:
            context.log.warning(
                f"{pull.undated_left_out} records of {endpoint} have no readable time and belong to the first "
                f"partition: materialize {name} for {settings.start_date} to land them."
            )
        counts = frame["changed_on"].value_counts()
        for day in days:
            records = int(counts.get(pd.Timestamp(day), 0))
            context.add_asset_metadata({"records": records}, partition_key=day.isoformat())
        yield Output(frame, metadata=_pull_metadata(pull))
        yield _check_result("source_plausible", appraisal.dates)
        yield _check_result("source_not_regenerated", appraisal.identities)

    return raw


def _landed_frame(pull: Pull, first_partition: date, run_id: str) -> pd.DataFrame:
    """The records of a pull as landing rows, with the partition of each in `changed_on`."""
    changed = [record.changed_at for record in pull.records]
    frame = pd.DataFrame(
        {
            "record": pd.Series([record.json for record in pull.records], dtype=object),
            "changed_at": pd.Series(changed, dtype="datetime64[us]"),
            "observed_at": pd.Series([pull.observed_at] * len(changed), dtype="datetime64[us]"),
            "run_id": run_id,
            "changed_on": pd.Series(
                [partition_of(moment, first_partition) for moment in changed], dtype="datetime64[s]"
            ),
        }
    )
    frame.attrs = {"run_id": run_id, "read_at": pull.observed_at.isoformat()}
    return frame


def _check_result(name: str, judgement: Judgement) -> AssetCheckResult:
    noticeable = judgement.verdict == "noticeable"
    return AssetCheckResult(
        check_name=name,
        passed=judgement.verdict == "plausible",
        severity=AssetCheckSeverity.WARN if noticeable else AssetCheckSeverity.ERROR,
        description=judgement.finding,
        metadata={"records_checked": judgement.checked, "records_wrong": judgement.wrong},
    )


def _pull_metadata(pull: Pull) -> dict[str, Any]:
    statistics = pull.statistics
    return {
        "run_records": len(pull.records),
        "records_pending": MetadataValue.int(pull.later),
        "records_received": statistics.total,
        "records_earlier": pull.earlier,
        "records_undated_left_out": pull.undated_left_out,
        "pages": statistics.pages,
        "requests": statistics.requests,
        "retries": statistics.retries,
        "retries_by_cause": MetadataValue.json(statistics.retries_by_cause),
        "pulls": statistics.pulls,
        "seconds": statistics.seconds,
        "latency_p50_ms": statistics.latency_p50_ms,
        "latency_p95_ms": statistics.latency_p95_ms,
        "filtered_by_server": statistics.filtered_by_server,
        "source_time": "none" if pull.source_time is None else f"{pull.source_time:%Y-%m-%d %H:%M:%S}",
    }


raw_users = _raw_asset("raw_users", "users", "Users")
raw_tracks = _raw_asset("raw_tracks", "tracks", "Tracks")
raw_listens = _raw_asset("raw_listens", "listen_history", "Listening sessions")
