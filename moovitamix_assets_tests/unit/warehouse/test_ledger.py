import json
import random
from datetime import date
from pathlib import Path

import duckdb
import pytest

from foundation.landing.files import begin_first_load
from foundation.warehouse import ledger
from foundation.warehouse.connection import ledger_of
from foundation.warehouse.errors import WarehouseLost, WarehouseMissing
from foundation.warehouse.ledger import (
    loaded_partitions,
    read_ledger,
    record_deletions,
    restored_frames,
    rows_lost,
)
from foundation.warehouse.loads import record_made, withdraw_loads
from foundation.warehouse.rows import insert
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.layout import LAYOUT
from moovitamix_assets.warehouse.schemas import TABLES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def promote(path: Path, version: str, *more: str) -> None:
    with write_warehouse(path) as connection:
        for one in (version, *more):
            connection.execute(
                "INSERT INTO promotions VALUES (?, '2026-09-05', '2026-09-06 01:02:03.004', 'promoted', "
                """'Better, "so".', '{"a": 0.1}', NULL, NULL)""",
                [one],
            )


def measure(path: Path, day: str, value: float) -> None:
    with write_warehouse(path) as connection:
        connection.execute("DELETE FROM recommendation_quality WHERE day = ?", [day])
        connection.execute(
            "INSERT INTO recommendation_quality BY NAME SELECT CAST(? AS DATE) AS day, 'a' AS model_version, "
            "'champion' AS role, 'all' AS segment, 5 AS users, CAST(? AS DOUBLE) AS ndcg_at_10, 0.1 AS recall_at_20, "
            "0.1 AS precision_at_10, 0.1 AS map_at_10, 0.1 AS hit_rate_at_10, 0.1 AS coverage, "
            "0.1 AS popularity_ndcg_at_10",
            [day, value],
        )


def lines(path: Path, table: str = "promotions") -> list[bytes]:
    return (ledger_of(path) / f"{table}.jsonl").read_bytes().splitlines(keepends=True)


def versions(path: Path) -> list[str]:
    groups = read_ledger(ledger_of(path), "promotions").groups.values()
    return [str(row["model_version"]) for rows in groups for row in rows]


def test_each_decision_is_a_line_that_is_never_changed(path: Path) -> None:
    promote(path, "a")
    first = lines(path)
    promote(path, "b", "c")
    measure(path, "2026-09-05", 0.5)

    assert lines(path)[:1] == first
    assert versions(path) == ["a", "b", "c"]
    assert json.loads(lines(path)[0])["rows"][0]["decided_at"] == "2026-09-06T01:02:03.004000"


def test_a_write_that_changes_none_of_its_tables_appends_nothing(path: Path) -> None:
    promote(path, "a")
    before = {file: file.stat().st_mtime_ns for file in ledger_of(path).iterdir()}

    with write_warehouse(path) as connection:
        connection.execute(
            "INSERT INTO tracks (track_id, changed_on, loaded_at) VALUES (1, '2026-09-05', now())"
        )

    assert {file: file.stat().st_mtime_ns for file in ledger_of(path).iterdir()} == before


def test_a_day_that_is_measured_again_gets_a_newer_line_and_the_last_one_counts(path: Path) -> None:
    measure(path, "2026-09-05", 0.5)
    measure(path, "2026-09-06", 0.6)
    measure(path, "2026-09-05", 0.7)

    assert len(lines(path, "recommendation_quality")) == 3
    rows = dict(restored_frames(ledger_of(path), LAYOUT))["recommendation_quality"]
    assert sorted(rows["ndcg_at_10"]) == [0.6, 0.7]


def test_what_was_rolled_back_is_not_recorded(path: Path) -> None:
    with pytest.raises(duckdb.CatalogException), write_warehouse(path) as connection:
        connection.execute(
            "INSERT INTO drift VALUES ('2026-09-05', 'hour', 'psi', 0.1, 0.2, false); FROM nowhere"
        )
    assert not ledger_of(path).exists()


