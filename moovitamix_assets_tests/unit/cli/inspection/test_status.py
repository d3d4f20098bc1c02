"""What `status` and `history` say of a deployment, on rows put into its warehouse by hand."""

import io
import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from dagster import DagsterInstance
from rich.console import Console
from typer.testing import CliRunner

from moovitamix_assets.automation.training_records import request_retraining, withdraw_request
from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.inspection.status import (
    print_history,
    print_status,
    read_history,
    read_status,
)
from moovitamix_assets.cli.interface.invocation import Invocation, invocation
from moovitamix_assets.partitions import days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import add_quality, decide_about
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_session, add_tracks, add_users

FIRST, MISSING, LAST = date(2026, 9, 1), date(2026, 9, 10), date(2026, 9, 20)
MOMENT = datetime(2026, 9, 21, 12)
CHAMPION, REJECTED = "2026-09-05-aaaaaaaa", "2026-09-12-bbbbbbbb"


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as records:
        yield records


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_dir=tmp_path)
    with write_warehouse(made.warehouse_path) as connection:
        add_loads(connection, *(day for day in days_between(FIRST, LAST) if day != MISSING))
        decide_about(connection, CHAMPION)
        decide_about(connection, REJECTED, "rejected")
        add_quality(connection, date(2026, 9, 10), CHAMPION, [0.05] * 11)
        add_list(connection, LAST, 1, [10, 11], CHAMPION)
    return made


def printed(show, *values) -> str:
    text = io.StringIO()
    show(Console(file=text, width=150), *values)
    return text.getvalue()


def test_days_champion_quality_and_what_comes_next(settings: Settings, instance: DagsterInstance) -> None:
    status = read_status(settings, instance, MOMENT)
    assert (status.first_day, status.last_day, status.days_loaded) == (FIRST, LAST, 19)
    assert status.missing == (MISSING,)
    assert (status.champion, status.champion_since) == (CHAMPION, date(2026, 9, 5))
    assert [row["day"] for row in status.quality] == days_between(date(2026, 9, 14), LAST)[::-1]
    assert "for 2026-09-21 starts on 2026-09-22 at 00:30" in status.upcoming[0]
    assert any("catch-up" in line for line in status.upcoming)
    assert any("training" in line for line in status.upcoming)
    assert any("not up to date" in line for line in status.incidents)
    said = printed(print_status, status)
    for shown in (
        "19 days loaded",
        "1 missing: 2026-09-10",
        f"{CHAMPION} since 2026-09-05. Why.",
        f"{CHAMPION} │ champion",
        "0.0500",
        "1.67",
    ):
        assert shown in said


def test_an_open_request_is_shown_until_it_is_withdrawn(
    settings: Settings, instance: DagsterInstance
) -> None:
    def shown() -> bool:
        upcoming = read_status(settings, instance, MOMENT).upcoming
        return any(f"A retraining is requested as of {LAST}" in line for line in upcoming)

    assert not shown()
    request_retraining(instance, settings, "why not")
    assert shown()
    withdraw_request(instance, settings, "a mistake")
    assert not shown()


@pytest.mark.parametrize("decided", [False, True])
def test_training_at_once_is_advised_only_where_it_is_allowed(
    settings: Settings, instance: DagsterInstance, decided: bool
) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        add_users(connection, FIRST, 1)
        add_tracks(connection, FIRST, 10)
        add_session(connection, FIRST, 1, [10], datetime.combine(FIRST, datetime.min.time()))
        if decided:
            decide_about(connection, f"{LAST}-cccccccc", "rejected")
    request_retraining(instance, settings, "why not")
    (said,) = (line for line in read_status(settings, instance, MOMENT).upcoming if "is requested" in line)
    assert ("`moovitamix retrain --now`" in said) is not decided
    assert (f"the candidate of {LAST} was trained and decided about already" in said) is decided
    assert "`moovitamix retrain --cancel`" in said


def test_before_the_nightly_run_yesterday_is_not_missing_yet(
    settings: Settings, instance: DagsterInstance
) -> None:
    before, after = datetime(2026, 9, 22, 0, 29), datetime(2026, 9, 22, 0, 31)
    assert read_status(settings, instance, before).missing == (MISSING,)
    assert read_status(settings, instance, after).missing == (MISSING, date(2026, 9, 21))
    assert "for 2026-09-21 starts on 2026-09-22" in read_status(settings, instance, before).upcoming[0]


def test_without_a_champion_every_user_gets_popular_tracks(tmp_path: Path, instance: DagsterInstance) -> None:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, FIRST)
    status = read_status(settings, instance, datetime(2026, 9, 2, 12))
    assert (status.champion, status.missing, status.quality) == (None, (), ())
    said = printed(print_status, status)
    for shown in (
        "none: every user gets popular tracks",
        "none missing",
        "no day was measured yet",
        "There are no recommendations: `moovitamix run` computes those",
    ):
        assert shown in said


def test_the_newest_decision_is_shown_first(settings: Settings) -> None:
    decisions = read_history(settings)
    assert [(row["decision"], row["model_version"]) for row in decisions] == [
        ("rejected", REJECTED),
        ("promoted", CHAMPION),
    ]
    assert (decisions[0]["previous_version"], decisions[1]["previous_version"]) == (CHAMPION, None)
    said = printed(print_history, decisions)
    assert said.index(REJECTED) < said.index("promoted")
    assert "No candidate was decided" in printed(print_history, [])


def test_json_holds_the_same_as_the_tables(settings: Settings, instance: DagsterInstance) -> None:
    status = read_status(settings, instance, MOMENT)
    read = json.loads(json.dumps(status.to_json()))
    assert (read["champion"], read["missing"], read["last_day"]) == (CHAMPION, ["2026-09-10"], "2026-09-20")
    given = CliRunner().invoke(app, ["history", "--json", "--data-dir", str(settings.data_dir)])
    assert json.loads(given.stdout) == read_history(settings)


def test_commands_in_a_status_repeat_the_data_folder(tmp_path: Path, instance: DagsterInstance) -> None:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, FIRST)
    status = read_status(settings, instance, datetime(2026, 9, 2, 12))
    token = invocation.set(Invocation(tmp_path, tmp_path))
    assert f"`moovitamix run --data-dir {tmp_path}`" in printed(print_status, status)
    invocation.reset(token)


def test_before_the_first_load_the_remedy_is_named(tmp_path: Path) -> None:
    given = CliRunner().invoke(app, ["history", "--data-dir", str(tmp_path)])
    assert given.exit_code == 1
    assert "moovitamix run" in given.output
