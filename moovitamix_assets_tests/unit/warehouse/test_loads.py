"""A partition counts as loaded, or as written, only with every table of it."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from foundation.warehouse.loads import PartitionNotLoaded, record_made
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.loads import NIGHTLY_TABLES, loaded_days, made_days, require_loaded
from moovitamix_assets.warehouse.schemas import SOURCE_TABLES
from moovitamix_assets_tests.unit.operations.loads import add_loads

WHOLE, HALF, NONE = date(2026, 9, 1), date(2026, 9, 2), date(2026, 9, 3)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with write_warehouse(tmp_path / "warehouse.duckdb") as opened:
        add_loads(opened, WHOLE)
        yield opened


@pytest.mark.parametrize("missing", SOURCE_TABLES)
def test_a_half_loaded_day_is_not_loaded(connection: duckdb.DuckDBPyConnection, missing: str) -> None:
    add_loads(connection, HALF, tables=[table for table in SOURCE_TABLES if table != missing])
    assert loaded_days(connection) == {WHOLE}
    require_loaded(connection, [WHOLE])
    with pytest.raises(PartitionNotLoaded, match=f"Not loaded for {HALF}: {missing}\\."):
        require_loaded(connection, [WHOLE, HALF])
    with pytest.raises(PartitionNotLoaded, match=f"Not loaded for {NONE}: {', '.join(SOURCE_TABLES)}\\."):
        require_loaded(connection, [NONE])


def test_a_day_is_made_once_each_table_of_it_was_written_with_rows_or_without(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    for table in NIGHTLY_TABLES:
        assert made_days(connection) == set()
        record_made(connection, table, {WHOLE: 0})
    assert made_days(connection) == {WHOLE}
    record_made(connection, NIGHTLY_TABLES[0], {HALF: 7})
    assert made_days(connection) == {WHOLE}
    assert made_days(connection, NIGHTLY_TABLES[:1]) == {WHOLE, HALF}