def test_what_a_crash_after_the_commit_kept_back_is_appended_by_the_next_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(path, "a")
    with monkeypatch.context() as crash:
        crash.setattr(ledger, "_append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promote(path, "b")
    assert versions(path) == ["a"]

    measure(path, "2026-09-05", 0.5)

    assert versions(path) == ["a", "b"]


def test_tables_come_back_from_the_ledger_as_they_were(path: Path, tmp_path: Path) -> None:
    promote(path, "a", "b")
    measure(path, "2026-09-05", 0.1 + 0.2)
    with write_warehouse(path) as connection:
        connection.execute("INSERT INTO drift VALUES ('2026-09-05', 'hour', 'psi', 1e-300, 0.2, true)")
        connection.execute(
            "INSERT INTO model_evaluations VALUES ('a', '2026-09-05', 'candidate', 'all', 'm', NULL, NULL, 3)"
        )

    other = tmp_path / "other" / "warehouse.duckdb"
    with write_warehouse(other) as connection:
        for table, rows in restored_frames(ledger_of(path), LAYOUT):
            insert(connection, TABLES[table], rows)

    for table in ("promotions", "recommendation_quality", "drift", "model_evaluations"):
        stored = []
        for file in (path, other):
            with read_warehouse(file) as connection:
                stored.append(connection.execute(f"FROM {table} ORDER BY ALL").fetchall())
        assert stored[0] == stored[1] != []


def test_any_single_bit_that_flips_is_noticed_and_its_line_named(path: Path) -> None:
    promote(path, "a", "b", "c")
    file = ledger_of(path) / "promotions.jsonl"
    content = file.read_bytes()
    for bit in random.Random(5).sample(range(8 * len(content)), 150):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        line = content[: bit // 8].count(b"\n") + 1
        assert any(f"line {line}:" in fault for fault in read_ledger(ledger_of(path), "promotions").faults)


def test_a_line_that_is_missing_is_noticed(path: Path) -> None:
    promote(path, "a", "b", "c")
    (ledger_of(path) / "promotions.jsonl").write_bytes(lines(path)[0] + lines(path)[2])

    assert read_ledger(ledger_of(path), "promotions").faults == ["line 2: the line before it is missing"]


@pytest.mark.parametrize("damage", ["flipped", "torn"])
def test_a_damaged_file_is_set_aside_and_written_anew_by_the_next_change(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    promote(path, "a", "b")
    file = ledger_of(path) / "promotions.jsonl"
    content = file.read_bytes()
    damaged = content.replace(b'"a"', b'"A"') if damage == "flipped" else content[:-9]
    file.write_bytes(damaged)

    promote(path, "c")

    assert sorted(versions(path)) == ["a", "b", "c"]
    assert read_ledger(ledger_of(path), "promotions").faults == []
    assert (path.parent / "damaged" / "ledger" / "promotions.jsonl").read_bytes() == damaged
    assert str(file) in caplog.text


def test_an_older_copy_of_the_warehouse_is_seen_to_lack_decisions(path: Path) -> None:
    promote(path, "a")
    older = path.read_bytes()
    promote(path, "b")
    path.write_bytes(older)

    with read_warehouse(path) as connection:
        assert rows_lost(connection, ledger_of(path), "promotions", LAYOUT) == [
            ("b", "2026-09-05", "2026-09-06T01:02:03.004000")
        ]


def test_what_was_deleted_on_purpose_does_not_come_back(path: Path) -> None:
    promote(path, "a", "b")
    with write_warehouse(path) as connection:
        connection.execute("DELETE FROM promotions WHERE model_version = 'b'")
    assert versions(path) == ["a", "b"]

    with read_warehouse(path) as connection:
        record_deletions(connection, ledger_of(path), LAYOUT)
        assert rows_lost(connection, ledger_of(path), "promotions", LAYOUT) == []
    assert versions(path) == ["a"]
    assert read_ledger(ledger_of(path), "promotions").faults == []


def test_it_knows_which_partitions_were_loaded(path: Path) -> None:
    assert loaded_partitions(ledger_of(path)) is None
    with write_warehouse(path) as connection:
        connection.execute(
            """INSERT INTO partition_loads BY NAME SELECT 'users' AS table_name, DATE '2026-09-05' AS changed_on,
               0 AS received, 0 AS accepted, 0 AS rejected, 0 AS duplicates, 0 AS superseded, 0 AS stored_rows,
               TIMESTAMP '2026-09-06' AS loaded_at"""
        )
    assert loaded_partitions(ledger_of(path)) == {"users": {date(2026, 9, 5)}}

    with write_warehouse(path) as connection:
        withdraw_loads(connection, "users", [date(2026, 9, 5)])
    assert loaded_partitions(ledger_of(path)) == {}


# What is lost without it


@pytest.mark.parametrize("opened", [read_warehouse, write_warehouse])
@pytest.mark.parametrize("left", ["nothing", "no table"])
def test_a_warehouse_that_was_made_is_lost_not_missing(path: Path, opened: object, left: str) -> None:
    promote(path, "a")
    path.unlink()
    if left == "no table":
        duckdb.connect(str(path)).close()

    with pytest.raises(WarehouseLost, match=rf"{path} is gone.*`moovitamix rebuild`"), opened(path):  # type: ignore[operator]
        pass


def test_landing_alone_tells_that_a_warehouse_was_made_unless_the_first_load_is_under_way(path: Path) -> None:
    landing = path.parent / "landing"
    (landing / "users" / "2026-09-05").mkdir(parents=True)
    (landing / "users" / "2026-09-05" / "run.parquet").touch()
    with pytest.raises(WarehouseLost), read_warehouse(path):
        pass

    begin_first_load(landing)
    with pytest.raises(WarehouseMissing), read_warehouse(path):
        pass

    with write_warehouse(path):
        pass
    path.unlink()
    with pytest.raises(WarehouseLost), write_warehouse(path):
        pass


def test_marks_of_recommendations_that_a_rebuild_leaves_to_the_next_run_are_not_lost(path: Path) -> None:
    days = {date(2026, 9, day): 1 for day in (4, 5)}
    with write_warehouse(path) as connection:
        for table in ("recommendations", "drift"):
            record_made(connection, table, days)
    with write_warehouse(path) as connection:
        connection.execute("DELETE FROM partitions_made WHERE day = '2026-09-04'")

    with read_warehouse(path) as connection:
        lost = rows_lost(connection, ledger_of(path), "partitions_made", LAYOUT)

    assert lost == [("drift", "2026-09-04")]
