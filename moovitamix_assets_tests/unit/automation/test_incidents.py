"""Everything that is reported, put together: days that nothing fills any more, late days, recommendations got worse."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetMaterialization, DagsterInstance, DagsterRunStatus

from foundation.operations.alerts import Incident
from moovitamix_assets.automation.incidents import find_incidents
from moovitamix_assets.operations.freshness import WATCHED
from moovitamix_assets.partitions import days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import add_quality, decide_about, put_down_run
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_plays, add_session

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 20)
MOMENT = datetime(2026, 9, 21, 12)
A = "2026-09-05-aaaaaaaa"


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as records:
        for asset in WATCHED:
            records.report_runless_asset_event(AssetMaterialization(asset, partition=f"{LAST}"))
        yield records


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, catch_up_days=5, ui_url="http://ui")


def load(settings: Settings, *missing: date, first: date = FIRST) -> None:
    days = [day for day in days_between(first, LAST) if day not in missing]
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, *days)
        add_session(connection, LAST, 1, [10])


def found(instance: DagsterInstance, settings: Settings, moment: datetime = MOMENT) -> dict[str, Incident]:
    return {incident.key: incident for incident in find_incidents(instance, settings, moment).found}


def test_a_deployment_in_order_has_no_problem(instance: DagsterInstance, settings: Settings) -> None:
    load(settings)
    assert found(instance, settings) == {}


def test_before_the_first_load_only_runs_can_be_a_problem(
    instance: DagsterInstance, settings: Settings
) -> None:
    put_down_run(instance, "ingest", DagsterRunStatus.FAILURE)
    assert found(instance, settings).keys() == {"run:ingest"}


def test_days_missed_further_back_than_catch_up_reaches_are_reported_with_the_command_for_them(
    instance: DagsterInstance, settings: Settings
) -> None:
    load(settings, date(2026, 9, 4), date(2026, 9, 9))
    (incident,) = found(instance, settings).values()
    assert (incident.key, incident.since, incident.lasting) == ("missed", "2026-09-04", True)
    assert incident.title.startswith("2 days missed")
    assert incident.details == ("2026-09-04 to 2026-09-09: further back than catch_up_days = 5",)
    assert incident.done == "run `moovitamix run --from 2026-09-04 --to 2026-09-09`."
    assert incident.link == "http://ui/assets/listens"


@pytest.mark.parametrize(("missing", "given_up"), [(15, True), (16, False), (20, False)])
def test_a_day_is_given_up_when_catch_up_no_longer_reaches_it(
    instance: DagsterInstance, settings: Settings, missing: int, given_up: bool
) -> None:
    load(settings, date(2026, 9, missing))
    assert ("missed" in found(instance, settings)) is given_up


def test_catch_up_reaches_back_from_the_day_that_is_due(
    instance: DagsterInstance, settings: Settings
) -> None:
    load(settings, date(2026, 9, 15))
    assert "missed" not in found(instance, settings, datetime(2026, 9, 21, 0, 29))
    assert "missed" in found(instance, settings, datetime(2026, 9, 21, 0, 30))


def test_days_before_the_first_load_were_not_missed(instance: DagsterInstance, settings: Settings) -> None:
    load(settings, first=date(2026, 9, 10))
    assert found(instance, settings) == {}


def test_a_day_of_which_a_table_is_missing_was_missed(instance: DagsterInstance, settings: Settings) -> None:
    load(settings, date(2026, 9, 4))
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, date(2026, 9, 4), tables=("users", "tracks"))
    assert found(instance, settings)["missed"].since == "2026-09-04"


def test_what_is_late_is_one_problem_that_a_failed_nightly_run_explains(
    instance: DagsterInstance, settings: Settings
) -> None:
    load(settings)
    tomorrow = MOMENT + timedelta(days=1)
    (late,) = found(instance, settings, tomorrow).values()
    assert (late.key, late.since, late.explained_by) == ("freshness", "2026-09-21", ("run:nightly",))
    assert late.title == "listens, recommendation_quality, recommendations: not up to date"
    assert [detail.partition(":")[0] for detail in late.details] == [
        *(f"{asset}/made_in_time" for asset in WATCHED),
        "listens/newest_listen",
    ]
    assert late.lasting


def test_recommendations_that_got_worse_are_reported_with_what_is_done_about_it(
    instance: DagsterInstance, settings: Settings
) -> None:
    load(settings)
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, A)
        add_plays(connection, date(2026, 9, 1))
        add_list(connection, LAST, 1, [10], A)
        add_quality(connection, date(2026, 9, 12), A, [0.080, 0.081, 0.079, 0.080, 0.020, 0.021])
    assert "degraded" not in found(instance, settings)
    with write_warehouse(settings.warehouse_path) as connection:
        add_quality(connection, date(2026, 9, 18), A, [0.020, 0.021, 0.019])
    worse = found(instance, settings)["degraded"]
    assert (worse.since, worse.lasting) == ("2026-09-16", True)
    assert worse.done.startswith("A training is due on 2026-09-20: ")
    assert worse.link == "http://ui/assets/recommendation_quality"
    assert worse.explained_by == ("fallback",)
    # A run that failed lately holds the training back, and the incident says until when.
    put_down_run(instance, "train", DagsterRunStatus.FAILURE, **{"dagster/partition": "2026-09-20"})
    assert "it waits until 2026-09-24" in found(instance, settings)["degraded"].done


def test_a_candidate_that_was_rejected_is_reported_as_an_event(
    instance: DagsterInstance, settings: Settings
) -> None:
    load(settings)
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, f"{LAST}-bbbbbbbb", "rejected")
    (incident,) = found(instance, settings).values()
    assert incident.key == f"rejected:{LAST}-bbbbbbbb"
    assert not incident.lasting
