"""One process at a time: a lock on a file, which the system releases whatever becomes of its holder.

Callers say what is waited for. Locks inside the warehouse are DuckDB's, pools are Dagster's.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def exclusive_lock(path: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of a file, once no other process does.

    Args:
        path: The file; created if absent, with its folder, and left behind with the holder's process id in it.
        on_wait: Called with the id of the process that holds it, if another one does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if on_wait is not None:
            on_wait(path.read_text().strip() or "unknown")
        lock.acquire()
    try:
        path.write_text(str(os.getpid()))
        yield
    finally:
        lock.release()
