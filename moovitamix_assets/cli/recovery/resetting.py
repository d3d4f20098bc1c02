"""`moovitamix reset`: everything that runs made is deleted, and nothing else.

Asking whether it is wanted is the command line's part; who holds the folders is in `folder_holders.py`.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import Explained
from moovitamix_assets.cli.recovery.folder_holders import refuse_servers, sole_turn
from moovitamix_assets.cli.runs.instance import INSTANCE_DIR
from moovitamix_assets.settings import Settings

# What a data folder of this project is known by.
_KNOWN_BY = ("start_date", "landing", "warehouse.duckdb")


class NotOurs(Explained):
    """A folder that holds other things than this project's data; the message names it."""


@dataclass(frozen=True)
class Doomed:
    """A folder to be deleted: its path, bytes, and what stands at its top."""

    path: Path
    size: int
    entries: tuple[str, ...]


def find_doomed(settings: Settings) -> list[Doomed]:
    """The data folder, and Dagster's records in the working directory, as far as they exist.

    Raises:
        NotOurs: If the data folder is none of this project's, or holds the working directory.
    """
    data, here = settings.data_dir, Path.cwd()
    found = []
    if data.exists():
        if data.resolve() == here or data.resolve() in here.parents:
            raise NotOurs(
                f"{data} holds the working directory {here}: nothing was deleted. Name another --data-dir."
            )
        entries = [entry.name for entry in data.iterdir() if entry.name != ".run"]
        if entries and not any((data / name).exists() for name in _KNOWN_BY):
            raise NotOurs(
                f"{data} does not look like a data folder: it has none of {', '.join(_KNOWN_BY)}. Nothing was deleted."
            )
        found.append(data)
    records = here / INSTANCE_DIR
    if records.exists():
        found.append(Path(INSTANCE_DIR))
    return [_doomed(path) for path in found]


def delete(settings: Settings, doomed: list[Doomed]) -> None:
    """Delete what was found.

    Raises:
        FolderHeld: If a run or a server works on it; nothing is deleted.
        WarehouseLocked: If another process writes the warehouse; nothing is deleted.
    """
    refuse_servers(Path.cwd())
    with sole_turn(settings):
        for each in doomed:
            if each.path.is_symlink():
                # The link stays; it is where somebody wants the next data to be.
                for entry in each.path.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            else:
                shutil.rmtree(each.path)


def _doomed(path: Path) -> Doomed:
    size = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
    return Doomed(path, size, tuple(sorted(entry.name for entry in path.iterdir())))
