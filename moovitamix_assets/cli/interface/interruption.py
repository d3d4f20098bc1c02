"""Ctrl-C outside of a run: one line and exit code 130, from the first import on.

The standard library only, so that it is in force before anything else is imported. The end of an interrupted run is in
`foundation/operations/run_ends.py`.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED = "Stopped by SIGINT."
EXIT_CODE = 128 + signal.SIGINT


@contextmanager
def ending_at_once() -> Iterator[None]:
    """End the process at a Ctrl-C without raising: while modules are imported there is nothing to clean up.

    A signal that is ignored or handled already stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(number: int, frame: FrameType | None) -> None:
    print(STOPPED, file=sys.stderr, flush=True)
    os._exit(EXIT_CODE)
