"""Passwords in URLs stay where they are used: nothing that is stored, logged or printed quotes them."""

from datetime import timedelta
from pathlib import Path

import pytest
from dagster import AssetSelection
from typer.testing import CliRunner

from mock_api.server import running_server
from moovitamix_assets.cli.app import app
from moovitamix_assets_tests.conftest import LAST, small_world
from moovitamix_assets_tests.integration.automated import AutomatedDeployment, copy_of
from moovitamix_assets_tests.integration.deployment import Deployment

PASSWORD = "sesame-open"
NOBODY = f"http://user:{PASSWORD}@127.0.0.1:9"


def recorded(service: AutomatedDeployment) -> str:
    """All that Dagster recorded of all runs."""
    logs = (service.instance.all_logs(run.run_id) for run in service.instance.get_runs())
    return "\n".join(f"{entry}{entry.to_json()}" for entries in logs for entry in entries)


def test_no_record_log_or_file_of_a_run_quotes_a_password(
    undisturbed: Deployment, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(small_world()) as url:
        behind = url.replace("http://", f"http://user:{PASSWORD}@")
        service = copy_of(
            undisturbed,
            tmp_path / "data",
            behind,
            mlflow_tracking_uri=NOBODY,
            mirror_decisions=True,
        )
        assert service.ingest(LAST, LAST).success
        assert service.execute(
            AssetSelection.assets("training_set", "lightfm_model", "champion_model"),
            partition_key=f"{LAST}",
        ).success
    # The source is gone by now: what fails quotes no password either.
    assert not service.ingest(LAST + timedelta(days=1), LAST + timedelta(days=1)).success

    told = recorded(service)
    assert "MLflow at http://127.0.0.1:9 could not be written" in told
    assert "could not be read" in told or "failed" in told
    assert PASSWORD not in told
    assert PASSWORD not in "".join(capfd.readouterr())
    files = [path for path in service.data_dir.rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_no_command_prints_a_password(
    undisturbed: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOOVITAMIX_DATA_DIR", str(undisturbed.data_dir))
    for name in ("API_URL", "CLOCK_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(f"MOOVITAMIX_{name}", NOBODY)
    for command in ("doctor", "mirror", "run"):
        result = CliRunner().invoke(app, [command])
        assert result.exit_code, command
        assert "127.0.0.1" in result.output
        assert PASSWORD not in result.output, command
        assert PASSWORD not in repr(result.exception), command
        monkeypatch.setenv("MOOVITAMIX_API_URL", f"http:/user:{PASSWORD}@127.0.0.1")
        refused = CliRunner().invoke(app, [command])
        assert refused.exit_code == 2
        assert "MOOVITAMIX_API_URL = '127.0.0.1'" in refused.output
        assert PASSWORD not in refused.output
        monkeypatch.setenv("MOOVITAMIX_API_URL", NOBODY)
