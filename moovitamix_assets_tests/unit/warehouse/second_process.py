"""A real second process that holds a DuckDB file: locks are between processes, so nothing less tests them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reading")
connection.execute(sys.argv[3])
print("holding", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(path: Path, how: str = "writing", statement: str = "SELECT 1") -> Iterator[subprocess.Popen[str]]:
    """The process, which lets go when its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path), how, statement],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process
    finally:
        process.kill()
        process.wait()
