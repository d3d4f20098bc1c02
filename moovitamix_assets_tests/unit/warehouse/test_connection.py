import threading
import time
from pathlib import Path

import duckdb
import pandas as pd
import pandera.errors
import pytest

from foundation.warehouse import opening
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing, WarehouseOutdated
from foundation.warehouse.rows import first_row, insert
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import FILLED_WHEN_ADDED, PROMOTIONS, TABLES, VIEWS
from moovitamix_assets_tests.unit.warehouse.second_process import holding

PROMOTION = {
    "model_version": "2026-09-01-abcdef01",
    "as_of": pd.Timestamp("2026-09-01"),
    "decided_at": pd.Timestamp("2026-09-02 01:02:03.456789"),
    "decision": "promoted",
    "reason": "It is better.",
    "metrics": "{}",
    "previous_version": None,
    "decision_number": 1,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "warehouse.duckdb"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LOCK_WAIT_SECONDS", 0.2)


def promote(path: Path, **fields: object) -> None:
    with write_warehouse(path) as connection:
        insert(connection, PROMOTIONS, pd.DataFrame([PROMOTION | fields]))


def promotions(path: Path) -> list[tuple[object, ...]]:
    with read_warehouse(path) as connection:
        return connection.execute("SELECT * FROM promotions").fetchall()


def test_writing_makes_the_folder_every_table_and_every_view(path: Path) -> None:
    with write_warehouse(path):
        pass

    with read_warehouse(path) as connection:
        names = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    assert names == {*TABLES, *VIEWS}


def test_a_failure_takes_back_all_that_was_written_and_lets_go_of_the_file(path: Path) -> None:
    promote(path)

    with pytest.raises(duckdb.CatalogException), write_warehouse(path) as connection:
        connection.execute("DELETE FROM promotions; SELECT * FROM nowhere")

    assert len(promotions(path)) == 1
    # A connection that leaked would refuse this process a reading one, and others any.
    with holding(path):
        pass


def test_an_error_of_the_database_is_not_hidden_by_the_way_back(path: Path) -> None:
    with pytest.raises(duckdb.CatalogException, match="nowhere"), write_warehouse(path) as connection:
        connection.execute("SELECT * FROM nowhere")


def test_a_reader_cannot_write(path: Path) -> None:
    promote(path)

    with (
        read_warehouse(path) as connection,
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
    ):
        connection.execute("DELETE FROM promotions")


def test_readers_of_several_processes_read_at_once(path: Path) -> None:
    promote(path)

    with holding(path, "reading"):
        assert len(promotions(path)) == 1


@pytest.mark.parametrize("how", ["writing", "reading"])
def test_a_held_file_is_named_with_the_process_that_holds_it(path: Path, how: str, impatient: None) -> None:
    promote(path)

    with holding(path, how) as holder, pytest.raises(WarehouseLocked) as caught, write_warehouse(path):
        pass

    assert f"process {holder.pid} (" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_reader_waits_until_the_writer_has_finished(path: Path) -> None:
    promote(path)

    with holding(path) as holder:
        assert holder.stdin is not None
        threading.Timer(0.3, holder.stdin.close).start()
        started = time.monotonic()
        assert len(promotions(path)) == 1
    assert time.monotonic() - started >= 0.2


def test_reading_within_a_write_of_the_same_process_says_who_holds_the_file(
    path: Path, impatient: None
) -> None:
    with (
        write_warehouse(path),
        pytest.raises(WarehouseLocked, match=r"held by process \d+ \(this one"),
        read_warehouse(path),
    ):
        pass


def test_a_path_with_the_word_lock_in_it_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock" / "warehouse.duckdb").mkdir()

    started = time.monotonic()
    with pytest.raises(duckdb.IOException), write_warehouse(tmp_path / "lock" / "warehouse.duckdb"):
        pass
    assert time.monotonic() - started < 5


def test_no_file_is_no_warehouse_and_none_is_made_by_looking(path: Path) -> None:
    with pytest.raises(WarehouseMissing, match="moovitamix run"), read_warehouse(path):
        pass

    assert not path.exists()


def test_a_first_write_that_failed_leaves_no_warehouse_either(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), write_warehouse(path):
        raise ZeroDivisionError

    with pytest.raises(WarehouseMissing), read_warehouse(path):
        pass


def test_a_table_that_an_older_version_did_not_make_is_read_as_empty(path: Path) -> None:
    promote(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE drift")

    with read_warehouse(path) as connection:
        assert connection.execute("SELECT day, feature FROM drift").fetchall() == []
        assert len(connection.execute("SELECT * FROM promotions").fetchall()) == 1
    with holding(path):
        pass


def without_decision_number(path: Path, *days: str) -> None:
    """Leave a warehouse as it was before decisions were numbered, one decision for each day."""
    for hour, day in enumerate(days):
        decided_at = pd.Timestamp("2026-09-30") + pd.Timedelta(hours=hour)
        promote(path, model_version=f"{day}-{hour}", as_of=pd.Timestamp(day), decided_at=decided_at)
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE promotions DROP COLUMN decision_number")


def test_a_nullable_column_that_an_older_version_did_not_have_is_read_as_null(path: Path) -> None:
    without_decision_number(path, "2026-09-01")

    for _ in range(2):  # reading changes nothing in the file
        with read_warehouse(path) as connection:
            rows = connection.execute("SELECT model_version, decision_number FROM promotions").fetchall()
        assert rows == [("2026-09-01-0", None)]
    with holding(path):
        pass


def test_a_nullable_column_that_an_older_version_did_not_have_is_added_and_filled(path: Path) -> None:
    without_decision_number(path, "2026-09-03", "2026-09-01", "2026-09-01")

    promote(path, model_version="new", decision_number=4)

    with read_warehouse(path) as connection:
        rows = connection.execute(
            "SELECT decision_number, model_version FROM promotions ORDER BY decision_number"
        ).fetchall()
    assert rows == [(1, "2026-09-01-1"), (2, "2026-09-01-2"), (3, "2026-09-03-0"), (4, "new")]


def test_a_writer_killed_in_its_transaction_leaves_what_was_there(path: Path) -> None:
    promote(path)

    with holding(path, statement="BEGIN; DELETE FROM promotions"):
        pass

    assert len(promotions(path)) == 1
    promote(path, model_version="second")
    assert len(promotions(path)) == 2


def test_a_writer_killed_after_its_commit_leaves_what_it_wrote(path: Path) -> None:
    promote(path)

    with holding(path, statement="UPDATE promotions SET reason = 'written'"):
        pass

    assert [row[4] for row in promotions(path)] == ["written"]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE promotions DROP COLUMN reason", "it lacks reason VARCHAR"),
        ("ALTER TABLE promotions ADD COLUMN mood VARCHAR", "has mood VARCHAR beyond it"),
        (
            "ALTER TABLE promotions ALTER COLUMN reason TYPE BLOB",
            "it lacks reason VARCHAR, and has reason BLOB",
        ),
    ],
)
def test_a_table_of_another_version_is_refused_by_name(path: Path, statement: str, named: str) -> None:
    promote(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP VIEW IF EXISTS dim_users")
        connection.execute(statement)

    with pytest.raises(WarehouseOutdated, match=named) as caught, write_warehouse(path):
        pass

    assert "promotions" in str(caught.value)
    assert "`moovitamix rebuild`" in str(caught.value)


def test_a_view_of_another_version_is_made_anew(path: Path) -> None:
    promote(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE OR REPLACE VIEW dim_users AS SELECT 1 AS user_id")

    with write_warehouse(path):
        pass

    with read_warehouse(path) as connection:
        assert connection.execute("SELECT * FROM dim_users").fetchall() == []


# Inserting


def test_every_table_and_column_is_described_in_the_file_itself(path: Path) -> None:
    with write_warehouse(path):
        pass
    with duckdb.connect(str(path)) as connection:
        connection.execute("COMMENT ON TABLE users IS 'outdated'")
        connection.execute("COMMENT ON COLUMN users.email IS NULL")
    with write_warehouse(path):
        pass
    with read_warehouse(path) as connection:
        tables = dict(connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall())
        columns = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() SEMI JOIN duckdb_tables() USING (table_name)"
        ).fetchall()
    assert tables == {name: schema.description for name, schema in TABLES.items()}
    assert sorted(columns) == sorted(
        (name, column, each.description)
        for name, schema in TABLES.items()
        for column, each in schema.columns.items()
    )


def test_rows_are_inserted_by_name(path: Path) -> None:
    with write_warehouse(path) as connection:
        frame = pd.DataFrame([PROMOTION])[list(PROMOTION)[::-1]]
        assert insert(connection, PROMOTIONS, frame) == 1

    (row,) = promotions(path)
    assert row[0] == "2026-09-01-abcdef01"
    assert row[2] == PROMOTION["decided_at"].to_pydatetime()
    assert row[6] is None


def test_rows_find_their_columns_where_a_table_was_altered(path: Path) -> None:
    promote(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE promotions DROP COLUMN reason")
        connection.execute("ALTER TABLE promotions ADD COLUMN reason VARCHAR")

    promote(path)

    with read_warehouse(path) as connection:
        rows = connection.execute("SELECT reason, metrics FROM promotions ORDER BY ALL").fetchall()
    assert rows == [("It is better.", "{}"), (None, "{}")]


def test_rows_are_inserted_while_a_result_is_not_read_to_its_end(path: Path) -> None:
    promote(path)

    with write_warehouse(path) as connection:
        connection.execute("SELECT * FROM promotions").fetchone()
        insert(connection, PROMOTIONS, pd.DataFrame([PROMOTION]))

    assert len(promotions(path)) == 2


@pytest.mark.parametrize(
    "change",
    [{"decision": "maybe"}, {"reason": None}, {"as_of": "soon"}, {"as_of": 20260901}, {"mood": "good"}],
)
def test_rows_that_do_not_fit_the_table_are_refused(path: Path, change: dict[str, object]) -> None:
    with pytest.raises(pandera.errors.SchemaErrors):
        promote(path, **change)


def test_the_first_row_is_given_or_none(path: Path) -> None:
    promote(path)

    with read_warehouse(path) as connection:
        assert first_row(
            connection, "SELECT decision FROM promotions WHERE reason = ?", ["It is better."]
        ) == ("promoted",)
        assert first_row(connection, "SELECT * FROM promotions WHERE false") is None


def test_days_measured_by_an_older_version_are_given_their_role(path: Path) -> None:
    days = [
        ("2026-09-01", "popularity"),
        ("2026-09-02", "popularity"),
        ("2026-09-02", "a"),
        ("2026-09-03", "a"),
    ]
    added = [column for table, column in FILLED_WHEN_ADDED if table == "recommendation_quality"]
    with write_warehouse(path) as connection:
        connection.executemany(
            """INSERT INTO recommendation_quality BY NAME SELECT ?::DATE AS day, ? AS model_version,
                   'all' AS segment, 50 AS users, 0.1 AS ndcg_at_10, 0.1 AS recall_at_20, 0.1 AS precision_at_10,
                   0.1 AS map_at_10, 0.1 AS hit_rate_at_10, 0.1 AS coverage, 0.1 AS popularity_ndcg_at_10""",
            days,
        )
    with duckdb.connect(str(path)) as connection:
        for column in added:
            connection.execute(f"ALTER TABLE recommendation_quality DROP COLUMN {column}")
    with write_warehouse(path) as connection:
        rows = connection.execute(
            f"SELECT role, {', '.join(set(added) - {'role'})} FROM recommendation_quality ORDER BY day, model_version"
        ).fetchall()
    # On the second day popular tracks were shown to the few whom "a" did not know.
    assert [row[0] for row in rows] == ["fallback", "champion", "champion", "champion"]
    assert {value for row in rows for value in row[1:]} == {None}
