"""Removal of Dagster's records of old runs; which partitions were materialized stays known.

A daily run leaves about 0.8 MB: its events, its output, and a copy of its asset events in an index. Dagster's own
`delete_run` would make the run's partitions look as if they had never been materialized. Callers decide when.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as db
from dagster import (
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    RunsFilter,
    deserialize_value,
    serialize_value,
)

from foundation.dagster_internals import (
    RUNLESS_RUN_ID,
    AssetCheckExecutionsTable,
    EventLogEntry,
    SqlEventLogStorage,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
    StepMaterializationData,
)

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def remove_old_runs(instance: DagsterInstance, kept_days: int, at_most: int) -> int:
    """Remove the records of the oldest runs that ended more than some days ago.

    The newest materialization of each partition stays, as one that was reported without a run, and without its
    metadata; so does the newest evaluation of each check.

    Args:
        instance: Whose runs.
        kept_days: Runs of this many days stay.
        at_most: How many runs are removed at once.

    Returns:
        How many were removed; 0 where Dagster's records are in no SQL database.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    before = datetime.now(UTC) - timedelta(days=kept_days)
    old = instance.get_run_records(
        RunsFilter(statuses=_ENDED, updated_before=before), limit=at_most, ascending=True
    )
    for record in old:
        run_id = record.dagster_run.run_id
        with storage.index_connection() as connection:
            _keep_newest_materializations(connection, run_id)
            _remove_check_evaluations(connection, run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
        if isinstance(storage, SqliteEventLogStorage):
            _remove_database_of_run(Path(storage.path_for_shard(run_id)))
    return len(old)


def _keep_newest_materializations(connection: db.Connection, run_id: str) -> None:
    """Detach from the run those of its materializations that are the newest of their partition."""
    events = SqlEventLogStorageTable
    later = events.alias()
    made = DagsterEventType.ASSET_MATERIALIZATION.value
    followed = db.exists().where(
        later.c.dagster_event_type == made,
        later.c.asset_key == events.c.asset_key,
        later.c.partition.is_not_distinct_from(events.c.partition),
        later.c.id > events.c.id,
    )
    newest = db.select(events.c.id, events.c.event).where(
        events.c.run_id == run_id, events.c.dagster_event_type == made, ~followed
    )
    for number, event in connection.execute(newest).fetchall():
        short = serialize_value(_without_run_and_metadata(deserialize_value(event, EventLogEntry)))
        connection.execute(
            events.update().where(events.c.id == number).values(run_id=RUNLESS_RUN_ID, event=short)
        )


def _without_run_and_metadata(entry: EventLogEntry) -> EventLogEntry:
    event = entry.get_dagster_event()
    made = event.step_materialization_data.materialization
    bare = AssetMaterialization(made.asset_key, partition=made.partition, tags=made.tags)
    return entry._replace(
        run_id=RUNLESS_RUN_ID,
        dagster_event=event._replace(event_specific_data=StepMaterializationData(bare)),
    )


def _remove_check_evaluations(connection: db.Connection, run_id: str) -> None:
    checks = AssetCheckExecutionsTable
    newest = db.select(db.func.max(checks.c.id)).group_by(checks.c.asset_key, checks.c.check_name)
    connection.execute(checks.delete().where(checks.c.run_id == run_id, checks.c.id.not_in(newest)))


def _remove_database_of_run(path: Path) -> None:
    for file in (path, *path.parent.glob(f"{path.name}-*")):
        file.unlink(missing_ok=True)
