"""Records of old runs go, what they made stays known, and the rest is left as it is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance, DagsterRunStatus

from foundation.dagster_internals import InstanceRef
from foundation.operations.old_runs import remove_old_runs
from moovitamix_assets_tests.unit.operations.health.watched_runs import DEFINITIONS, queue, run_nightly

RAW = AssetKey("raw_users")
STRICT = AssetCheckKey(RAW, "strict")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as made:
        yield made


def ended(instance: DagsterInstance, run_id: str, days_ago: float) -> str:
    moment = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days_ago)
    with instance.run_storage.connect() as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET update_timestamp = ? WHERE run_id = ?", (str(moment), run_id)
        )
    return run_id


def nightly(instance: DagsterInstance, day: str, days_ago: float) -> str:
    return ended(instance, run_nightly(instance, day).run_id, days_ago)


def made(instance: DagsterInstance) -> dict[str, tuple[str, float, bool]]:
    """By partition: the run of its newest materialization, when it was, and whether its metadata is there."""
    found = {}
    for record in reversed(instance.fetch_materializations(RAW, limit=100).records):
        entry = record.event_log_entry
        materialization = entry.asset_materialization
        found[materialization.partition] = (entry.run_id, entry.timestamp, bool(materialization.metadata))
    return found


def rows(instance: DagsterInstance, table: str) -> int:
    storage = instance.run_storage if table in ("runs", "run_tags") else instance.event_log_storage
    with storage.connect() if storage is instance.run_storage else storage.index_connection() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def test_old_runs_go_and_their_partitions_stay(instance: DagsterInstance, tmp_path: Path) -> None:
    replaced = nightly(instance, "2026-09-01", 120)
    old = nightly(instance, "2026-09-02", 110)
    again = nightly(instance, "2026-09-01", 100)
    kept = nightly(instance, "2026-09-03", 80)
    before = made(instance)

    assert remove_old_runs(instance, kept_days=90, at_most=10) == 3

    assert [run.run_id for run in instance.get_runs()] == [kept]
    assert made(instance) == {
        "2026-09-01": ("", before["2026-09-01"][1], False),
        "2026-09-02": ("", before["2026-09-02"][1], False),
        "2026-09-03": (kept, before["2026-09-03"][1], True),
    }
    assert set(instance.get_materialized_partitions(RAW)) == set(before)
    files = [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")]
    assert [name for name in files if any(run in name for run in (replaced, old, again))] == []
    assert any(kept in name for name in files)
    # Events of the three are gone, but for the two that tell of partitions.
    with instance.event_log_storage.index_connection() as connection:
        of_none = connection.exec_driver_sql("SELECT count(*) FROM event_logs WHERE run_id = ''").scalar()
        of_others = connection.exec_driver_sql(
            "SELECT count(*) FROM event_logs WHERE run_id NOT IN ('', ?)", (kept,)
        ).scalar()
    assert (of_none, of_others) == (2, 0)
    assert remove_old_runs(instance, kept_days=90, at_most=10) == 0


def test_what_checks_found_last_stays(instance: DagsterInstance) -> None:
    nightly(instance, "2026-09-01", 120)
    newest = nightly(instance, "2026-09-02", 110)
    before = rows(instance, "asset_check_executions")
    remove_old_runs(instance, kept_days=90, at_most=10)
    assert rows(instance, "asset_check_executions") == 2 < before
    (latest,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([STRICT]).values()
    assert (latest.run_id, latest.status.value) == (newest, "SUCCEEDED")


def test_the_oldest_go_first_and_no_more_than_allowed(instance: DagsterInstance) -> None:
    runs = [nightly(instance, f"2026-09-0{day}", 130 - day) for day in (1, 2, 3)]
    assert remove_old_runs(instance, kept_days=90, at_most=2) == 2
    assert [run.run_id for run in instance.get_runs()] == [runs[2]]
    assert rows(instance, "run_tags") > 0
    remove_old_runs(instance, kept_days=90, at_most=2)
    assert rows(instance, "run_tags") == 0


def test_a_run_that_has_not_ended_stays(instance: DagsterInstance) -> None:
    waiting = queue(instance, DEFINITIONS.resolve_job_def("waiting"))
    ended(instance, waiting.run_id, 200)
    assert remove_old_runs(instance, kept_days=90, at_most=10) == 0
    assert instance.get_run_by_id(waiting.run_id).status is DagsterRunStatus.QUEUED


def test_a_partition_that_is_made_again_after_its_run_went_is_of_the_new_run(
    instance: DagsterInstance,
) -> None:
    nightly(instance, "2026-09-01", 120)
    remove_old_runs(instance, kept_days=90, at_most=10)
    again = nightly(instance, "2026-09-01", 0)
    assert made(instance)["2026-09-01"][0] == again
