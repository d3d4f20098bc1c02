"""What the doctor finds of settings that would go wrong by themselves only later, or change nothing in silence."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from moovitamix_assets.cli import app
from moovitamix_assets.command.doctor import Symptom, examine
from moovitamix_assets.settings import Settings

SECRET = "sesame"


def found(subject: str, **settings: object) -> Symptom:
    (symptom,) = (each for each in examine(Settings(**settings)) if each.subject == subject)
    return symptom


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOOVITAMIX_LOG_FORMAT", "json")
    assert found("variables").is_well
    monkeypatch.setenv("MOOVITAMIX_AUTOMATIC_RETRAINNG", "false")
    assert found("variables").finding == "MOOVITAMIX_AUTOMATIC_RETRAINNG: unknown"


def test_a_clock_that_does_not_answer_is_found() -> None:
    assert found("clock").is_well
    assert "MOOVITAMIX_CLOCK_URL" in found("clock", clock_url="http://127.0.0.1:9").remedy


@pytest.mark.parametrize(
    ("urls", "well", "finding"),
    [
        ("", True, "nobody is told: they are warnings in the sensor's log"),
        (f"json://{SECRET}@hooks.example.org/music", True, "1 services are told"),
        ("nonsense", False, "what it begins with is no URL"),
        (f"jsn://{SECRET}@hooks.example.org", False, "jsn (URL 1) is no URL Apprise accepts"),
    ],
)
def test_alerts_that_would_reach_nobody_are_found_before_there_is_one(
    urls: str, well: bool, finding: str
) -> None:
    symptom = found("alerts", alert_urls=urls)
    assert (symptom.is_well, symptom.finding) == (well, finding)
    assert SECRET not in symptom.finding


def test_a_threshold_of_a_file_that_cannot_be_is_told_by_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text("drift_threshold: -1\n")
    monkeypatch.setenv("MOOVITAMIX_THRESHOLDS_FILE", f"{tmp_path}/own.yaml")
    told = CliRunner().invoke(app, ["doctor"])
    assert told.exit_code == 2
    assert f"drift_threshold of {tmp_path}/own.yaml = -1: " in told.output
    monkeypatch.setenv("MOOVITAMIX_DRIFT_THRESHOLD", "-2")
    assert "MOOVITAMIX_DRIFT_THRESHOLD = '-2': " in CliRunner().invoke(app, ["doctor"]).output
