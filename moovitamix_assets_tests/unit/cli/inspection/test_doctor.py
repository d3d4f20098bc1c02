"""What the doctor finds of settings that would go wrong by themselves only later, or change nothing in silence."""

import os
import shutil
import sys
from collections import namedtuple
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from foundation.warehouse.errors import WarehouseLocked
from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.inspection import doctor
from moovitamix_assets.cli.inspection.doctor import Symptom, examine
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.ingestion.client.scripted_source import serving
from moovitamix_assets_tests.unit.operations.loads import add_loads

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


def test_a_clock_that_differs_from_the_clock_of_the_source_is_found(source_url: str) -> None:
    behind = found("clock", api_url=source_url)
    assert not behind.is_well
    assert "2026-09-06 12:00 by the source's" in behind.finding
    assert "by the machine's clock" in behind.finding
    followed = found("clock", api_url=source_url, clock_url=source_url)
    assert followed.is_well
    assert "the source's differs by 0 s" in followed.finding
    assert found("clock", api_url=source_url, clock_tolerance_minutes=1e9).is_well


@pytest.mark.parametrize(
    ("urls", "well", "finding"),
    [
        ("", True, "not sent anywhere: they are warnings in the sensor's log"),
        (f"json://{SECRET}@hooks.example.org/music", True, "sent to 1 service"),
        ("nonsense", False, "its beginning is not a URL"),
        (f"jsn://{SECRET}@hooks.example.org", False, "jsn (URL 1) is not a URL that Apprise accepts"),
    ],
)
def test_alerts_that_would_reach_no_service_are_found_before_there_is_one(
    urls: str, well: bool, finding: str
) -> None:
    symptom = found("alerts", alert_urls=urls)
    assert (symptom.is_well, symptom.finding) == (well, finding)
    assert SECRET not in symptom.finding


def test_a_threshold_of_a_file_that_cannot_be_is_named_with_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text("drift_threshold: -1\n")
    monkeypatch.setenv("MOOVITAMIX_THRESHOLDS_FILE", f"{tmp_path}/own.yaml")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 2
    assert f"drift_threshold of {tmp_path}/own.yaml = -1: " in result.output
    monkeypatch.setenv("MOOVITAMIX_DRIFT_THRESHOLD", "-2")
    assert "MOOVITAMIX_DRIFT_THRESHOLD = '-2': " in CliRunner().invoke(app, ["doctor"]).output


def test_the_command_fails_if_and_only_if_something_needs_mending(monkeypatch: pytest.MonkeyPatch) -> None:
    well, ill = Symptom("disk", True, "9 GB free"), Symptom("pool", False, "no dagster.yaml", "Copy it.")
    for symptoms, code in (([well, well], 0), ([ill, well], 1), ([well, ill], 1)):
        monkeypatch.setattr(doctor, "examine", lambda settings, found=tuple(symptoms): iter(found))
        result = CliRunner().invoke(app, ["doctor"])
        assert result.exit_code == code, result.output
        assert ("mend pool no dagster.yaml" in result.output) is (code == 1)
        assert ("Copy it." in result.output) is (code == 1)
        assert "ok   disk 9 GB free" in result.output


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def test_the_pool_of_the_project_is_well(home: Path) -> None:
    shutil.copy(Path(__file__).parents[4] / "dagster.yaml", home)
    assert found("pool").is_well
    assert str(home) in found("pool").finding


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "concurrency:",
        "concurrency: {pools: {default_limit: 5, granularity: op}}",
        "concurrency: {pools: {default_limit: 1, granularity: run}}",
        "concurrency: {pools: {default_limit: 1}}",
        "concurrency: {pools: {granularity: op}}",
        "concurrency: {runs: {max_concurrent_runs: 1}}",
    ],
)
def test_a_pool_that_lets_two_steps_open_the_warehouse_is_found(home: Path, text: str | None) -> None:
    if text is not None:
        (home / "dagster.yaml").write_text(text)
    symptom = found("pool")
    assert not symptom.is_well
    assert "dagster instance concurrency set warehouse 1" in symptom.remedy


def test_without_a_home_the_working_directory_is_looked_at(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(home)
    assert not found("pool").is_well
    shutil.copy(Path(__file__).parents[4] / "dagster.yaml", home)
    assert found("pool").is_well


def test_variables_are_distinguished_by_their_whole_name_and_other_programs_own_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOOVITAMIX_SEEDS", "1")
    monkeypatch.setenv("MOOVITAMIX_", "1")
    monkeypatch.setenv("MOOVI", "1")
    symptom = found("variables")
    assert not symptom.is_well
    assert symptom.finding == "MOOVITAMIX_, MOOVITAMIX_SEEDS: unknown"
    assert "docs/settings.md" in symptom.remedy


@pytest.mark.parametrize(("gigabytes", "well"), [(1.99, False), (2.0, True)])
def test_a_disk_that_is_nearly_full_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gigabytes: float, well: bool
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(gigabytes * 1e9))
    symptom = found("disk", data_dir=tmp_path / "not" / "made")
    assert (symptom.is_well, bool(symptom.remedy)) == (well, not well)
    assert str(tmp_path) in symptom.finding


