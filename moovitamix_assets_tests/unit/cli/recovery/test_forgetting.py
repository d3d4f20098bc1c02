"""Days made under a clock that was ahead, through the command: named by `run` and the doctor, removed by `forget`."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from foundation.warehouse.copying import COPY_NAME, copy_is_current
from foundation.warehouse.rows import insert
from moovitamix_assets import clock
from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.recovery import rebuild
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse, refresh_copy, write_warehouse
from moovitamix_assets.warehouse.future import find_future_days
from moovitamix_assets.warehouse.schemas import DRIFT, PARTITION_LOADS
from moovitamix_assets_tests.integration.deployment import environment

Invoke = Callable[..., Result]

TODAY = datetime.now(UTC).date()
YESTERDAY, NEXT_WEEK = TODAY - timedelta(days=1), TODAY + timedelta(days=7)


class Noon(datetime):
    """The clock at noon of the day on which the tests were started: the test run may go on past midnight."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.combine(TODAY, time(12), tz)


@pytest.fixture(autouse=True)
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "datetime", Noon)


@pytest.fixture
def invoke(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs the command on a data directory of the test's own."""
    monkeypatch.chdir(home)
    variables = environment(tmp_path / "data", "http://127.0.0.1:9")
    return lambda *arguments, typed="": CliRunner().invoke(app, arguments, env=variables, input=typed)


def load(data_dir: Path, day: date, loaded_at: datetime | None = None) -> None:
    counts = dict.fromkeys(("received", "accepted", "rejected", "duplicates", "superseded", "stored_rows"), 0)
    rows = [
        counts | {"table_name": table, "changed_on": pd.Timestamp(day)}
        for table in ("users", "tracks", "listens")
    ]
    at = loaded_at or datetime.combine(day + timedelta(days=1), datetime.min.time())
    drift = {"day": pd.Timestamp(day), "feature": "hour", "statistic": "psi", "value": 1, "threshold": 1}
    with write_warehouse(data_dir / "warehouse.duckdb") as connection:
        insert(connection, PARTITION_LOADS, pd.DataFrame(rows).assign(loaded_at=at))
        insert(connection, DRIFT, pd.DataFrame([drift | {"drifted": False}]))


def days(data_dir: Path, table: str, column: str) -> list[date]:
    with read_warehouse(data_dir / "warehouse.duckdb") as connection:
        return [
            row[0]
            for row in connection.execute(f"SELECT DISTINCT {column} FROM {table} ORDER BY 1").fetchall()
        ]


def test_days_of_the_future_are_named_and_forgotten(invoke: Invoke, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for day in (YESTERDAY, TODAY, NEXT_WEEK):
        load(data_dir, day, datetime.combine(YESTERDAY + timedelta(days=1), datetime.min.time()))
    command = f"moovitamix forget --after {YESTERDAY}"
    for arguments in (("run",), ("run", "--to", f"{YESTERDAY}"), ("doctor",)):
        refused = invoke(*arguments)
        assert refused.exit_code == 1
        assert f"partition_loads {TODAY} to {NEXT_WEEK} (2 days)" in refused.output
        assert f"drift {TODAY} to {NEXT_WEEK} (2 days)" in refused.output
        assert command in refused.output

    kept = invoke("forget", "--after", f"{YESTERDAY}", typed="no\n")
    assert kept.exit_code == 1
    assert days(data_dir, "drift", "day") == [YESTERDAY, TODAY, NEXT_WEEK]

    done = invoke("forget", "--after", f"{YESTERDAY}", typed="yes\n")
    assert done.exit_code == 0, done.output
    assert "partition_loads 6" in done.output
    assert days(data_dir, "partition_loads", "changed_on") == days(data_dir, "drift", "day") == [YESTERDAY]
    assert "every day that counts as loaded has ended" in invoke("doctor").output
    assert "Removed rows: none" in invoke("forget", "--after", f"{YESTERDAY}", "--yes").output


@pytest.mark.parametrize(
    ("loaded_at", "found"),
    [
        (datetime.combine(TODAY, datetime.min.time()), False),
        (datetime.combine(TODAY, datetime.min.time()) - timedelta(seconds=1), True),
        (datetime(2999, 1, 1), True),
    ],
    ids=["after its end", "before its end", "by a clock ahead"],
)
def test_a_day_loaded_at_a_time_that_cannot_be_is_loaded_again(
    loaded_at: datetime, found: bool, invoke: Invoke, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    load(data_dir, YESTERDAY, loaded_at)
    assert (
        bool(find_future_days(Settings(data_dir=data_dir), datetime.now(UTC).replace(tzinfo=None))) == found
    )
    assert invoke("forget", "--after", f"{YESTERDAY}", "--yes").exit_code == 0
    assert bool(days(data_dir, "partition_loads", "changed_on")) != found
    assert days(data_dir, "drift", "day") == [YESTERDAY], "what was measured on it stays"


def test_a_mistyped_folder_is_not_made(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("forget", "--after", "2026-09-30", "--yes", "--data-dir", str(tmp_path / "dtaa"))
    assert result.exit_code == 1
    assert "There is no warehouse" in result.output
    assert not (tmp_path / "dtaa").exists()


def test_the_copy_for_readers_forgets_the_days_too(invoke: Invoke, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for day in (YESTERDAY, NEXT_WEEK):
        load(data_dir, day)
    assert refresh_copy(data_dir / "warehouse.duckdb")
    assert invoke("forget", "--after", f"{YESTERDAY}", "--yes").exit_code == 0
    assert copy_is_current(data_dir / "warehouse.duckdb")
    with duckdb.connect(str(data_dir / COPY_NAME), read_only=True) as copy:
        assert copy.execute("SELECT DISTINCT day FROM drift").fetchall() == [(YESTERDAY,)]


def test_the_copy_for_readers_is_refreshed_by_a_rebuild(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    load(data_dir, YESTERDAY)
    monkeypatch.setattr(rebuild, "rebuild_warehouse", lambda *_: rebuild.Rebuilt())
    assert invoke("rebuild").exit_code == 0
    assert copy_is_current(data_dir / "warehouse.duckdb")
