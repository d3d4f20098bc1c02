"""A run that is asked to end (SIGTERM, Ctrl-C) ends within seconds, whatever it is doing.

Python runs a signal's handler between two of its own instructions: an epoch of training in native code delays it until
it is done. Writes are all or nothing, and `dead_runs.py` finds the run of a process that was ended.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from dagster import (
    DagsterEvent,
    DagsterInstance,
    DagsterRunStatus,
    Executor,
    ExecutorDefinition,
    InitExecutorContext,
    in_process_executor,
)

from foundation.operations.event_storage import kept_open

GRACE_SECONDS = 8.0
"""Time for Python to clean up; supervisors kill after ten seconds."""

_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT)


def cancel_interrupted_run(instance: DagsterInstance, run_id: str, number: int) -> None:
    """Record a run that its user interrupted (Ctrl-C) as canceled; Dagster, which no user asked, calls it failed.

    Args:
        instance: Where the run is recorded.
        run_id: A run that was not created yet, or has succeeded, is left as it is.
        number: The signal; a termination stays a failure.
    """
    run = instance.get_run_by_id(run_id)
    over = (DagsterRunStatus.SUCCESS, DagsterRunStatus.CANCELED)
    if number == signal.SIGINT and run is not None and run.status not in over:
        instance.report_run_canceled(run, "Interrupted by its user (Ctrl-C).")


def _ignore(number: int) -> None:
    """Do nothing about a signal."""


@contextmanager
def ending_soon_after_a_signal(
    grace_seconds: float = GRACE_SECONDS, record: Callable[[int], None] = _ignore
) -> Iterator[list[int]]:
    """End the process, and the processes that it started, some time after a signal if it has not ended itself.

    The signal's own handler goes first. Does nothing outside the main thread, which alone gets signals.

    Args:
        grace_seconds: The time to end by itself.
        record: Called once with the number of the first signal: on leaving, or before the process is ended.

    Yields:
        The numbers of the signals that asked for an end, on leaving: Dagster's own handler may have swallowed one.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    left = threading.Event()
    # Written when a signal arrives, not only when its handler runs.
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reading, left, asked, grace_seconds, record), daemon=True)
    watch.start()
    try:
        yield asked
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        writing.close()
        watch.join()
        reading.close()
        if asked:
            record(asked[0])


def _watch(
    reading: socket.socket,
    left: threading.Event,
    asked: list[int],
    grace_seconds: float,
    record: Callable[[int], None],
) -> None:
    while numbers := reading.recv(64):
        asked += [number for number in numbers if number in _ASKED_TO_END]
        if asked and not left.wait(grace_seconds):
            try:
                record(asked[0])
            finally:
                _end(asked[0], grace_seconds)


def _end(number: int, grace_seconds: float) -> None:
    name = signal.Signals(number).name
    print(
        f"Asked to end by {name}, and still busy after {grace_seconds:g} s: ended.",
        file=sys.stderr,
        flush=True,
    )
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(128 + number)


class _PromptExecutor(Executor):
    """Another executor, in a process that ends soon after it was asked to, with the event log kept open."""

    def __init__(self, inner: Executor, instance: DagsterInstance) -> None:
        self._inner = inner
        self._instance = instance

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[DagsterEvent]:
        with ending_soon_after_a_signal(), kept_open(self._instance):
            yield from self._inner.execute(plan_context, execution_plan)


def _create(init_context: InitExecutorContext) -> Executor:
    creation = in_process_executor.executor_creation_fn
    assert creation is not None, "in_process_executor is made from a function"
    return _PromptExecutor(creation(init_context), init_context.instance)


prompt_in_process_executor = ExecutorDefinition(
    name="in_process",
    config_schema=in_process_executor.config_schema.as_field(),
    executor_creation_fn=_create,
    description="Dagster's in-process executor, in a process that ends soon after it was asked to.",
)
