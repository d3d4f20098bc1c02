"""A Ctrl-C while modules are imported: one line, at once; a signal that is ignored stays so."""

import signal
import subprocess
import sys

import pytest

from moovitamix_assets.cli.interface.interruption import ending_at_once

IMPORTING = """
import os, signal
{before}
from moovitamix_assets.cli.interface.interruption import ending_at_once
with ending_at_once():
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("before", "code", "said"),
    [("", 130, "Stopped by SIGINT.\n"), ("signal.signal(signal.SIGINT, signal.SIG_IGN)", 0, "")],
)
def test_ctrl_c_during_imports_ends_with_one_line(before: str, code: int, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTING.format(before=before)], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", said)


def test_afterwards_ctrl_c_raises_as_before() -> None:
    with ending_at_once():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_the_command_starts_as_a_module() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "moovitamix_assets.cli", "--version"], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
