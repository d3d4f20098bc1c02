import errno
import random
import re
import sqlite3
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from foundation.durable import Damaged
from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.interface.error_messages import message_of
from moovitamix_assets.cli.runs.job_runs import RunFailed
from moovitamix_assets.warehouse.connection import write_warehouse


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
        duckdb.IOException('Could not write all bytes to file "x": 9438 requested and 8160 written'),
    ],
)
def test_a_full_disk_is_named_with_its_free_space_and_the_remedy(error: Exception, tmp_path: Path) -> None:
    said = message_of(error, tmp_path / "data")
    assert said is not None
    assert "is full" in said
    assert "bytes are free" in said
    assert ("9,438" in said) == ("9438" in str(error))
    failed = message_of(RunFailed(f"The run x failed.\nusers: {error}"), tmp_path / "data")
    # How much is free changes while other programs write.
    assert failed is not None
    assert re.sub(r"[\d,]+ bytes are free", "", failed) == re.sub(r"[\d,]+ bytes are free", "", said)


def test_damaged_records_of_dagster_are_named_and_busy_ones_are_not(tmp_path: Path) -> None:
    said = message_of(sqlite3.DatabaseError("file is not a database"), tmp_path)
    assert said is not None
    assert "`mv " in said
    assert message_of(sqlite3.OperationalError("database is locked"), tmp_path) is None


def test_errors_that_explain_themselves_keep_their_message_and_others_their_traceback(tmp_path: Path) -> None:
    assert message_of(Damaged("x is damaged."), tmp_path) == "x is damaged."
    assert message_of(KeyError("x"), tmp_path) is None
    assert message_of(RunFailed("The run x failed."), tmp_path) == "The run x failed."


@pytest.mark.parametrize("arguments", [["recommend", "1"], ["mirror"], ["recommend", "--similar", "1"]])
def test_a_damaged_warehouse_is_one_sentence_of_any_command(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with write_warehouse(path):
        pass
    path.write_bytes(random.Random(1).randbytes(100_000))

    result = CliRunner().invoke(app, [*arguments, "--data-dir", str(tmp_path)])

    assert result.exit_code == 1
    assert f"The warehouse {path} cannot be read" in result.output
    assert result.output.count(f"`moovitamix rebuild --data-dir {tmp_path}`") == 1
    assert "Traceback" not in result.output
