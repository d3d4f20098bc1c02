"""Logs as JSON: every line of a real run is one object, however the run was started."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from dagster import DagsterInstance, colored_console_logger

from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.operations.logs import console_loggers, json_console_logger
from moovitamix_assets.partitions import PARTITION_TAG, range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets_tests.unit.operations.small_jobs import QUIET, run

AS_JSON = Settings(log_format="json")


@pytest.fixture(autouse=True)
def text_afterwards() -> Iterator[None]:
    yield
    console_loggers(Settings(log_format="text"))


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as records:
        yield records


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    output = capsys.readouterr()
    assert output.out == ""
    return [json.loads(line) for line in output.err.splitlines()]


@pytest.mark.parametrize("run_config", [None, {"loggers": {"console": {"config": {"log_level": "debug"}}}}])
@pytest.mark.parametrize("job", ["nightly", "__ASSET_JOB"])
def test_every_line_of_a_run_says_where_it_comes_from(
    job: str, run_config: dict[str, Any] | None, instance: DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    tags = {PARTITION_TAG: "2026-10-04"}
    result = run(instance, job, settings=AS_JSON, tags=tags, run_config=run_config)
    said = lines(capsys)
    assert {(line["run_id"], line["job"], line["partition"]) for line in said} == {
        (result.run_id, job, "2026-10-04")
    }
    (reading,) = [line for line in said if line["message"] == "reading users"]
    assert (reading["level"], reading["step"]) == ("INFO", "users")
    moment = datetime.fromisoformat(reading["time"])
    assert moment.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert "exception" not in reading


def test_a_failure_has_its_exception_and_the_range_its_ends(
    instance: DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    days = range_tags(date(2026, 10, 1), date(2026, 10, 4))
    run(instance, "ingest", "raise", settings=AS_JSON, tags=days, run_config=None)
    said = lines(capsys)
    assert {(line["first_partition"], line["last_partition"]) for line in said} == {
        ("2026-10-01", "2026-10-04")
    }
    (failure,) = [line for line in said if line.get("step") == "users" and "exception" in line]
    assert failure["level"] == "ERROR"
    assert "Page 2 of users could not be read" in failure["exception"]
    assert "connection refused" in failure["exception"]


def test_a_run_of_the_command_is_as_quiet_as_with_text(
    instance: DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    run(instance, "ingest", "raise", settings=AS_JSON, run_config=QUIET)
    assert lines(capsys) == []


def test_text_is_dagsters_own(instance: DagsterInstance, capsys: pytest.CaptureFixture[str]) -> None:
    run(instance, "nightly", settings=AS_JSON, run_config=None)
    capsys.readouterr()
    run(instance, "nightly", settings=Settings(log_format="text"), run_config=None)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "reading users" in line]
    assert " - dagster - INFO - nightly - " in line


@pytest.mark.parametrize("job", ["ingest", "rollback", "__ASSET_JOB"])
def test_the_projects_jobs_have_it(job: str) -> None:
    assert build_definitions(AS_JSON).resolve_job_def(job).loggers["console"] is json_console_logger
    as_text = build_definitions(Settings(log_format="text")).resolve_job_def(job).loggers
    assert as_text == {"console": colored_console_logger}
