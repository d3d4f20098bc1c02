"""Dagster's records written without waiting for the disk at each: only here, and only for a while."""

from pathlib import Path

from dagster import AssetKey, AssetMaterialization, DagsterInstance
from sqlalchemy import text

from foundation.dagster_internals import InstanceRef
from foundation.operations.event_storage import quickly_written

FULL, NORMAL = 2, 1


def synchronous(instance: DagsterInstance) -> int:
    with instance.event_log_storage.index_connection() as connection:
        return connection.execute(text("PRAGMA synchronous")).scalar()


def make(instance: DagsterInstance, day: str) -> None:
    instance.report_runless_asset_event(AssetMaterialization("users", partition=day))


def test_the_disk_is_waited_for_less_only_within(tmp_path: Path) -> None:
    log = tmp_path / "history" / "runs" / "index.db-wal"
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        make(instance, "2026-09-01")
        assert (synchronous(instance), log.exists()) == (FULL, False)
        with quickly_written(instance):
            make(instance, "2026-09-02")
            assert (synchronous(instance), log.exists()) == (NORMAL, True)
        make(instance, "2026-09-03")
        assert (synchronous(instance), log.exists()) == (FULL, False)
        made = instance.get_materialized_partitions(AssetKey("users"))
    assert set(made) == {"2026-09-01", "2026-09-02", "2026-09-03"}


def test_records_that_are_in_no_file_are_left_alone() -> None:
    with DagsterInstance.ephemeral() as instance, quickly_written(instance):
        make(instance, "2026-09-01")
        assert set(instance.get_materialized_partitions(AssetKey("users"))) == {"2026-09-01"}