def test_a_folder_that_cannot_be_written_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda folder, how: how != os.W_OK)
    assert "MOOVITAMIX_DATA_DIR" in found("disk", data_dir=tmp_path).remedy


@pytest.mark.parametrize(
    ("version", "well"), [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 5), True), ((3, 14, 0), False)]
)
def test_an_interpreter_that_is_not_supported_is_found(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], well: bool
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert found("interpreter").is_well is well


def test_a_compiler_is_looked_for_by_each_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/clang" if name == "clang" else None)
    assert found("compiler") == Symptom("compiler", True, "/usr/bin/clang")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not found("compiler").is_well


def test_a_start_date_that_was_moved_is_found(tmp_path: Path) -> None:
    assert found("start date", data_dir=tmp_path).is_well
    (tmp_path / "start_date").write_text(f"{Settings().start_date}\n")
    assert found("start date", data_dir=tmp_path).is_well
    (tmp_path / "start_date").write_text("2026-10-01")
    symptom = found("start date", data_dir=tmp_path)
    assert not symptom.is_well
    assert "MOOVITAMIX_START_DATE=2026-10-01" in symptom.remedy


def test_a_warehouse_is_well_unless_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path)
    assert "moovitamix run creates it" in found("warehouse", data_dir=tmp_path).finding
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, date(2026, 9, 3), date(2026, 9, 5))
    assert found("warehouse", data_dir=tmp_path).finding.endswith("newest day loaded 2026-09-05")

    def locked(path: Path) -> None:
        raise WarehouseLocked("Process 7 holds it.")

    monkeypatch.setattr(doctor, "read_warehouse", locked)
    assert found("warehouse", data_dir=tmp_path) == Symptom(
        "warehouse", False, "locked", "Process 7 holds it."
    )


def test_a_source_that_is_named_and_does_not_answer_is_found() -> None:
    assert found("source").is_well
    symptom = found("source", api_url="http://127.0.0.1:9")
    assert (symptom.is_well, symptom.finding) == (False, "http://127.0.0.1:9")
    assert "MOOVITAMIX_API_URL" in symptom.remedy


@pytest.mark.parametrize(("filtered", "said"), [(True, "with filters"), (False, "without filters")])
def test_a_source_that_answers_is_described(
    monkeypatch: pytest.MonkeyPatch, filtered: bool, said: str
) -> None:
    class Answering:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> "Answering":
            return self

        def __exit__(self, *_: object) -> None: ...

        def check(self) -> SimpleNamespace:
            answer = {"title": "Music", "version": "1.2", "url": "http://music", "totals": {"users": 60}}
            return SimpleNamespace(filtered=filtered, **answer)

    monkeypatch.setattr(doctor, "SourceApi", Answering)
    symptom = found("source", api_url="http://music")
    assert symptom == Symptom("source", True, f"Music 1.2 at http://music, {said}: users 60")


def test_every_symptom_that_is_ill_has_a_remedy(home: Path) -> None:
    symptoms = list(
        examine(Settings(data_dir=home, api_url="http://127.0.0.1:9", clock_url="http://127.0.0.1:9"))
    )
    assert {each.subject for each in symptoms if not each.is_well} == {"pool", "source", "clock"}
    assert all(bool(each.remedy) is not each.is_well for each in symptoms)
    assert len({each.subject for each in symptoms}) == len(symptoms) == 12


def test_a_warehouse_that_the_next_write_would_refuse_is_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        connection.execute("ALTER TABLE promotions DROP COLUMN decision_number")
    assert found("warehouse", data_dir=tmp_path).is_well  # a later version added it: the next write does
    with write_warehouse(settings.warehouse_path) as connection:
        connection.execute("ALTER TABLE drift DROP COLUMN value")
    symptom = found("warehouse", data_dir=tmp_path)
    assert symptom.finding == "of another version"
    assert "drift" in symptom.remedy
    assert "moovitamix rebuild" in symptom.remedy


def test_records_of_another_data_folder_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    (home / "other").mkdir()
    (home / "data_dir").write_text(f"{home}/other\n")
    symptom = found("records")
    assert not symptom.is_well
    assert f"those of the data folder {home}/other" in symptom.remedy


def test_a_source_is_asked_with_the_secret_headers() -> None:
    with serving() as source:
        found("source", api_url=source.url, api_token="t0ken")
    assert set(source.authorizations) == {"Bearer t0ken"}
