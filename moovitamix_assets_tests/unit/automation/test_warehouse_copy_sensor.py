"""The sensor that copies the warehouse: once after each change, never while a run is under way."""

from datetime import date
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, SkipReason, build_sensor_context

from foundation.warehouse import copying
from foundation.warehouse.copying import copy_of
from moovitamix_assets.automation.sensors import build_sensors
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import put_down_run
from moovitamix_assets_tests.unit.operations.loads import add_loads


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, date(2026, 9, 5))
    return settings


def tick(settings: Settings, instance: DagsterInstance) -> str:
    (sensor,) = (each for each in build_sensors(settings) if each.name == "warehouse_copy")
    result = sensor(build_sensor_context(instance=instance))
    assert isinstance(result, SkipReason)
    return str(result.skip_message)


def test_a_change_is_copied_once(settings: Settings) -> None:
    with DagsterInstance.ephemeral() as instance:
        assert tick(settings, instance) == "The warehouse was copied."
        assert copy_of(settings.warehouse_path).exists()
        assert tick(settings, instance) == "The copy is current."
        with write_warehouse(settings.warehouse_path) as connection:
            add_loads(connection, date(2026, 9, 6))
        assert tick(settings, instance) == "The warehouse was copied."


def test_nothing_is_copied_while_a_run_is_under_way_or_where_the_setting_says_so(settings: Settings) -> None:
    with DagsterInstance.ephemeral() as instance:
        without = settings.changed(warehouse_copy=False)
        assert tick(without, instance) == "MOOVITAMIX_WAREHOUSE_COPY is false."
        put_down_run(instance, "nightly", DagsterRunStatus.STARTED)
        assert tick(settings, instance) == "A run is under way."
    assert not copy_of(settings.warehouse_path).exists()


def test_a_copy_that_cannot_be_written_is_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_LEFT_FREE", 1e12)
    with DagsterInstance.ephemeral() as instance:
        assert "are free on its disk" in tick(settings, instance)


def test_before_the_first_load_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with DagsterInstance.ephemeral() as instance:
        assert tick(Settings(data_dir=tmp_path / "empty"), instance) == "The copy is current."
