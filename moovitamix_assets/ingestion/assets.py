"""raw_users, raw_tracks, raw_listens: what the source API says changed on each day, landed as received.

One pull serves every partition of the run. Asking and landing only: what a record is worth is the warehouse's affair.
See https://docs.dagster.io/guides/build/assets.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
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

from moovitamix_assets.ingestion.landing import newest_identities
from moovitamix_assets.ingestion.records import Endpoint
from moovitamix_assets.ingestion.source_api import Pull, SourceApi
from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN, day_start, partition_of
from moovitamix_assets.progress import Progress
from moovitamix_assets.settings import Settings

# A source that was made anew keeps hardly any id; one that deletes records keeps most.
_REGENERATED_SHARE = 0.5
_KNOWN_SAMPLE = 1000

_LANDED_COLUMNS = TableSchema(
    columns=[
        TableColumn("record", "string", "The record as received: canonical JSON."),
        TableColumn("changed_at", "timestamp", "The greatest readable of created_at and updated_at, UTC."),
        TableColumn("observed_at", "timestamp", "When the pull that brought it began, UTC."),
        TableColumn("run_id", "string", "The run that landed it."),
    ]
)


def _raw_asset(name: str, endpoint: Endpoint, what: str) -> AssetsDefinition:
    @asset(
        name=name,
        description=f"{what} that changed on each day, as `GET /{endpoint}` gave them; append-only Parquet.",
        partitions_def=DAILY,
        backfill_policy=RANGE_IN_ONE_RUN,
        group_name="ingestion",
        kinds={"python", "parquet"},
        owners=["team:data-platform"],
        io_manager_key="landing",
        metadata={"endpoint": endpoint, "dagster/column_schema": _LANDED_COLUMNS},
        check_specs=[
            AssetCheckSpec(
                "source_not_regenerated",
                asset=name,
                description="After a full pull: most of the records known before are still there.",
            )
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
        with progress.track(f"reading {endpoint}") as on_page:
            pull = source_api.pull(
                endpoint,
                since=None if is_first else day_start(days[0]),
                before=day_start(days[-1] + timedelta(days=1)),
                on_page=on_page,
            )
        frame = _landed_frame(pull, settings.start_date, context.run_id)
        known, vanished = _known_and_vanished(pull, settings.landing_dir)
        if pull.undated_left_out:
            context.log.warning(
                f"{pull.undated_left_out} records of {endpoint} have no readable time and belong to the first "
                f"partition: materialize {name} for {settings.start_date} to land them."
            )
        for day, records in frame["changed_on"].value_counts().items():
            context.add_asset_metadata({"records": int(records)}, partition_key=f"{day:%Y-%m-%d}")
        yield Output(frame, metadata=_pull_metadata(pull))
        yield AssetCheckResult(
            check_name="source_not_regenerated",
            passed=not known or vanished / known < _REGENERATED_SHARE,
            severity=AssetCheckSeverity.WARN,
            description=(
                f"{vanished} of {known} known records are gone."
                if known
                else "Nothing to compare: a first load, or the source sent only what changed in the window."
            ),
            metadata={"known_records_looked_for": known, "vanished": vanished},
        )

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


def _known_and_vanished(pull: Pull, landing_dir: Path) -> tuple[int, int]:
    """The size of a sample of known records, and how many of them a full pull did not bring.

    None are looked for where the server sent a part only.
    """
    if pull.statistics.filtered_by_server or pull.identities is None:
        return 0, 0
    known = newest_identities(landing_dir, pull.endpoint, _KNOWN_SAMPLE)
    return len(known), len(known - pull.identities)


def _pull_metadata(pull: Pull) -> dict[str, Any]:
    statistics = pull.statistics
    return {
        "records_in_run": len(pull.records),
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
    }


raw_users = _raw_asset("raw_users", "users", "People")
raw_tracks = _raw_asset("raw_tracks", "tracks", "Tracks")
raw_listens = _raw_asset("raw_listens", "listen_history", "Listening sessions")
