"""The processes that hold a deployment's folders: runs, servers, the daemon; found before anything is deleted.

Finding and refusing only; no process is ended here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import duckdb
import psutil

from foundation.durable import Damaged
from foundation.errors import Explained
from foundation.file_lock import exclusive_lock
from foundation.warehouse.errors import WarehouseMissing
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse

_OURS = ("dagster", "moovitamix")


class FolderHeld(Explained):
    """A run or a server works on the folder; the message names its process."""


@contextmanager
def sole_holder(settings: Settings) -> Iterator[None]:
    """Hold the data folder's lock as a run does, but do not wait for it.

    Raises:
        FolderHeld: If a run of `moovitamix run` holds it.
        WarehouseLocked: If another process writes the warehouse.
    """
    with exclusive_lock(settings.run_lock, _refuse):
        try:
            with read_warehouse(settings.warehouse_path):
                pass
        except (WarehouseMissing, Damaged, duckdb.Error):
            pass  # What is not there, or cannot be read any more, is not held.
        yield


def refuse_servers(folder: Path) -> None:
    """Refuse where a server, a daemon or another command of this project runs in a working directory.

    Raises:
        FolderHeld: If there is one; the message names each.
    """
    here = folder.resolve()
    own = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if process.pid not in own and Path(process.cwd()) == here and _is_ours(words):
                found.append(f"{process.pid} ({' '.join(words[:4])})")
        except psutil.Error:
            continue  # It has just ended, or belongs to another user.
    if found:
        raise FolderHeld(
            f"Processes of this project run in {here}: {'; '.join(found)}. End them first, then run this again."
        )


def _is_ours(words: list[str]) -> bool:
    return any(name in Path(word).name for word in words[:4] for name in _OURS)


def _refuse(holder: str) -> NoReturn:
    raise FolderHeld(f"The process {holder} works on the folder. Wait until it has ended, or end it first.")
