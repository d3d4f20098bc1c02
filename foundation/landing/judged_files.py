"""The landing files that the newest loads of a partition judged, recorded next to them.

The warehouse cannot hold this: file names contain run ids, and its tables are equal wherever the same records were
loaded.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from foundation.durable import Damaged, read_checked_text, write_checked_text
from foundation.landing.area import Landing

_LOADS_FILE = "loads.json"
_LOADS_KEPT = 4


class LoadsDamaged(Damaged):
    """The record of a partition's loads is not what was written; the message names the file and the remedy."""


def record_judged(
    landing: Landing, endpoint: str, loaded_at: datetime, files_by_day: Mapping[str, Sequence[str]]
) -> None:
    """Record which files of each partition a load judged.

    Args:
        landing: The landing area.
        endpoint: The source's endpoint.
        loaded_at: The load's time in `partition_loads`, which distinguishes it from others of the same partition.
        files_by_day: Names of files by partition (ISO date), as in the `attrs` of `read_landing`.
    """
    for day, names in files_by_day.items():
        path = landing.folder / endpoint / day / _LOADS_FILE
        try:
            loads = _loads(landing, path)
        except LoadsDamaged:
            loads = {}  # of older loads only: from now on the warehouse holds this one
        loads[loaded_at.isoformat()] = list(names)
        write_checked_text(path, json.dumps(dict(sorted(loads.items())[-_LOADS_KEPT:])))


def judged_files(landing: Landing, endpoint: str, day: date, loaded_at: datetime) -> list[str] | None:
    """The files of a partition that a load judged; None where it is not known.

    Raises:
        LoadsDamaged: If the record is not what was written.
    """
    if pd.isna(loaded_at):
        return None
    path = landing.folder / endpoint / day.isoformat() / _LOADS_FILE
    return _loads(landing, path).get(loaded_at.isoformat())


def damaged_loads(landing: Landing) -> Iterator[LoadsDamaged]:
    """The damage of each damaged record of loads."""
    for path in sorted(landing.folder.glob(f"*/????-??-??/{_LOADS_FILE}")):
        try:
            _loads(landing, path)
        except LoadsDamaged as damage:
            yield damage


def _loads(landing: Landing, path: Path) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    try:
        loads: dict[str, list[str]] = json.loads(read_checked_text(path))
    except ValueError as error:
        day = path.parent.name
        raise LoadsDamaged(
            f"{path} is damaged: {error}. Lost is which landing files the load of {day} judged, and no record: "
            f"{landing.program.run_again(day)} loads the day again."
        ) from error
    return loads
