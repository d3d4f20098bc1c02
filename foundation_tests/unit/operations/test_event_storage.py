"""Dagster's records kept open, and written without waiting for the disk at each: only here, and only for a while."""

from pathlib import Path

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance, asset, materialize
from sqlalchemy import text

from foundation.dagster_internals import InstanceRef
from foundation.operations.event_storage import kept_open, quickly_written

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


def test_others_see_what_is_written_while_the_databases_stay_open(tmp_path: Path) -> None:
    log = tmp_path / "history" / "runs" / "index.db-wal"
    opened = DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path)))
    with opened as instance, DagsterInstance.from_ref(instance.get_ref()) as other:
        with kept_open(instance):
            make(instance, "2026-09-01")
            assert (synchronous(instance), log.exists()) == (FULL, True)
            assert set(other.get_materialized_partitions(AssetKey("users"))) == {"2026-09-01"}
            make(other, "2026-09-02")
            assert set(instance.get_materialized_partitions(AssetKey("users"))) == {
                "2026-09-01",
                "2026-09-02",
            }
        assert not log.exists()


def test_a_run_is_recorded_whole(tmp_path: Path) -> None:
    @asset
    def users() -> None:
        """Nothing."""

    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        usual = materialize([users], instance=instance)
        with quickly_written(instance):
            quick = materialize([users], instance=instance)
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        recorded = [
            [entry.dagster_event_type for entry in instance.all_logs(run.run_id) if entry.is_dagster_event]
            for run in (usual, quick)
        ]
        assert recorded[1] == recorded[0]
        latest = instance.get_latest_materialization_event(AssetKey("users"))
    assert latest is not None
    assert latest.run_id == quick.run_id


def test_after_an_error_everything_is_as_before(tmp_path: Path) -> None:
    log = tmp_path / "history" / "runs" / "index.db-wal"
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        with pytest.raises(ZeroDivisionError), quickly_written(instance):
            raise ZeroDivisionError
        make(instance, "2026-09-01")
        assert (synchronous(instance), log.exists()) == (FULL, False)


def test_records_that_are_in_no_file_are_left_alone() -> None:
    with DagsterInstance.ephemeral() as instance, quickly_written(instance):
        make(instance, "2026-09-01")
        assert set(instance.get_materialized_partitions(AssetKey("users"))) == {"2026-09-01"}
