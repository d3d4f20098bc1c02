"""Single assets by `dagster asset materialize`, each in a process of its own, with what it needs from before."""

import subprocess
import sys
from pathlib import Path

import pytest

from mock_api.server import running_server
from moovitamix_assets_tests.conftest import small_world
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment, environment, finish

NOWHERE = "http://127.0.0.1:9"


def materialize(home: Path, variables: dict[str, str], *arguments: str) -> tuple[int, str]:
    return finish(
        subprocess.Popen(
            [
                Path(sys.executable).with_name("dagster"),
                *("asset", "materialize", "-m", "moovitamix_assets.definitions"),
                *arguments,
            ],
            cwd=home,
            env={**variables, "DAGSTER_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )


def test_one_day_is_read_alone_and_its_table_rebuilt_with_the_source_switched_off(
    home: Path, tmp_path: Path, undisturbed: Deployment
) -> None:
    data_dir = tmp_path / "data"
    with running_server(small_world()) as url:
        code, output = materialize(
            home, environment(data_dir, url), "--select", "raw_users", "--partition", "2026-09-05"
        )
    assert code == 0, output
    day = "landing/users/2026-09-05"
    assert fingerprints.landing(data_dir) == {day: fingerprints.landing(undisturbed.data_dir)[day]}
    assert not (data_dir / "warehouse.duckdb").exists()

    code, output = materialize(
        home, environment(data_dir, NOWHERE), "--select", "users", "--partition", "2026-09-05"
    )
    assert code == 0, output
    rebuilt = Deployment(data_dir, NOWHERE)
    shown = "SELECT * EXCLUDE (loaded_at) FROM users WHERE changed_on = '2026-09-05' ORDER BY user_id"
    assert rebuilt.query(shown) == undisturbed.query(shown) != []
    assert rebuilt.query("SELECT DISTINCT changed_on::VARCHAR FROM partition_loads") == [("2026-09-05",)]


@pytest.mark.long
def test_a_range_of_days_is_read_alone(
    home: Path, tmp_path: Path, source_url: str, undisturbed: Deployment
) -> None:
    data_dir = tmp_path / "data"
    few_days = ("--partition-range", "2026-09-03...2026-09-04")
    code, output = materialize(home, environment(data_dir, source_url), "--select", "raw_users", *few_days)
    assert code == 0, output
    expected = fingerprints.landing(undisturbed.data_dir)
    days = ["landing/users/2026-09-03", "landing/users/2026-09-04"]
    assert fingerprints.landing(data_dir) == {day: expected[day] for day in days}

    offline = environment(data_dir, NOWHERE)
    code, output = materialize(home, offline, "--select", "users", *few_days)
    assert code == 0, output
    assert Deployment(data_dir, NOWHERE).query(
        "SELECT changed_on::VARCHAR FROM partition_loads ORDER BY ALL"
    ) == [("2026-09-03",), ("2026-09-04",)]
