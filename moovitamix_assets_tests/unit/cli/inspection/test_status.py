"""What `status` says of a deployment, on rows put into its warehouse by hand."""

import io
import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance
from rich.console import Console

from foundation.models.decisions import POPULARITY
from foundation.models.promotions import fall_back, insert_decision
from moovitamix_assets.automation.training_records import request_retraining, withdraw_request
from moovitamix_assets.cli.inspection.status import print_status, read_status
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


@pytest.fixture(autouse=True)
def _without_arguments() -> Iterator[None]:
    """Whatever commands other tests have called, messages repeat no arguments."""
    token = invocation.set(Invocation())
    yield
    invocation.reset(token)


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
    assert status.decision.startswith(f"As of {LAST}: Nothing changes. A training is due")
    assert (status.serving, status.serving_since, status.serving_by) == (
        CHAMPION,
        date(2026, 9, 5),
        "promoted",
    )
    assert any("not up to date" in line for line in status.incidents)
    said = printed(print_status, status)
    for shown in (
        "19 days loaded",
        "1 missing: 2026-09-10",
        f"Serving    {CHAMPION} since 2026-09-05 (promoted). Why.",
        f"Decision   As of {LAST}: Nothing changes.",
        f"{CHAMPION} │ champion",
        "0.0500",
        "1.67",
    ):
        assert shown in said


def test_popular_tracks_next_to_those_of_a_champion_are_a_cold_start(
    settings: Settings, instance: DagsterInstance
) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        add_quality(connection, LAST, POPULARITY, [0.05])
        add_quality(connection, LAST + timedelta(days=1), POPULARITY, [0.05])
    said = printed(print_status, read_status(settings, instance, MOMENT))
    rows = [[cell.strip() for cell in line.split("│")] for line in said.splitlines() if POPULARITY in line]
    assert [row[1:4] for row in rows] == [
        ["2026-09-21", POPULARITY, "champion"],
        [str(LAST), POPULARITY, "cold start"],
    ]


def test_days_left_out_before_the_first_one_loaded_are_named(
    tmp_path: Path, instance: DagsterInstance
) -> None:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, MISSING)
    upcoming = read_status(settings, instance, MOMENT).upcoming
    assert any(line.startswith(f"Days before {MISSING} were left out") for line in upcoming)


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
        "Serving    popular tracks, to every user: no candidate was promoted yet",
        "none missing",
        "no day was measured yet",
        "There are no recommendations: `moovitamix run` computes those",
    ):
        assert shown in said


def fall_back_on(settings: Settings, on: date) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        fall_back(connection, on, "Clearly worse.", popularity_days=7, worse_since=on, metrics={})


def test_a_fallback_is_shown_with_its_reason_and_the_champion_in_shadow(
    settings: Settings, instance: DagsterInstance
) -> None:
    fall_back_on(settings, date(2026, 9, 18))
    status = read_status(settings, instance, MOMENT)
    assert (status.serving, status.serving_since, status.champion) == (
        POPULARITY,
        date(2026, 9, 18),
        CHAMPION,
    )
    assert "Popular tracks serve instead of the champion, since 2026-09-18" in status.incidents
    said = printed(print_status, status)
    assert "Serving    popular tracks since 2026-09-18 (a fallback). Clearly worse." in said
    assert f"Champion   {CHAMPION} since 2026-09-05, in shadow until it is clearly better" in said


def test_the_challenger_is_shown_with_its_days_and_what_it_waits_for(
    settings: Settings, instance: DagsterInstance
) -> None:
    challenger = "2026-09-16-cccccccc"
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, challenger, "shadow")
        add_quality(connection, date(2026, 9, 17), challenger, [0.05] * 4)
        connection.execute(
            "UPDATE recommendation_quality SET role = 'challenger', served_ndcg_at_10 = 0.05 WHERE model_version = ?",
            [challenger],
        )
    status = read_status(settings, instance, MOMENT)
    assert (status.challenger.model_version, status.challenger.days_judged) == (challenger, 4)
    assert status.to_json()["challenger"]["since"] == "2026-09-16"
    said = printed(print_status, status)
    assert f"Challenger {challenger} in shadow since 2026-09-16, judged on 4 days. " in said
    assert f"{challenger} stays in shadow until 2026-09-23 at the latest: ndcg_at_10 0.0500" in said


def test_without_recommendations_a_challenger_waits_for_them(
    tmp_path: Path, instance: DagsterInstance
) -> None:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, CHAMPION, "shadow")
    status = read_status(settings, instance, MOMENT)
    assert status.challenger.finding == "There are no recommendations to compare with."
    assert status.decision is None


def test_the_return_after_a_fallback_is_shown_as_one(settings: Settings, instance: DagsterInstance) -> None:
    fall_back_on(settings, date(2026, 9, 18))
    with write_warehouse(settings.warehouse_path) as connection:
        insert_decision(connection, CHAMPION, LAST, "promoted", "Clearly better again.", {}, CHAMPION)
    status = read_status(settings, instance, MOMENT)
    assert (status.serving, status.serving_by, status.challenger) == (CHAMPION, "returned", None)
    said = printed(print_status, status)
    assert f"Serving    {CHAMPION} since {LAST} (returned to after a fallback). Clearly better again." in said


def test_json_holds_the_same_as_the_tables(settings: Settings, instance: DagsterInstance) -> None:
    status = read_status(settings, instance, MOMENT)
    read = json.loads(json.dumps(status.to_json()))
    assert (read["champion"], read["missing"], read["last_day"]) == (CHAMPION, ["2026-09-10"], "2026-09-20")


def test_commands_in_a_status_repeat_the_data_folder(tmp_path: Path, instance: DagsterInstance) -> None:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, FIRST)
    status = read_status(settings, instance, datetime(2026, 9, 2, 12))
    token = invocation.set(Invocation(tmp_path, tmp_path))
    assert f"`moovitamix run --data-dir {tmp_path}`" in printed(print_status, status)
    invocation.reset(token)
