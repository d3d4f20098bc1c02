"""Runs that are terminated while the source keeps them waiting, a byte at a time: gone within seconds."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from moovitamix_assets_tests.integration.deployment import environment, moovitamix
from moovitamix_assets_tests.unit.ingestion.client.dripping_source import Drip, dripping

START_SECONDS = 120
# Ten are promised; what is left alone drips on for ever, and a machine under load takes its time to exit.
END_SECONDS = 30

Start = Callable[[Path, dict[str, str]], "subprocess.Popen[str]"]


def _run(home: Path, variables: dict[str, str]) -> "subprocess.Popen[str]":
    return moovitamix(home, variables, "run", "--from", "2026-09-01", "--to", "2026-09-02")


def _materialize(home: Path, variables: dict[str, str]) -> "subprocess.Popen[str]":
    dagster = Path(sys.executable).with_name("dagster")
    selected = ("--select", "raw_users", "--partition", "2026-09-02")
    return subprocess.Popen(
        [dagster, "asset", "materialize", "-m", "moovitamix_assets.definitions", *selected],
        cwd=home,
        env={**variables, "DAGSTER_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("start", [_run, _materialize])
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
@pytest.mark.parametrize("drip", ["body", pytest.param("silence", marks=pytest.mark.long)])
def test_a_run_that_is_terminated_while_it_reads_is_gone_within_seconds(
    start: Start, number: signal.Signals, drip: Drip, home: Path, tmp_path: Path
) -> None:
    with (
        dripping(drip, undocumented=True) as source,
        start(home, environment(tmp_path, source.url)) as process,
    ):
        try:
            assert source.asked.wait(START_SECONDS)
            process.send_signal(number)
            output, _ = process.communicate(timeout=END_SECONDS)
        finally:
            process.kill()
    assert process.returncode != 0
    assert not list(tmp_path.glob("landing/*/*/*.parquet")), output


def test_ctrl_c_in_a_terminal_ends_with_one_line(home: Path, tmp_path: Path) -> None:
    """A terminal sends SIGINT to the command and to all that it started."""
    program = Path(sys.executable).with_name("moovitamix")
    with (
        dripping("body", undocumented=True) as source,
        subprocess.Popen(
            [program, "run", "--from", "2026-09-01", "--to", "2026-09-02"],
            cwd=home,
            env=environment(tmp_path, source.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            assert source.asked.wait(START_SECONDS)
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=END_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors.splitlines() == [
        "Stopped by SIGINT in the job ingest. What was stored before stays; run again to continue from there."
    ]
