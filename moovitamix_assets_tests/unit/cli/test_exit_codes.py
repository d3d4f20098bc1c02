"""How every command ends when what it does fails: 1 with the message, 2 for what a user gave; never a traceback."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from foundation.landing.first_partition import StartDateMoved
from foundation.models.model_store import ModelMissing
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from moovitamix_assets.automation import training_records
from moovitamix_assets.automation.training_records import NoOpenRequest, NothingServed
from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.inspection import recommendations as recommend
from moovitamix_assets.cli.inspection.tracks import NothingToShow
from moovitamix_assets.cli.interface import instance
from moovitamix_assets.cli.interface.instance import NoInstance
from moovitamix_assets.cli.runs import pipeline
from moovitamix_assets.cli.runs import run_summary as summary
from moovitamix_assets.cli.runs.bundled_source import SourceNotStarted
from moovitamix_assets.cli.runs.job_runs import RunFailed
from moovitamix_assets.cli.runs.pipeline import Missing, Outcome
from moovitamix_assets.cli.services import development, exporter
from moovitamix_assets.operations.health.exporter import PortTaken
from moovitamix_assets.training.mirroring import mirror
from moovitamix_assets.training.mirroring.mirror import MirrorFailed

SAID = "What failed, and what to do about it."
RUN = ("run", "--from", "2026-09-01", "--to", "2026-09-02")


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in a folder of its own, on an instance that is none."""

    @contextmanager
    def opened(data_dir: Path):
        yield None

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(instance, "open_instance", opened)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.mark.parametrize(
    ("arguments", "module", "name", "error", "code"),
    [
        (RUN, pipeline, "run_pipeline", RunFailed, 1),
        (RUN, pipeline, "run_pipeline", SourceNotStarted, 1),
        (RUN, pipeline, "run_pipeline", WarehouseLocked, 1),
        (RUN, pipeline, "run_pipeline", StartDateMoved, 2),
        (RUN, instance, "open_instance", NoInstance, 1),
        (("recommend", "1"), recommend, "read_recommendations", NothingToShow, 1),
        (("recommend", "1"), recommend, "read_recommendations", WarehouseMissing, 1),
        (("recommend", "1"), recommend, "read_recommendations", WarehouseLocked, 1),
        (("recommend", "--similar", "1"), recommend, "read_similar", ModelMissing, 1),
        (("recommend", "--session", "1,2"), recommend, "read_session", ModelMissing, 1),
        (("rollback",), pipeline, "run_rollback", RunFailed, 1),
        (("rollback",), pipeline, "run_rollback", WarehouseMissing, 1),
        (("rollback",), pipeline, "run_rollback", WarehouseLocked, 1),
        (("rollback",), instance, "open_instance", NoInstance, 1),
        (("retrain",), training_records, "request_retraining", NothingServed, 1),
        (("retrain",), training_records, "request_retraining", WarehouseMissing, 1),
        (("retrain",), training_records, "request_retraining", WarehouseLocked, 1),
        (("retrain",), instance, "open_instance", NoInstance, 1),
        (("retrain", "--cancel"), training_records, "withdraw_request", NoOpenRequest, 1),
        (("mirror",), mirror, "write_mirror", MirrorFailed, 1),
        (("mirror",), mirror, "write_mirror", WarehouseMissing, 1),
        (("mirror",), mirror, "write_mirror", WarehouseLocked, 1),
        (("exporter",), exporter, "run_exporter", NoInstance, 1),
        (("exporter",), exporter, "run_exporter", PortTaken, 1),
    ],
)
def test_a_command_that_fails_says_why_and_does_not_end_with_0(
    invoke: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    module: Any,
    name: str,
    error: type[Exception],
    code: int,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error(SAID)

    monkeypatch.setattr(module, name, fail)
    result = invoke(*arguments)
    assert (result.exit_code, result.stderr.strip()) == (code, SAID)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_development_server_ends_as_dagster_did(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(development, "run_development", lambda *_: code)
    assert invoke("dev").exit_code == code


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "--from", "2026-08-31"), "--from 2026-08-31"),
        (
            ("run", "--from", "2026-09-03", "--to", "2026-09-02"),
            "--from 2026-09-03 comes after --to 2026-09-02",
        ),
        (("run", "--to", "2999-01-01"), "--to 2999-01-01 has not ended yet"),
        (("run", "--source-url", "localhost:8000"), "--source-url = 'localhost:8000'"),
        (("retrain", "--now", "--cancel"), "--now and --cancel exclude each other"),
        (("recommend",), "USER_ID"),
        (("recommend", "1", "--similar", "2"), "USER_ID"),
        (("recommend", "--session", "1,two"), "'two' is not an id"),
    ],
)
def test_what_a_user_gave_wrong_ends_with_2_before_anything_is_made(
    invoke: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert named in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_makes_both_ends_of_its_range_and_says_what_was_not_done(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[date, date]] = []
    nothing = Missing([], decision=False, made=False)

    def made(settings: object, first: date, last: date, *_: object, **__: object) -> Outcome:
        asked.append((first, last))
        return Outcome(nothing, nothing_to_learn=True)

    monkeypatch.setattr(pipeline, "run_pipeline", made)
    monkeypatch.setattr(summary, "print_summary", lambda *_: None)
    result = invoke(*RUN)
    assert (result.exit_code, asked) == (0, [(date(2026, 9, 1), date(2026, 9, 2))])
    assert "Nothing was missing." in result.output
    assert "No model was trained" in result.output
    # The first partition and a single day are ranges too.
    assert invoke("run", "--from", "2026-09-01", "--to", "2026-09-01").exit_code == 0
    nothing_less = Missing([date(2026, 9, 1)], decision=False, made=False)
    monkeypatch.setattr(pipeline, "run_pipeline", lambda *_, **__: Outcome(nothing_less))
    assert "No" not in invoke(*RUN).output.replace("MooVitamix", "")


def test_a_run_that_leaves_out_the_first_partition_says_so(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Missing([], decision=False, made=False)
    monkeypatch.setattr(pipeline, "run_pipeline", lambda *_, **__: Outcome(nothing))
    monkeypatch.setattr(summary, "print_summary", lambda *_: None)
    said = " ".join(invoke("run", "--from", "2026-09-02", "--to", "2026-09-03").output.split())
    assert "The first partition, 2026-09-01, is left out" in said
    assert "moovitamix run --to 2026-09-03" in said
    assert "left out" not in invoke(*RUN).output


def test_a_misspelt_setting_is_named_with_the_one_that_is_meant(invoke, monkeypatch) -> None:
    monkeypatch.setenv("MOOVITAMIX_DATADIR", "elsewhere")
    monkeypatch.setenv("MOOVITAMIX_XYZ", "1")
    said = invoke("history").output
    assert "MOOVITAMIX_DATADIR is no setting and changes nothing; did you mean MOOVITAMIX_DATA_DIR?" in said
    assert "MOOVITAMIX_XYZ is no setting and changes nothing: docs/settings.md has the names." in said


def test_the_version_is_printed(invoke) -> None:
    result = invoke("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", result.output)


def test_a_folder_that_cannot_be_created_is_named(invoke) -> None:
    result = invoke(*RUN, "--data-dir", "/proc/nowhere")
    assert result.exit_code == 2
    assert "--data-dir /proc/nowhere: it cannot be created" in result.stderr


def test_a_start_date_that_has_not_come_is_named_and_not_an_option_that_nobody_gave(
    invoke, monkeypatch
) -> None:
    monkeypatch.setenv("MOOVITAMIX_START_DATE", "2999-01-01")
    result = invoke("run")
    assert result.exit_code == 2
    assert "MOOVITAMIX_START_DATE = 2999-01-01" in result.stderr
    assert "--from" not in result.stderr


@pytest.mark.parametrize("command", ["run", "recommend", "forget"])
def test_help_shows_what_to_write_and_no_bounds_of_a_type(invoke, command: str) -> None:
    said = invoke(command, "--help").output
    assert "%Y" not in said
    assert "9223372036854775807" not in said


@pytest.mark.parametrize("command", ["status", "history", "doctor", "dev", "run", "mirror"])
@pytest.mark.parametrize(("variable", "value"), [("PAGE_SIZE", "abc"), ("NIGHTLY_AT", "25:99")])
def test_a_setting_that_cannot_be_used_is_named_by_every_command(
    command: str, variable: str, value: str, tmp_path: Path
) -> None:
    """In a process of its own: partitions read the settings when they are imported."""
    ended = subprocess.run(
        [sys.executable, "-c", "from moovitamix_assets.cli.app import app; app()", command],
        cwd=tmp_path,
        env={**os.environ, f"MOOVITAMIX_{variable}": value},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert f"MOOVITAMIX_{variable} = {value!r}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_rebuild_does_not_create_a_folder_that_was_mistyped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    mistyped = tmp_path / "dta"
    result = CliRunner().invoke(app, ["rebuild", "--data-dir", str(mistyped)])
    assert result.exit_code == 1
    assert f"There is no data folder {mistyped}" in result.stderr
    assert not mistyped.exists()


def test_ctrl_c_outside_of_a_run_ends_with_one_line(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moovitamix_assets.cli.inspection.history.read_history", interrupt)
    result = invoke("history")
    assert (result.exit_code, result.output) == (130, "Stopped by SIGINT.\n")
