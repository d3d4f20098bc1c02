"""`moovitamix reset`: delete everything that runs have stored, and nothing else.

The command asks for confirmation; `folder_holders.py` finds the processes that hold the folders.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import Explained
from moovitamix_assets.cli.interface.dagster_home import HOME_MARK, INSTANCE_DIR, dagster_home
from moovitamix_assets.cli.recovery.folder_holders import refuse_servers, sole_holder
from moovitamix_assets.settings import Settings

# A data folder of this project has at least one of them.
_KNOWN_BY = ("start_date", "landing", "warehouse.duckdb")


class NotOurs(Explained):
    """A folder that holds other things than this project's data; the message names it."""


@dataclass(frozen=True)
class Doomed:
    """A folder to be deleted: its path, bytes, and top-level entries."""

    path: Path
    size: int
    entries: tuple[str, ...]


def find_doomed(settings: Settings) -> list[Doomed]:
    """The data folder, and Dagster's records of it in the working directory, where they exist.

    Records inside the data folder are deleted with it; those in a DAGSTER_HOME stay.

    Raises:
        NotOurs: If the data folder is not one of this project, or contains the working directory.
    """
    data, here = settings.data_dir, Path.cwd()
    found = []
    if data.exists():
        if data.resolve() == here or data.resolve() in here.parents:
            raise NotOurs(
                f"{data} contains the working directory {here}: nothing was deleted. Name another --data-dir."
            )
        own = (settings.run_lock.name, HOME_MARK, INSTANCE_DIR)
        entries = [entry.name for entry in data.iterdir() if entry.name not in own]
        if entries and not any((data / name).exists() for name in _KNOWN_BY):
            raise NotOurs(
                f"{data} does not look like a data folder: it has none of {', '.join(_KNOWN_BY)}. Nothing was deleted."
            )
        found.append(data)
    records = here / INSTANCE_DIR
    if records.exists() and dagster_home(data) == records:
        found.append(Path(INSTANCE_DIR))
    return [_doomed(path) for path in found]


def delete(settings: Settings, doomed: list[Doomed]) -> None:
    """Delete what was found.

    Raises:
        FolderHeld: If a run or a server works on it; nothing is deleted.
        WarehouseLocked: If another process writes the warehouse; nothing is deleted.
    """
    refuse_servers(Path.cwd())
    with sole_holder(settings):
        for each in doomed:
            if each.path.is_symlink():
                # The link stays: the next data belong where it points.
                for entry in each.path.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            else:
                shutil.rmtree(each.path)


def _doomed(path: Path) -> Doomed:
    size = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
    return Doomed(path, size, tuple(sorted(entry.name for entry in path.iterdir())))
