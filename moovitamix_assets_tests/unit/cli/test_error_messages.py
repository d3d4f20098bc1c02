import errno
import random
import sqlite3
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from foundation.durable import Damaged
from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.error_messages import told, told_of_run
from moovitamix_assets.warehouse.connection import write_warehouse


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
        duckdb.IOException('Could not write all bytes to file "x": 9438 requested and 8160 written'),
    ],
)
def test_a_full_disk_is_told_with_folder_room_and_remedy(error: Exception, tmp_path: Path) -> None:
    said = told(error, tmp_path / "data")
    assert said is not None
    assert "is full" in said
    assert "bytes are free" in said
    assert ("9,438" in said) == ("9438" in str(error))
    assert told_of_run(f"The run x failed.\nusers: {error}", tmp_path) is not None


def test_damaged_records_of_dagster_are_told_and_busy_ones_are_not(tmp_path: Path) -> None:
    said = told(sqlite3.DatabaseError("file is not a database"), tmp_path)
    assert said is not None
    assert "`mv " in said
    assert told(sqlite3.OperationalError("database is locked"), tmp_path) is None


def test_what_is_damaged_speaks_for_itself_and_all_else_is_left_to_others(tmp_path: Path) -> None:
    assert told(Damaged("x is damaged."), tmp_path) == "x is damaged."
    assert told(KeyError("x"), tmp_path) is None
    assert told_of_run("The run x failed.", tmp_path) == "The run x failed."


@pytest.mark.parametrize("arguments", [["recommend", "1"], ["mirror"], ["recommend", "--similar", "1"]])
def test_a_damaged_warehouse_is_one_sentence_of_any_command(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with write_warehouse(path):
        pass
    path.write_bytes(random.Random(1).randbytes(100_000))

    result = CliRunner().invoke(app, [*arguments, "--data-dir", str(tmp_path)])

    assert result.exit_code == 1
    assert f"The warehouse {path} cannot be read" in result.output
    assert result.output.count("`moovitamix rebuild`") == 1
    assert "Traceback" not in result.output
