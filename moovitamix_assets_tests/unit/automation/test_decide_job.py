"""The job that records which version serves."""

from datetime import timedelta
from pathlib import Path

import pytest
from dagster import ExecuteInProcessResult

from foundation.models import promotions
from foundation.models.decisions import Standing
from moovitamix_assets.automation.jobs import DECIDE_JOB
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets_tests.unit.automation.served_days import FIRST, day
from moovitamix_assets_tests.unit.automation.warehouses import add_quality, decide_about
from moovitamix_assets_tests.unit.warehouse.rows import add_list

TODAY = day(20)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A champion that clearly lost to popular tracks on the last two days."""
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, FIRST)
        add_list(connection, TODAY, 1, [10], FIRST)
        add_quality(connection, TODAY - timedelta(days=1), FIRST, [0.01, 0.01])
        connection.execute("UPDATE recommendation_quality SET popularity_gain_standard_error = 0.001")
    return settings


def decide(settings: Settings) -> ExecuteInProcessResult:
    return DECIDE_JOB.execute_in_process(
        run_config={"ops": {"decide_about_serving": {"config": {"day": f"{TODAY}"}}}},
        resources={"settings": settings},
    )


def standing(settings: Settings) -> Standing:
    with read_warehouse(settings.warehouse_path) as connection:
        return promotions.standing(connection, TODAY)


def test_a_day_is_decided_about_once_however_often_it_is_asked_for(settings: Settings):
    outcomes = [decide(settings).output_for_node("decide_about_serving") for _ in range(2)]
    assert outcomes == ["fall_back", None]
    assert (standing(settings).serving, standing(settings).shadows) == ("popularity", (FIRST,))
    with read_warehouse(settings.warehouse_path) as connection:
        assert len(promotions.all_decisions(connection)) == 2


def test_what_lies_after_the_day_is_not_considered(settings: Settings):
    tomorrow = TODAY + timedelta(days=1)
    with write_warehouse(settings.warehouse_path) as connection:
        add_list(connection, tomorrow, 1, [10], FIRST)
        add_quality(connection, tomorrow, FIRST, [0.09])
    assert decide(settings).output_for_node("decide_about_serving") == "fall_back"


def test_without_recommendations_nothing_is_decided(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path):
        pass
    assert decide(settings).output_for_node("decide_about_serving") is None
