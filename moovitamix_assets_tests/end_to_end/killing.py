"""Killing a run at a chosen moment, recognised from outside: its files, and the files it has open.

A run that seems to be at the moment is stopped, looked at again while it cannot move, and only then killed; if it
had gone on by then, it is let go on. Nothing in the project knows of this.
"""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil

_WATCH_SECONDS = 240.0
# Short against what is watched, and long enough to leave the watched its processor.
_GLANCE_SECONDS = 0.0005


@dataclass(frozen=True)
class Scene:
    """What can be seen of a run.

    Attributes:
        pid: Its process.
        data_dir: Where it writes.
        last: The last day of its range, as of which it trains.
    """

    pid: int
    data_dir: Path
    last: date

    def landing(self) -> str | None:
        """A landing file begun and not finished."""
        unfinished = list((self.data_dir / "landing").glob("*/*/.*"))
        if not unfinished:
            return None
        landed = len(list((self.data_dir / "landing").glob("*/*/*.parquet")))
        return f"{unfinished[0].parent.relative_to(self.data_dir)} unfinished, {landed} files landed"

    def transaction(self) -> str | None:
        """The warehouse open for writing: it is, from the beginning of a transaction to the end of its commit."""
        path = self.data_dir / "warehouse.duckdb"
        if not any(Path(file.path) == path and "r+" in file.mode for file in self._open_files()):
            return None
        wal = path.with_name(path.name + ".wal")
        return f"{path.stat().st_size} bytes in the file, {wal.stat().st_size if wal.exists() else 'no'} in the log"

    def committing(self) -> str | None:
        """The warehouse's write-ahead log: it is there from the commit to the end of the checkpoint."""
        wal = self.data_dir / "warehouse.duckdb.wal"
        return f"{wal.stat().st_size} bytes in the log" if wal.exists() else None

    def training(self) -> str | None:
        """After the training set appeared, or is being written, and before its model is the day's candidate."""
        models, sets = self.data_dir / "models", self.data_dir / "training_sets"
        if (models / "candidates" / self.last.isoformat()).exists():
            return None
        if (sets / self.last.isoformat()).exists():
            written = [path for path in models.glob("*") if path.name != "candidates"]
            return f"fitting, of the model there is {[path.name for path in written] or 'nothing'}"
        unfinished = list(sets.glob(".*"))
        return f"the training set {unfinished[0].name} unfinished" if unfinished else None

    def storing_model(self) -> str | None:
        """A model's folder begun and not finished."""
        unfinished = list((self.data_dir / "models").glob(".*"))
        return f"the model {unfinished[0].name} unfinished" if unfinished else None

    def after_training(self) -> str | None:
        """From the candidate on: its decision, and the recommendations."""
        candidate = self.data_dir / "models" / "candidates" / self.last.isoformat()
        return "the candidate is named" if candidate.exists() else None

    def running(self) -> str | None:
        """At any moment."""
        return "alive" if psutil.pid_exists(self.pid) else None

    def _open_files(self) -> Iterator[psutil._ntuples.popenfile]:
        try:
            yield from psutil.Process(self.pid).open_files()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return


@dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
        name: For the log.
        seen: Recognises it.
        entry: Which entry into it, from 1: a transaction is entered for every table.
        wait: Seconds to wait after entering, at most; how long is drawn.
    """

    name: str
    seen: Callable[[Scene], str | None]
    entry: int = 1
    wait: float = 0.0


def kill_at(
    moment: Moment, process: "subprocess.Popen[str]", data_dir: Path, last: date, draw: random.Random
) -> str | None:
    """Kill a process with SIGKILL at a moment.

    Returns:
        Where it was; None if it ended before it was seen there.
    """
    scene = Scene(process.pid, data_dir, last)
    deadline = time.monotonic() + _WATCH_SECONDS
    delay, entries, inside = moment.wait * draw.random(), 0, False
    entered = 0.0
    while process.poll() is None:
        assert time.monotonic() < deadline, f"{moment.name} did not come"
        time.sleep(_GLANCE_SECONDS)
        if moment.seen(scene) is None:
            inside = False
            continue
        if not inside:
            inside, entries, entered = True, entries + 1, time.monotonic()
        if entries < moment.entry or time.monotonic() - entered < delay:
            continue
        process.send_signal(signal.SIGSTOP)
        where, spent = moment.seen(scene), time.monotonic() - entered
        if where is not None:
            process.kill()
            process.communicate()
            return f"{moment.name}, entry {entries}, {1000 * spent:.0f} ms after it: {where}"
        process.send_signal(signal.SIGCONT)
        inside = False
    process.communicate()
    return None
