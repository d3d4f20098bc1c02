"""Each flaw of the stock DuckDBPandasIOManager, through Dagster, with the real manager and a real file."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pandera.errors
import pytest
from dagster import (
    AssetExecutionContext,
    DagsterInstance,
    ExecuteInProcessResult,
    OutputContext,
    PartitionKeyRange,
    asset,
    build_output_context,
    materialize,
)

from foundation.tables import empty_frame, sql_type
from foundation.warehouse import opening
from foundation.warehouse.cleaned_partitions import CleanedPartitions
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from foundation.warehouse.io_manager import RowsOutsidePartition
from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN, days_between, range_tags
from moovitamix_assets.warehouse.cleaning import clean
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.io_manager import WarehouseIOManager
from moovitamix_assets.warehouse.schemas import RECOMMENDATIONS
from moovitamix_assets_tests.unit.warehouse.landed_records import DAYS, LOADED, landed, session, track, user
from moovitamix_assets_tests.unit.warehouse.second_process import holding

Rows = Callable[[Sequence[date]], Any]
FIRST, SECOND, THIRD, FOURTH = DAYS


def recommended(days: Sequence[Any], user_id: int = 1, **columns: Any) -> pd.DataFrame:
    """A row of `recommendations` per day."""
    return pd.DataFrame(
        {
            "user_id": user_id,
            "rank": 1,
            "track_id": 77,
            "score": 0.5,
            "source": "model",
            "model_version": "v1",
            "generated_for": [pd.Timestamp(day) for day in days],
            "generated_at": pd.Timestamp("2026-09-09"),
            "expires_at": pd.Timestamp("2026-09-11"),
        }
        | columns
    )


@cache
def dagster_records() -> DagsterInstance:
    """Shared: to make one takes longer than a test."""
    return DagsterInstance.ephemeral()


class Warehouse:
    """A warehouse file and its real manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manager = WarehouseIOManager(database=str(path))

    def write(
        self, table: str, rows: Any, first: date, last: date, column: str = "generated_for", **metadata: Any
    ) -> OutputContext:
        """Store the output of a run over a range of partitions."""
        context = build_output_context(
            asset_key=table,
            definition_metadata={"partition_expr": column, **metadata},
            asset_partitions_def=DAILY,
            instance=dagster_records(),
            asset_partition_key_range=PartitionKeyRange(first.isoformat(), last.isoformat()),
        )
        self.manager.create_io_manager(None).handle_output(context, rows)
        return context

    def recommend(self, rows: Rows, first: date, last: date | None = None, **metadata: Any) -> None:
        days = days_between(first, last or first)
        self.write("recommendations", rows(days), days[0], days[-1], **metadata)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with read_warehouse(self.path) as connection:
            return connection.execute(statement).fetchall()

    def days(self) -> list[date]:
        return [row[0] for row in self.query("SELECT generated_for FROM recommendations ORDER BY ALL")]

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table but for the wall clock."""
        with read_warehouse(self.path) as connection:
            tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            return {
                table: connection.execute(
                    f"SELECT COLUMNS(lambda name: name <> 'loaded_at') FROM {table} ORDER BY ALL"
                ).fetchall()
                for (table,) in tables
            }


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LOCK_WAIT_SECONDS", 0.2)


# Stock: the columns are inserted by position, so that a change of their order swaps data in silence.


def test_columns_find_their_places_by_name(warehouse: Warehouse) -> None:
    warehouse.recommend(recommended, FIRST)
    warehouse.recommend(lambda days: recommended(days).iloc[:, ::-1], SECOND)

    rows = warehouse.query("SELECT user_id, rank, track_id, model_version, source FROM recommendations")
    assert rows == [(1, 1, 77, "v1", "model")] * 2


# Stock: the partition is deleted, then rows are inserted, without a transaction around the two.


@pytest.mark.parametrize(
    "unfit",
    [{"score": [None]}, {"track_id": 2**63}, {"mood": "good"}],
    ids=str,
)
def test_rows_that_do_not_fit_leave_the_partition_as_it_was(
    warehouse: Warehouse, unfit: dict[str, Any]
) -> None:
    warehouse.recommend(recommended, FIRST)
    before = warehouse.content()

    with pytest.raises(pandera.errors.SchemaErrors):
        warehouse.recommend(lambda days: recommended(days, **unfit), FIRST)

    assert warehouse.content() == before


def cleaned(table: str, *records: Any, days: Sequence[date] = DAYS) -> CleanedPartitions:
    return clean(table, landed(records), days, LOADED)


def test_a_table_what_was_rejected_and_its_line_are_one_transaction(warehouse: Warehouse) -> None:
    def write(result: CleanedPartitions) -> None:
        warehouse.write("users", result, FIRST, FOURTH, column="changed_on")

    good = cleaned("users", user(1), user(None))
    write(good)
    before = warehouse.content()
    assert [len(before[name]) for name in ("users", "rejected_users", "partition_loads")] == [1, 1, 4]
    broken = cleaned("users", user(2), user(3), user("x"), user("y"))

    # The database itself refuses the second of three inserts; the schema refuses the third.
    with pytest.raises(duckdb.ConversionException):
        write(CleanedPartitions(broken.accepted, broken.rejected.assign(record="{"), broken.loads))
    assert warehouse.content() == before
    with pytest.raises(pandera.errors.SchemaErrors):
        write(CleanedPartitions(broken.accepted, broken.rejected, broken.loads.assign(received=-1)))
    assert warehouse.content() == before
    with pytest.raises(RowsOutsidePartition):
        write(CleanedPartitions(broken.accepted, broken.rejected.assign(changed_on=LOADED), broken.loads))
    assert warehouse.content() == before


# Stock: the connection stays open after a failure, and so does the file's lock.


def test_a_failure_lets_go_of_the_file(warehouse: Warehouse) -> None:
    with pytest.raises(pandera.errors.SchemaErrors):
        warehouse.recommend(lambda days: recommended(days, rank=0), FIRST)

    with holding(warehouse.path):
        pass
    warehouse.recommend(recommended, FIRST)
    assert warehouse.days() == [FIRST]


# Stock: rows outside the partition's window, or with dates as text, are doubled by the next run.


@pytest.mark.parametrize("stray", [date(2026, 9, 1), "2026-09-04", None])
def test_rows_outside_the_partitions_of_the_run_are_refused(warehouse: Warehouse, stray: object) -> None:
    warehouse.recommend(recommended, SECOND, THIRD)
    before = warehouse.content()

    with pytest.raises(RowsOutsidePartition, match="Nothing was written"):
        warehouse.recommend(
            lambda days: recommended([*days, days[0]]).assign(generated_for=[*days, stray]), SECOND, THIRD
        )

    assert warehouse.content() == before


def test_dates_as_text_are_stored_as_dates_and_replaced(warehouse: Warehouse) -> None:
    for _ in range(2):
        warehouse.recommend(
            lambda days: recommended(days).assign(generated_for=[day.isoformat() for day in days]),
            FIRST,
            SECOND,
        )

    assert warehouse.days() == [FIRST, SECOND]


def test_a_time_within_the_day_is_stored_as_the_day_and_replaced(warehouse: Warehouse) -> None:
    for _ in range(2):
        warehouse.recommend(
            lambda days: recommended(days).assign(generated_for=[datetime(2026, 9, 1, 13)]), FIRST
        )

    assert warehouse.days() == [FIRST]


# Stock: no table for an empty frame; type NULL for a column without a value.


def test_an_empty_frame_makes_the_table_and_empties_the_partition(warehouse: Warehouse) -> None:
    warehouse.recommend(lambda days: empty_frame(RECOMMENDATIONS), FIRST)
    assert warehouse.days() == []

    warehouse.recommend(recommended, FIRST, SECOND)
    warehouse.recommend(lambda days: recommended(days).iloc[:0], FIRST)
    assert warehouse.days() == [SECOND]


def test_columns_without_a_value_keep_their_types(warehouse: Warehouse) -> None:
    nothing = user(1) | dict.fromkeys(["first_name", "last_name", "email", "gender", "favorite_genres"])
    undated = user(2, created_at=None, updated_at=None)
    for records in ([nothing, undated], [user(1), user(2)]):
        result = cleaned("users", *records)
        warehouse.write("users", result, FIRST, FOURTH, column="changed_on")

    types = dict(warehouse.query("SELECT column_name, column_type FROM (DESCRIBE users)"))
    assert types["email"] == "VARCHAR"
    assert types["favorite_genres"] == "VARCHAR[]"
    assert types["created_at"] == "TIMESTAMP"
    assert warehouse.query("SELECT email, favorite_genres FROM users ORDER BY ALL") == [
        ("ada1@example.org", ["Jazz"]),
        ("ada2@example.org", ["Jazz"]),
    ]


def test_every_column_has_the_type_its_schema_says(warehouse: Warehouse) -> None:
    warehouse.recommend(recommended, FIRST)

    found = warehouse.query("SELECT column_name, column_type FROM (DESCRIBE recommendations)")
    assert found == [(name, sql_type(column)) for name, column in RECOMMENDATIONS.columns.items()]


# Stock: the file is opened for writing even to read from it.


@asset(
    partitions_def=DAILY,
    backfill_policy=RANGE_IN_ONE_RUN,
    io_manager_key="warehouse",
    metadata={"partition_expr": "generated_for"},
)
def recommendations(context: AssetExecutionContext) -> pd.DataFrame:
    return recommended(context.partition_keys)


@asset(partitions_def=DAILY, backfill_policy=RANGE_IN_ONE_RUN)
def days_served(context: AssetExecutionContext, recommendations: pd.DataFrame) -> None:
    context.add_output_metadata({"days": [f"{day:%Y-%m-%d}" for day in recommendations["generated_for"]]})


def materialized(warehouse: Warehouse, selection: str, first: date, last: date) -> ExecuteInProcessResult:
    return materialize(
        [recommendations, days_served],
        selection=[selection],
        resources={"warehouse": warehouse.manager},
        instance=dagster_records(),
        tags=range_tags(first, last),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def test_an_asset_is_stored_and_read_by_range_while_others_read(warehouse: Warehouse) -> None:
    materialized(warehouse, "recommendations", FIRST, FOURTH)
    assert warehouse.days() == DAYS

    with holding(warehouse.path, "reading"):
        result = materialized(warehouse, "days_served", SECOND, THIRD)

    (event, *_) = result.get_asset_materialization_events()
    assert event.materialization.metadata["days"].value == [SECOND.isoformat(), THIRD.isoformat()]


def test_reading_makes_no_file(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseMissing, match="moovitamix run"):
        materialized(warehouse, "days_served", SECOND, THIRD)

    assert not warehouse.path.exists()


# Stock: a held lock is tried for about 100 seconds, and the error names nobody.


@pytest.mark.parametrize("how", ["reading", "writing"])
def test_a_held_file_fails_the_run_with_the_name_of_the_holder(
    warehouse: Warehouse, how: str, impatient: None
) -> None:
    warehouse.recommend(recommended, FIRST)

    with (
        holding(warehouse.path, how) as holder,
        pytest.raises(WarehouseLocked, match=f"process {holder.pid} "),
    ):
        warehouse.recommend(recommended, SECOND)

    assert warehouse.days() == [FIRST]


def test_nobody_is_asked_to_wait_for_minutes() -> None:
    assert opening._LOCK_WAIT_SECONDS <= 10


# However partitions are written


_RECORDS = {
    "users": [user(1, f"{day}T10:00:00", gender=f"g{day}") for day in DAYS]
    + [user(None, f"{THIRD}T11:00:00"), user(2, f"{THIRD}T11:00:00"), user(2, f"{THIRD}T11:00:00")],
    "tracks": [track(number, f"{day}T0{number}:00:00") for number in (1, 2) for day in (FIRST, FOURTH)],
    "listens": [
        session(user_id, [1, 2, None], f"{FIRST}T0{user_id}:00:00", updated_at=f"{day}T10:00:00")
        for user_id in (1, 2, 3)
        for day in DAYS[:3]
    ],
}


def write_source_table(warehouse: Warehouse, table: str, days: Sequence[date]) -> None:
    frame = landed(_RECORDS[table])

    chosen = frame[frame["changed_on"].dt.date.isin(days)]
    warehouse.write(table, clean(table, chosen, days, LOADED), days[0], days[-1], column="changed_on")


@pytest.mark.parametrize("table", ["users", "listens"])
def test_a_range_in_one_run_is_its_days_in_any_order_and_any_number_of_times(
    table: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    in_one_run, shuffled = warehouse, Warehouse(tmp_path / "other" / "warehouse.duckdb")
    write_source_table(in_one_run, table, DAYS)
    for day in (THIRD, FIRST, FOURTH, SECOND):
        write_source_table(shuffled, table, [day])

    content = in_one_run.content()
    assert content == shuffled.content()
    assert [row[1] for row in content["partition_loads"]] == DAYS
    assert content[table]
    write_source_table(in_one_run, table, [SECOND, THIRD])
    assert in_one_run.content() == content


def test_writing_one_table_leaves_the_lines_of_the_others(warehouse: Warehouse) -> None:
    for table in ("users", "tracks", "users"):
        write_source_table(warehouse, table, DAYS)

    assert warehouse.query("SELECT table_name, count(*) FROM partition_loads GROUP BY ALL ORDER BY ALL") == [
        ("tracks", 4),
        ("users", 4),
    ]


@pytest.mark.parametrize("order", [(FIRST, SECOND, THIRD), (THIRD, SECOND, FIRST), (SECOND, THIRD, FIRST)])
def test_only_the_newest_partitions_are_kept_in_whatever_order_they_come(
    order: tuple[date, ...], warehouse: Warehouse
) -> None:
    for day in order:
        warehouse.recommend(recommended, day, kept_partitions=2)

    assert warehouse.days() == [SECOND, THIRD]


def test_only_the_newest_partitions_of_a_range_are_kept(warehouse: Warehouse) -> None:
    warehouse.recommend(recommended, FIRST, FOURTH, kept_partitions=2)
    assert warehouse.days() == [THIRD, FOURTH]

    # A day without rows is a day too.
    warehouse.recommend(lambda days: empty_frame(RECOMMENDATIONS), date(2026, 9, 5), kept_partitions=2)
    assert warehouse.days() == [FOURTH]


def test_the_output_says_how_many_rows_were_written(warehouse: Warehouse) -> None:
    context = warehouse.write("recommendations", recommended([FIRST, SECOND]), FIRST, SECOND)

    assert context.get_logged_metadata()["run_rows_written"].value == 2
