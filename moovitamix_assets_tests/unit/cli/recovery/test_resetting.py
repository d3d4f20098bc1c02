"""`moovitamix reset` deletes what runs made, after asking, and nothing that is held or not its own."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from moovitamix_assets.cli.app import app
from moovitamix_assets_tests.unit.warehouse.second_process import holding


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with data, Dagster's records and something of its owner's."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "data/start_date": "2026-09-01",
        ".dagster_home/runs.db": "x" * 1000,
        "mine": "mine",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def reset(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["reset", *arguments], input=typed)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("arguments", "typed"), [((), "yes\n"), (("--yes",), "")])
def test_it_deletes_what_runs_made(folder: Path, arguments: tuple[str, ...], typed: str) -> None:
    result = reset(*arguments, typed=typed)
    assert result.exit_code == 0, result.output
    assert "data: 0.0 MB (start_date)" in result.output
    assert ".dagster_home: 0.0 MB (runs.db)" in result.output
    assert "Deleted data and .dagster_home" in result.output
    assert left(folder) == {"mine"}
    assert "Nothing to delete" in reset().output


@pytest.mark.parametrize("typed", ["no\n", "y\n", "\n", ""])
def test_anything_but_yes_keeps_everything(folder: Path, typed: str) -> None:
    assert reset(typed=typed).exit_code == 1
    assert left(folder) == {"data", ".dagster_home", "mine"}


def test_it_waits_for_no_run_and_deletes_nothing_under_it(folder: Path) -> None:
    (folder / "data" / ".run").write_text("4711")
    with (folder / "data" / ".run").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        result = reset("--yes")
    assert result.exit_code == 1
    assert "4711" in result.output
    assert left(folder) == {"data", ".dagster_home", "mine"}


def test_a_writer_of_the_warehouse_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foundation.warehouse.opening._LOCK_WAIT_SECONDS", 0.1)
    with holding(folder / "data" / "warehouse.duckdb") as process:
        result = reset("--yes")
    assert result.exit_code == 1
    assert f"process {process.pid}" in result.output
    assert (folder / "data" / "start_date").exists()


def test_a_server_in_the_working_directory_is_named(folder: Path) -> None:
    script = folder / "dagster"
    script.write_text("import time; print('up', flush=True); time.sleep(60)")
    server = subprocess.Popen([sys.executable, str(script), "dev"], stdout=subprocess.PIPE, cwd=folder)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        result = reset("--yes")
    finally:
        server.kill()
        server.communicate()
    assert result.exit_code == 1
    assert str(server.pid) in result.output
    assert (folder / ".dagster_home").exists()


@pytest.mark.parametrize("chosen", [".", "..", "papers"])
def test_a_folder_that_is_none_of_its_own_stays(folder: Path, chosen: str) -> None:
    (folder / "papers").mkdir()
    (folder / "papers" / "thesis.tex").write_text("mine")
    result = reset("--yes", "--data-dir", chosen)
    assert result.exit_code == 1
    assert chosen in result.output
    assert left(folder) == {"data", ".dagster_home", "mine", "papers"}
    assert (folder / "papers" / "thesis.tex").exists()


def test_a_warehouse_that_cannot_be_read_any_more_is_deleted_too(folder: Path) -> None:
    (folder / "data" / "warehouse.duckdb").write_text("damaged")
    assert reset("--yes").exit_code == 0
    assert left(folder) == {"mine"}


def test_records_of_the_default_folder_stay_when_another_one_is_deleted(folder: Path) -> None:
    (folder / "chosen" / ".dagster_home").mkdir(parents=True)
    (folder / "chosen" / "start_date").write_text("2026-09-01")
    assert reset("--yes", "--data-dir", "chosen").exit_code == 0
    assert left(folder) == {"data", ".dagster_home", "mine"}
