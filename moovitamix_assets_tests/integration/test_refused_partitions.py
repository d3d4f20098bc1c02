"""A source that is consistently wrong: refused on every run, and loaded as from a clean start once it is well."""

from copy import deepcopy
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from moovitamix_assets.cli.runs.job_runs import RunFailed
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.automated import AutomatedDeployment
from moovitamix_assets_tests.integration.deployment import Deployment
from moovitamix_assets_tests.integration.original_source import Records, original_records, serving

CLOCK = datetime(2026, 9, 6)
FIRST, LAST = date(2026, 9, 1), date(2026, 9, 5)


def without_every_second_id(records: Records) -> Records:
    broken = deepcopy(records)
    for user in broken["users"][::2]:
        user["id"] = None
    return broken


def put(served: Records, records: Records) -> None:
    """Let a running source serve other records."""
    for endpoint, listed in records.items():
        served[endpoint][:] = deepcopy(listed)


def tables_but_counts(deployment: Deployment) -> dict[str, str]:
    """`partition_loads` distinguishes the number of times the source was read."""
    tables = fingerprints.tables(deployment.settings.warehouse_path)
    return {name: rows for name, rows in tables.items() if name != "partition_loads"}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """What a load of the well source gives. Only to be looked at."""
    with serving(original_records(CLOCK, 150)) as url:
        deployment = Deployment(tmp_path_factory.mktemp("clean") / "data", url)
        deployment.run(FIRST, LAST)
    return deployment


def test_half_of_the_ids_null_is_refused_every_time_and_healed_by_one_plain_run(
    tmp_path: Path, clean: Deployment
) -> None:
    well = original_records(CLOCK, 150)
    served = without_every_second_id(well)
    with serving(served) as url:
        deployment = Deployment(tmp_path / "data", url)
        for _ in range(2):
            with pytest.raises(RunFailed, match="75 of 150 records of users were rejected"):
                deployment.run(FIRST, LAST)
            assert deployment.query("SELECT count(*) FROM users") == [(0,)]
            assert deployment.query("SELECT 1 FROM partition_loads WHERE table_name = 'users'") == []
            assert deployment.query("SELECT count(*) FROM rejected_users") == [(75,)]
            for later in ("promotions", "recommendations", "partitions_made"):
                assert deployment.query(f"SELECT count(*) FROM {later}") == [(0,)]
        put(served, well)
        assert deployment.run(FIRST, LAST).missing.days
        assert not deployment.run(FIRST, LAST).missing
    assert tables_but_counts(deployment) == tables_but_counts(clean)
    (row,) = deployment.query(
        "SELECT sum(received), sum(accepted), sum(rejected), sum(superseded) FROM partition_loads "
        "WHERE table_name = 'users'"
    )
    assert row == (225, 150, 0, 75)


def test_a_night_is_refused_until_the_source_is_well(tmp_path: Path, clean: Deployment) -> None:
    night = LAST + timedelta(days=1)
    well = original_records(CLOCK, 150)
    newcomers: list[dict[str, Any]] = [
        {**user, "id": 200_000 + number, "created_at": f"{night}T10:00:00", "updated_at": f"{night}T10:00:00"}
        for number, user in enumerate(well["users"][:60])
    ]
    served = deepcopy(well)
    with serving(served) as url:
        service = AutomatedDeployment(tmp_path / "data", url, clock_url="", catch_up_attempts=3)
        service.run(FIRST, LAST)
        served["users"] += [{**user, "id": None} for user in newcomers]
        attempts = [request(service, night) for _ in range(2)]
        assert attempts == [False, False]
        assert service.query("SELECT count(*) FROM partition_loads WHERE changed_on = ?", night) == [(2,)]
        assert service.query("SELECT count(*) FROM recommendations WHERE generated_for = ?", night) == [(0,)]

        put(served, {**well, "users": [*well["users"], *newcomers]})
        assert request(service, night)
        assert service.query(
            "SELECT count(*) FROM users WHERE user_id >= 200000 AND changed_on = ?", night
        ) == [(60,)]
        assert service.query("SELECT count(*) FROM rejected_users") == [(0,)]
        assert service.query("SELECT count(*) FROM recommendations WHERE generated_for = ?", night) != [(0,)]


def request(service: AutomatedDeployment, night: date) -> bool:
    """Carry out the run that is planned for a night."""
    from moovitamix_assets.automation.nightly_runs import nightly_request

    planned = nightly_request(service.instance, service.settings, night)
    return service.carry_out(planned).success
