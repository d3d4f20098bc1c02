"""One process at a time: the second waits, is told for whom, and goes on when the first has ended or died."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from foundation.file_lock import exclusive_lock

HOLDING = """
import sys
from pathlib import Path
from foundation.file_lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_nobody_waits_where_nobody_holds_the_turn(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "not" / "made" / ".turn"
    for _ in range(2):
        with exclusive_lock(path, told.append):
            assert path.read_text() == str(os.getpid())
    assert told == []


def test_a_turn_is_waited_for_until_its_holder_is_gone_even_killed(tmp_path: Path) -> None:
    path = tmp_path / ".turn"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        waits, told, began = threading.Event(), [], threading.Event()

        def on_wait(pid: str) -> None:
            told.append(pid)
            waits.set()

        def wait() -> None:
            with exclusive_lock(path, on_wait):
                began.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert waits.wait(30)
        assert not began.is_set()
        holder.kill()
        waiting.join(30)
    assert began.is_set()
    assert told == [str(holder.pid)]
    assert path.read_text() == str(os.getpid())
