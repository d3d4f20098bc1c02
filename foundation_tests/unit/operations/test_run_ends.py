"""A process that is asked to end while native code holds it ends all the same, with what it started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRunStatus, execute_job, job, op, reconstructable

from foundation.dagster_internals import InstanceRef
from foundation.operations import run_ends
from foundation.operations.dead_runs import release_dead_runs

# Native code that gives no handler a chance for minutes.
BUSY = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
IN_A_COMMAND = """
import hashlib, signal, subprocess, sys
from foundation.operations.run_ends import ending_soon_after_a_signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
with ending_soon_after_a_signal(0.2):
    print(child.pid, flush=True)
    {work}
"""
IN_A_RUN = """
import sys
from foundation_tests.unit.operations.test_run_ends import run_here
run_here(sys.argv[1])
"""


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def started() -> Iterator[Start]:
    """Starts a script in a process of its own, which does not outlast a test that fails."""
    processes = []

    def start(script: str, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            # A shell starts its background jobs with Ctrl-C ignored, which would be inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_native_code_does_not_outlast_a_signal(started: Start, number: signal.Signals) -> None:
    process = started(IN_A_COMMAND.format(work=BUSY))
    child = psutil.Process(int(process.stdout.readline()))
    time.sleep(0.3)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    child.wait(timeout=60)


def test_what_ends_itself_in_time_ends_in_its_own_way(started: Start) -> None:
    process = started(IN_A_COMMAND.format(work="import time; time.sleep(60)"))
    child = psutil.Process(int(process.stdout.readline()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 3
    child.kill()


def test_nothing_is_watched_any_more_afterwards() -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with run_ends.ending_soon_after_a_signal():
        assert signal.set_wakeup_fd(-1) != -1
    assert signal.set_wakeup_fd(before) == before


@op
def busy() -> None:
    import hashlib

    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


@job(executor_def=run_ends.prompt_in_process_executor)
def training() -> None:
    busy()


def run_here(home: str) -> None:
    run_ends.ending_soon_after_a_signal.__wrapped__.__defaults__ = (0.2, run_ends._ignore)
    with DagsterInstance.from_ref(InstanceRef.from_dir(home)) as instance:
        execute_job(reconstructable(training), instance)


def test_a_run_in_native_code_ends_and_is_found(started: Start, tmp_path: Path) -> None:
    process = started(IN_A_RUN, str(tmp_path))
    while process.stdout.readline() != "busy\n":
        assert process.poll() is None
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        (run,) = instance.get_runs()
        assert run.status is DagsterRunStatus.STARTED
        assert release_dead_runs(instance, "host") == [run.run_id]


def test_a_signal_is_recorded_once_before_native_code_is_ended(started: Start) -> None:
    script = IN_A_COMMAND.replace("(0.2)", "(0.2, lambda number: print(number, flush=True))")
    process = started(script.format(work=BUSY))
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == f"{int(signal.SIGINT)}\n"
    assert process.returncode == 130


def test_a_signal_is_recorded_once_on_leaving() -> None:
    recorded: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with run_ends.ending_soon_after_a_signal(record=recorded.append):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            assert recorded == []
        assert recorded == [signal.SIGINT]
        with run_ends.ending_soon_after_a_signal(record=recorded.append):
            pass
    finally:
        signal.signal(signal.SIGINT, before)
    assert recorded == [signal.SIGINT]


@pytest.mark.parametrize(
    ("status", "number", "becomes"),
    [
        (DagsterRunStatus.FAILURE, signal.SIGINT, DagsterRunStatus.CANCELED),
        (DagsterRunStatus.STARTED, signal.SIGINT, DagsterRunStatus.CANCELED),
        (DagsterRunStatus.SUCCESS, signal.SIGINT, DagsterRunStatus.SUCCESS),
        (DagsterRunStatus.FAILURE, signal.SIGTERM, DagsterRunStatus.FAILURE),
    ],
)
def test_a_run_is_canceled_by_an_interruption_unless_it_succeeded(
    status: DagsterRunStatus, number: signal.Signals, becomes: DagsterRunStatus
) -> None:
    with DagsterInstance.ephemeral() as instance:
        run_ends.cancel_interrupted_run(instance, "never-created", number)
        run = instance.create_run_for_job(training, status=status)
        run_ends.cancel_interrupted_run(instance, run.run_id, number)
        assert instance.get_run_by_id(run.run_id).status is becomes


def test_a_signal_that_a_handler_kept_to_itself_is_known_once_left() -> None:
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with run_ends.ending_soon_after_a_signal() as asked:
            os.kill(os.getpid(), signal.SIGINT)
        assert asked == [signal.SIGINT]
        with run_ends.ending_soon_after_a_signal() as asked:
            pass
        assert asked == []
    finally:
        signal.signal(signal.SIGINT, before)
