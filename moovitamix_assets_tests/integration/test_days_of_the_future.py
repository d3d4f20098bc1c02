"""A clock that jumped ahead for one run, before a source that does not say what time it is: found, named and healed."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from dagster import AssetSelection

from foundation.operations.run_failures import failure_causes
from mock_api.server import running_server
from moovitamix_assets.automation.evidence import read_evidence
from moovitamix_assets.cli.inspection.doctor import examine
from moovitamix_assets.cli.inspection.recommendations import NothingToShow, _day
from moovitamix_assets.cli.recovery.forgetting import forget
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.future import DaysOfTheFuture
from moovitamix_assets_tests.conftest import small_world
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.automated import AutomatedDeployment
from moovitamix_assets_tests.integration.original_source import Records, original_records, serving

FIRST, HONEST, LAST = date(2026, 9, 1), date(2026, 9, 3), date(2026, 9, 5)
AHEAD = date(2026, 10, 4)
COMMAND = "moovitamix forget --after 2026-09-05"


@pytest.fixture(scope="module")
def clock_url() -> Iterator[str]:
    """A clock that the tests move; nothing else is asked there."""
    with running_server(small_world()) as url:
        yield url


def known_at(moment: str) -> Records:
    """What the source holds at a moment."""
    whole = original_records(datetime(2026, 9, 6), 60)
    return {
        endpoint: [record for record in listed if max(record["created_at"], record["updated_at"]) < moment]
        for endpoint, listed in whole.items()
    }


@pytest.fixture(scope="module")
def jumped(clock_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AutomatedDeployment]:
    """Days up to HONEST read as they ended; then, at noon of LAST, one run under a clock four weeks ahead."""
    records = known_at("2026-09-04")
    with serving(records) as url:
        service = AutomatedDeployment(tmp_path_factory.mktemp("jumped") / "data", url, clock_url=clock_url)
        service.at("2026-09-04T00:30")
        assert service.ingest(FIRST, HONEST).success
        records.update(known_at("2026-09-05T12"))
        service.at("2026-10-05T12:00")
        service.run(FIRST, AHEAD)
        # The machine's clock is what loads are dated by.
        service.edit(
            "UPDATE partition_loads SET loaded_at = '2099-10-05 12:00' WHERE changed_on > '2026-09-03'"
        )
        records.update(known_at("2026-09-06"))
        service.at("2026-09-06T12:00")
        yield service


def test_a_run_refuses_and_names_the_days_and_the_command(jumped: AutomatedDeployment) -> None:
    with pytest.raises(DaysOfTheFuture) as refused:
        jumped.run(FIRST, LAST)
    message = str(refused.value)
    assert "partition_loads 2026-09-06 to 2026-10-04 (29 days)" in message
    assert "recommendations 2026-10-04" in message
    assert "promotions 2026-10-04" in message
    assert "partition_loads 2026-09-04 to 2026-09-05 (2 days)" in message
    assert COMMAND in message


def test_nightly_runs_wait_and_users_are_notified(jumped: AutomatedDeployment) -> None:
    for found in (jumped.tick("2026-09-06T00:30"), jumped.look("catch_up")):
        assert not found.run_requests
        assert COMMAND in found.skip_message
    assert "future" in jumped.look("alerts").skip_message


def test_the_doctor_names_them(jumped: AutomatedDeployment) -> None:
    (symptom,) = [each for each in examine(jumped.settings) if each.subject == "days"]
    assert not symptom.is_well
    assert "2026-10-04" in symptom.finding
    assert COMMAND in symptom.remedy


def test_lists_and_decisions_of_the_future_are_not_looked_at(jumped: AutomatedDeployment) -> None:
    with read_warehouse(jumped.settings.warehouse_path) as connection:
        assert read_evidence(connection) is not None
        assert read_evidence(connection, until=LAST) is None
        for day in (None, AHEAD):
            with pytest.raises(NothingToShow):
                _day(connection, day, LAST)
    assert "There are no recommendations yet" in jumped.look("retraining").skip_message


def test_one_command_and_one_run_heal_it(jumped: AutomatedDeployment, clock_url: str, tmp_path: Path) -> None:
    files = sorted(jumped.settings.landing_dir.rglob("*.parquet"))
    done = forget(jumped.settings, jumped.instance, LAST)
    assert done.rows["partition_loads"] == 3 * (29 + 2)
    assert {"recommendations", "promotions", "model_evaluations"} <= set(done.rows) | {"model_evaluations"}
    assert done.partitions == 3 * (29 + 2)
    assert done.still_recorded > 0
    assert sorted(jumped.settings.landing_dir.rglob("*.parquet")) == files
    assert forget(jumped.settings, jumped.instance, LAST).rows == {}

    # Nothing rebuilds a day from what was read before its end.
    rebuilt = jumped.execute(AssetSelection.assets("users"), None, "2026-09-20")
    assert not rebuilt.success
    assert "only before the day had ended" in "\n".join(failure_causes(rebuilt.all_events))

    jumped.run(FIRST, LAST)
    clean = AutomatedDeployment(tmp_path / "clean", jumped.settings.source.api_url, clock_url=clock_url)
    clean.run(FIRST, LAST)
    assert fingerprints.tables(jumped.settings.warehouse_path) == fingerprints.tables(
        clean.settings.warehouse_path
    )
    assert fingerprints.artifacts(jumped.data_dir) == fingerprints.artifacts(clean.data_dir)
    assert not jumped.run(FIRST, LAST).missing
    assert "Everything is up to date" in jumped.look("catch_up").skip_message
