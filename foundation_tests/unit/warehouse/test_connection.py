"""A warehouse of another layout than the first product's; more is tested with that product's tables."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from foundation.warehouse.connection import ledger_of, read_warehouse, write_warehouse
from foundation.warehouse.errors import WarehouseLost, WarehouseMissing, WarehouseOutdated
from foundation.warehouse.ledger import read_ledger
from foundation.warehouse.loads import (
    PartitionNotLoaded,
    loaded_days,
    made_days,
    record_made,
    require_loaded,
    stored_days,
)
from foundation_tests.unit.warehouse.films import LAYOUT, SOURCE

DAY = date(2026, 9, 2)
LOAD = "INSERT INTO partition_loads VALUES ('films', '2026-09-02', 1, 1, 0, 0, 0, 1, '2026-09-03 01:00')"


def test_the_tables_of_the_layout_are_created_and_its_ledger_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with write_warehouse(path, LAYOUT) as connection:
        connection.execute(LOAD)
        record_made(connection, "rankings", {DAY: 3})

    with read_warehouse(path, LAYOUT) as connection:
        assert loaded_days(connection, LAYOUT) == {DAY}
        assert stored_days(connection, SOURCE) == [DAY]
        assert made_days(connection, ["rankings"]) == {DAY}
    assert list(read_ledger(ledger_of(path), "partition_loads").groups) == [("films", "2026-09-02")]


def test_messages_name_the_program_and_the_tables_of_the_layout(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with (
        pytest.raises(WarehouseMissing, match="Run `films run`, or materialize films"),
        read_warehouse(path, LAYOUT),
    ):
        pass
    with write_warehouse(path, LAYOUT) as connection:
        with pytest.raises(
            PartitionNotLoaded, match=r"`films run --from 2026-09-02 .* materialize raw_films and films"
        ):
            require_loaded(connection, LAYOUT, [DAY])
        connection.execute(LOAD)
    path.unlink()
    with pytest.raises(WarehouseLost, match="`films rebuild`"), read_warehouse(path, LAYOUT):
        pass


def test_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE films (film_id BIGINT NOT NULL)")
    with pytest.raises(WarehouseOutdated, match=r"lacks .*title VARCHAR"), write_warehouse(path, LAYOUT):
        pass
