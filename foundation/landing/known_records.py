"""The keys of landed records: a sample of the newest, and those that changed at given times.

Cheap look-ups in single columns of landing files; what follows from a record being unknown does not belong here.
"""

import json
from collections.abc import Collection, Hashable, Iterable
from datetime import date, datetime
from pathlib import Path

from pyarrow import compute

from foundation.landing.area import Landing
from foundation.landing.completeness import was_read_after_end
from foundation.landing.files import LandingDamaged, landing_files, read_landing_file


def newest_keys(landing: Landing, endpoint: str, most: int) -> set[Hashable]:
    """Up to `most` keys of landed records, from the newest partitions: a sample of what is known.

    A damaged file is skipped: a sample does without it, and reading its partition reports it.
    """
    known: set[Hashable] = set()
    for folder in sorted((landing.folder / endpoint).glob("????-??-??"), reverse=True):
        for file in landing_files(landing.folder, endpoint, date.fromisoformat(folder.name)):
            for record in _records_unless_damaged(landing, file):
                known |= _keys(landing, endpoint, [record])
                if len(known) >= most:
                    return known
    return known


def keys_changed_at(
    landing: Landing, endpoint: str, day: date, times: Collection[datetime | None]
) -> set[Hashable] | None:
    """The keys of a partition's records that changed at some times; None if it was not read after its end.

    Raises:
        LandingDamaged: If a file is not what was written.
    """
    if not was_read_after_end(landing, endpoint, day):
        return None
    # A change that is known was landed with the same time: other records need not be decoded.
    at_these_times = compute.field("changed_at").isin(list(times))
    files = landing_files(landing.folder, endpoint, day)
    tables = [read_landing_file(file, landing.program).filter(at_these_times) for file in files]
    return _keys(landing, endpoint, (record for table in tables for record in table["record"].to_pylist()))


def _keys(landing: Landing, endpoint: str, records: Iterable[str]) -> set[Hashable]:
    return {landing.identify(endpoint, json.loads(record)) for record in records} - {None}


def _records_unless_damaged(landing: Landing, file: Path) -> list[str]:
    try:
        records: list[str] = read_landing_file(file, landing.program)["record"].to_pylist()
    except LandingDamaged:
        return []
    return records
