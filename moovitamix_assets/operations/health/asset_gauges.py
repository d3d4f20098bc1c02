"""Gauges of assets and their checks: newest partition, metadata of the newest materialization, failed checks.

Read from Dagster's event log, the newest events of each asset only. The warehouse is never opened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import AssetCheckKey, AssetKey, DagsterInstance, EventLogEntry

from foundation.dagster_internals import AssetCheckExecutionRecordStatus
from moovitamix_assets.operations.health.gauges import Gauges

_PLANNED = AssetCheckExecutionRecordStatus.PLANNED
_RECOMMENDATIONS = "recommendations"
# The most exact first; the last counts the whole run, where its partitions are not counted.
_ROWS = ("dagster/partition_row_count", "records", "run_rows_written")


@dataclass(frozen=True)
class _Known:
    """The values that are read once per materialization."""

    storage_id: int
    newest_partition_end: float | None
    step_seconds: float | None


@dataclass
class AssetReader:
    """Reads assets; what cannot have changed since the last scrape is not read again."""

    _known: dict[AssetKey, _Known] = field(default_factory=dict)

    def read(self, gauges: Gauges, instance: DagsterInstance, assets: Sequence[AssetKey]) -> None:
        """Add what is known of the assets that were ever materialized."""
        for entry in (record.asset_entry for record in instance.get_asset_records(assets)):
            if entry.last_materialization and entry.last_materialization_storage_id is not None:
                known = self._known_of(
                    instance,
                    entry.asset_key,
                    entry.last_materialization,
                    entry.last_materialization_storage_id,
                )
                _read_one(gauges, entry.asset_key, entry.last_materialization, known)

    def _known_of(
        self, instance: DagsterInstance, key: AssetKey, event: EventLogEntry, storage_id: int
    ) -> _Known:
        known = self._known.get(key)
        # A step that has not ended is read again: its duration is known at its end.
        if known is None or known.storage_id != storage_id or known.step_seconds is None:
            known = self._known[key] = _Known(
                storage_id, _newest_partition_end(instance, key), _step_seconds(instance, event)
            )
        return known


def _read_one(gauges: Gauges, key: AssetKey, event: EventLogEntry, known: _Known) -> None:
    asset = key.to_user_string()
    gauges.add("asset_materialized_timestamp_seconds", event.timestamp, asset)
    gauges.add("asset_newest_partition_end_timestamp_seconds", known.newest_partition_end, asset)
    gauges.add("asset_step_seconds", known.step_seconds, asset)
    metadata = _values(event)
    gauges.add("asset_rows", _rows(metadata), asset)
    if asset.startswith("raw_") and "requests" in metadata:
        _read_source(gauges, asset.removeprefix("raw_"), metadata, event.timestamp)
    if asset == _RECOMMENDATIONS:
        gauges.add("fallback", _number(metadata, "fallback"))
        gauges.add("challenger_in_shadow", _number(metadata, "challengers"))


def _newest_partition_end(instance: DagsterInstance, key: AssetKey) -> float | None:
    """The end of the newest day materialized (Unix time), however long ago; None without partitions.

    Days that have not ended, from a clock that was ahead, would hide for weeks that nothing is materialized.
    """
    today = datetime.now(UTC).date().isoformat()
    newest = max((day for day in instance.get_materialized_partitions(key) if day < today), default=None)
    if newest is None:
        return None
    return (datetime.fromisoformat(newest).replace(tzinfo=UTC) + timedelta(days=1)).timestamp()


def _step_seconds(instance: DagsterInstance, event: EventLogEntry) -> float | None:
    if event.step_key is None:
        return None
    for step in instance.get_run_step_stats(event.run_id, [event.step_key]):
        if step.start_time is not None and step.end_time is not None:
            return step.end_time - step.start_time
    return None


def _values(event: EventLogEntry) -> Mapping[str, Any]:
    materialization = event.asset_materialization
    return {name: entry.value for name, entry in materialization.metadata.items()} if materialization else {}


def _number(metadata: Mapping[str, Any], name: str, scale: float = 1.0) -> float | None:
    """A number in the metadata; None if it is missing or, written by another version, not a number."""
    value = metadata.get(name)
    return value * scale if isinstance(value, int | float) else None


def _rows(metadata: Mapping[str, Any]) -> float | None:
    for name in _ROWS:
        if name in metadata:
            return _number(metadata, name)
    # The metadata of a pull list only partitions with new records.
    return 0 if "requests" in metadata else None


def _read_source(gauges: Gauges, endpoint: str, metadata: Mapping[str, Any], read_at: float) -> None:
    gauges.add("source_read_timestamp_seconds", read_at, endpoint)
    gauges.add("source_latency_p50_seconds", _number(metadata, "latency_p50_ms", 1e-3), endpoint)
    gauges.add("source_latency_p95_seconds", _number(metadata, "latency_p95_ms", 1e-3), endpoint)
    gauges.add("source_requests", _number(metadata, "requests"), endpoint)
    gauges.add("source_retries", _number(metadata, "retries"), endpoint)
    causes = metadata.get("retries_by_cause")
    if isinstance(causes, Mapping):
        for cause in causes:
            gauges.add("source_retries_by_cause", _number(causes, cause), endpoint, str(cause))


def read_checks(gauges: Gauges, instance: DagsterInstance, checks: Sequence[AssetCheckKey]) -> None:
    """Add the newest evaluation of each check.

    One that is only planned, by a run under way or one that failed before it, does not hide the one before.
    """
    storage = instance.event_log_storage
    latest = dict(storage.get_latest_asset_check_execution_by_key(checks))
    # One query for all; these are read one by one, which costs twenty times as much.
    planned = [key for key, record in latest.items() if record.status == _PLANNED]
    for key, summary in storage.get_asset_check_summary_records(planned).items():
        completed = summary.last_completed_check_execution_record
        if completed is None:
            del latest[key]
        else:
            latest[key] = completed
    for key, record in latest.items():
        if record.event and record.event.dagster_event:
            evaluation = record.event.dagster_event.asset_check_evaluation_data
            blocking = "true" if evaluation.blocking else "false"
            labels = (key.asset_key.to_user_string(), key.name, evaluation.severity.value.lower(), blocking)
            gauges.add("check_failed", not evaluation.passed, *labels)
            gauges.add("check_evaluated_timestamp_seconds", record.event.timestamp, *labels)
