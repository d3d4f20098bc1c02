"""Logs as JSON: every line of a real run is one object, however the run was started."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from dagster import DagsterInstance

from foundation.operations.logs import console_loggers
from foundation.run_tags import PARTITION_TAG
from foundation_tests.unit.operations.small_jobs import QUIET, run
from moovitamix_assets.partitions import range_tags


@pytest.fixture(autouse=True)
def text_afterwards() -> Iterator[None]:
    yield
    console_loggers("text")


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
    result = run(instance, job, log_format="json", tags=tags, run_config=run_config)
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
    run(instance, "ingest", "raise", log_format="json", tags=days, run_config=None)
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
    run(instance, "ingest", "raise", log_format="json", run_config=QUIET)
    assert lines(capsys) == []


def test_text_is_dagsters_own(instance: DagsterInstance, capsys: pytest.CaptureFixture[str]) -> None:
    run(instance, "nightly", log_format="json", run_config=None)
    capsys.readouterr()
    run(instance, "nightly", log_format="text", run_config=None)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "reading users" in line]
    assert " - dagster - INFO - nightly - " in line
