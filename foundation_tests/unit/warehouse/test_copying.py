"""The copy of a warehouse: one state, whole or not at all, and no obstacle to anybody who has it open."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import duckdb
import pytest

from foundation.warehouse import copying, opening
from foundation.warehouse.connection import read_warehouse, write_warehouse
from foundation.warehouse.copying import CopyNotWritten, copy_is_current, copy_of, copy_warehouse
from foundation_tests.unit.warehouse.films import LAYOUT

LOAD = "INSERT INTO partition_loads VALUES ('films', '2026-09-02', 1, 1, 0, 0, 0, {}, '2026-09-03 01:00')"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A warehouse with one load, in a folder whose name must be quoted."""
    path = tmp_path / "someone's" / "warehouse.duckdb"
    load(path, 1)
    return path


def load(path: Path, number: int) -> None:
    with write_warehouse(path, LAYOUT) as connection:
        connection.execute(LOAD.format(number))


def loads(copy: Path) -> list[tuple[int]]:
    with duckdb.connect(str(copy), read_only=True) as connection:
        return connection.execute("SELECT stored_rows FROM partition_loads ORDER BY 1").fetchall()


def files(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir() if file.is_file()}


def test_the_copy_holds_every_table_and_is_current_until_the_next_write(path: Path) -> None:
    assert not copy_is_current(path)
    copy = copy_warehouse(path, LAYOUT)
    assert copy == copy_of(path)
    assert copy_is_current(path)
    with duckdb.connect(str(copy), read_only=True) as connection:
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert tables == set(LAYOUT.tables)

    load(path, 2)
    assert not copy_is_current(path)
    copy_warehouse(path, LAYOUT)
    assert loads(copy) == [(1,), (2,)]
    assert files(path) == {path.name, copy.name}


def test_where_there_is_no_warehouse_there_is_nothing_to_copy(tmp_path: Path) -> None:
    assert copy_is_current(tmp_path / "warehouse.duckdb")


def test_an_open_copy_hinders_neither_a_write_nor_the_next_copy(path: Path) -> None:
    with duckdb.connect(str(copy_warehouse(path, LAYOUT)), read_only=True) as notebook:
        load(path, 2)
        copy_warehouse(path, LAYOUT)
        assert notebook.execute("SELECT count(*) FROM partition_loads").fetchone() == (1,)
    assert loads(copy_of(path)) == [(1,), (2,)]


def test_what_a_killed_writer_left_in_the_write_ahead_log_is_copied(path: Path) -> None:
    killed = path.with_name("killed.duckdb")
    with duckdb.connect(str(path), config={"checkpoint_threshold": "1GB"}) as connection:
        connection.execute(LOAD.format(2))
        for suffix in ("", ".wal"):
            shutil.copy(f"{path}{suffix}", f"{killed}{suffix}")
    for suffix in ("", ".wal"):
        Path(f"{killed}{suffix}").replace(f"{path}{suffix}")

    assert loads(copy_warehouse(path, LAYOUT)) == [(1,), (2,)]


def test_without_room_the_earlier_copy_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = copy_warehouse(path, LAYOUT)
    load(path, 2)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(copying.shutil, "disk_usage", lambda folder: usage(free=1_000_000))

    with pytest.raises(CopyNotWritten, match=r"1 MB are free on its disk.*The earlier copy stays"):
        copy_warehouse(path, LAYOUT)

    assert loads(copy) == [(1,)]
    assert not copy_is_current(path)


def test_a_copy_that_fails_midway_leaves_no_half_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(unfinished: Path) -> None:
        assert unfinished.exists()
        unfinished.with_name(f"{unfinished.name}.wal").write_text("half a log")
        raise duckdb.IOException("Could not write all bytes to file: requested 262144 and 4096 written")

    monkeypatch.setattr(copying, "_complete", fail)

    with pytest.raises(CopyNotWritten, match="the disk is full"):
        copy_warehouse(path, LAYOUT)

    assert files(path) == {path.name}


def test_a_writer_at_work_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LOCK_WAIT_SECONDS", 0.0)
    with write_warehouse(path, LAYOUT), pytest.raises(CopyNotWritten, match=f"process {os.getpid()}"):
        copy_warehouse(path, LAYOUT)


def test_what_a_killed_process_left_is_removed_and_that_of_a_living_one_is_not(path: Path) -> None:
    gone, living = 2**22 + 1, os.getppid()
    for process in (gone, living):
        for suffix in ("", ".wal"):
            path.with_name(f".warehouse_copy.duckdb.{process}{suffix}").touch()

    copy_warehouse(path, LAYOUT)

    left = {f".warehouse_copy.duckdb.{living}", f".warehouse_copy.duckdb.{living}.wal"}
    assert files(path) == {path.name, copy_of(path).name} | left


def test_a_file_that_cannot_be_copied_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 1, "", "cp: error writing 'x': No space left on device")
    monkeypatch.setattr(copying.subprocess, "run", lambda *arguments, **options: answer)
    with pytest.raises(CopyNotWritten, match="the disk is full"):
        copy_warehouse(path, LAYOUT)


def test_connections_of_this_process_keep_their_lock(path: Path) -> None:
    second = f"import duckdb; duckdb.connect({str(path)!r})"
    with read_warehouse(path, LAYOUT):
        copy_warehouse(path, LAYOUT)
        result = subprocess.run([sys.executable, "-c", second], capture_output=True, text=True, check=False)
    assert "Could not set lock" in result.stderr
