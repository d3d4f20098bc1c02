"""Partitions of landing: every record as received, in append-only Parquet files, one per partition and run.

Files are never changed. Records that a partition's files already hold are not written again, so that reading a day
twice leaves the same records as reading it once. A record without key or time that a later reading of its partition
no longer returns is withdrawn: nothing else could ever supersede it. Single files are the concern of `files.py`; what
a record means does not belong here.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow

from foundation.landing.area import Landing
from foundation.landing.files import (
    count_landing_file,
    landing_files,
    read_landing_file,
    write_landing_file,
)

LANDING_SCHEMA = pyarrow.schema(
    [
        ("record", pyarrow.string()),
        ("changed_at", pyarrow.timestamp("us")),
        ("observed_at", pyarrow.timestamp("us")),
        ("run_id", pyarrow.string()),
    ]
)

# In the metadata of a file: SHA-256 of earlier records that the reading no longer returned, and when it began.
_WITHDRAWN = b"withdrawn"
_READ_AT = b"read_at"


class NotLanded(FileNotFoundError):
    """Partitions that were never read from the source; the message names them and the remedy."""


def count_landed(landing: Landing, endpoint: str, day: date, judged: Iterable[str] | None = None) -> int:
    """The number of records in a partition's files.

    Args:
        landing: The landing area.
        endpoint: The source's endpoint.
        day: The partition.
        judged: The names of the files to count; None for all. A file that is gone has no records.

    Raises:
        LandingDamaged: If a file is not what was written.
    """
    names = None if judged is None else set(judged)
    return sum(
        count_landing_file(file, landing.program)
        for file in landing_files(landing.folder, endpoint, day)
        if names is None or file.name in names
    )


def read_landing(landing: Landing, endpoint: str, days: Sequence[date]) -> pd.DataFrame:
    """Every record landed for some partitions.

    Returns:
        Columns `record`, `changed_at`, `observed_at`, `run_id`, `changed_on` (the partition) and `withdrawn` (whether
        a later reading of the partition no longer returned the record, which nothing else can supersede). In `attrs`,
        `landing_files`: the names of the files read, by partition.

    Raises:
        NotLanded: If a partition has no file at all; one read and found empty has a file without rows.
        LandingDamaged: If a file is not what was written.
    """
    files = {day: landing_files(landing.folder, endpoint, day) for day in days}
    absent = [day.isoformat() for day in days if not files[day]]
    if absent:
        raise NotLanded(
            f"{endpoint} was never read for {named_days(absent)}: there is no file in {landing.folder / endpoint}. "
            "Materialize the raw asset for these partitions first."
        )
    frames = [_read_partition(landing, files[day]) for day in days]
    frame = pd.concat(frames, ignore_index=True) if frames else _read_partition(landing, [])
    changed_on = np.array(days, dtype="datetime64[s]").repeat([len(each) for each in frames])
    frame = frame.assign(changed_on=changed_on)
    frame.attrs = {"landing_files": {day.isoformat(): [file.name for file in files[day]] for day in days}}
    return frame


def append_landing(landing: Landing, endpoint: str, day: date, records: pd.DataFrame) -> int:
    """Add a file with the records that the partition's earlier files do not hold yet.

    Args:
        landing: The landing area.
        endpoint: The source's endpoint.
        day: The partition.
        records: Columns as in `LANDING_SCHEMA`: everything that one reading returned for the partition. In `attrs`,
            `run_id`, and `read_at`: when the reading began (naive UTC, ISO 8601).

    Returns:
        The number of records written; the file is written even if that is none, since it marks the reading.
    """
    folder = landing.folder / endpoint / day.isoformat()
    earlier = _read_partition(landing, landing_files(landing.folder, endpoint, day))
    earlier = earlier[~earlier["withdrawn"]]
    news, withdrawn = records, []
    if len(earlier):
        keys = _keys(landing, endpoint, {*earlier["record"], *records["record"]})
        news = _changed(keys, earlier, records)
        withdrawn = _no_longer_returned(keys, earlier, records)
    table = pyarrow.Table.from_pandas(news, schema=LANDING_SCHEMA, preserve_index=False)
    metadata = (
        {_WITHDRAWN: json.dumps(withdrawn).encode(), _READ_AT: str(records.attrs["read_at"]).encode()}
        if withdrawn
        else None
    )
    write_landing_file(folder, str(records.attrs["run_id"]), table.replace_schema_metadata(metadata))
    return len(news)


def named_days(days: Sequence[str]) -> str:
    """Partitions as a message names them: each of up to three, otherwise their range."""
    return ", ".join(days) if len(days) <= 3 else f"{days[0]} to {days[-1]} ({len(days)} partitions)"


def _keys(landing: Landing, endpoint: str, records: Iterable[str]) -> dict[str, Hashable]:
    """The key of each record; a record without one is only a version of itself."""
    found = {record: landing.identify(endpoint, json.loads(record)) for record in records}
    return {record: record if key is None else key for record, key in found.items()}


def _changed(keys: Mapping[str, Hashable], earlier: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """The records of every key whose newest earlier observation differs.

    A record that returned to an earlier version is written again, since the newest observation decides.
    """
    texts, moments = earlier["record"].to_list(), earlier["observed_at"].to_list()
    newest: dict[Hashable, datetime] = {}
    for record, observed_at in zip(texts, moments, strict=True):
        key = keys[record]
        newest[key] = max(observed_at, newest.get(key, observed_at))
    landed = Counter(
        record
        for record, observed_at in zip(texts, moments, strict=True)
        if observed_at == newest[keys[record]]
    )
    returned = Counter(records["record"])
    changed = {
        keys[record] for record in landed.keys() | returned.keys() if landed[record] != returned[record]
    }
    return records[records["record"].map(lambda record: keys[record] in changed).astype(bool)]


def _no_longer_returned(
    keys: Mapping[str, Hashable], earlier: pd.DataFrame, records: pd.DataFrame
) -> list[str]:
    """The SHA-256 of earlier records without key or time that a reading of the partition did not return."""
    returned = set(records["record"])
    return sorted(
        _sha256(record)
        for record, changed_at in set(zip(earlier["record"], earlier["changed_at"], strict=True))
        if record not in returned and (pd.isna(changed_at) or keys[record] == record)
    )


def _read_partition(landing: Landing, files: Sequence[Path]) -> pd.DataFrame:
    """The records of a partition's files, with a column `withdrawn`."""
    tables = [read_landing_file(file, landing.program) for file in files]
    frame: pd.DataFrame = _joined([table.replace_schema_metadata(None) for table in tables]).to_pandas()
    withdrawn_at: dict[str, datetime] = {}
    for table in tables:
        metadata = table.schema.metadata or {}
        for digest in json.loads(metadata.get(_WITHDRAWN, b"[]")):
            read_at = datetime.fromisoformat(metadata[_READ_AT].decode())
            withdrawn_at[digest] = max(read_at, withdrawn_at.get(digest, read_at))
    if not withdrawn_at:
        return frame.assign(withdrawn=False)
    gone_since = pd.to_datetime(frame["record"].map(lambda record: withdrawn_at.get(_sha256(record))))
    return frame.assign(withdrawn=(gone_since > frame["observed_at"]).fillna(False).astype(bool))


def _sha256(record: str) -> str:
    return hashlib.sha256(record.encode()).hexdigest()


def _joined(tables: list[pyarrow.Table]) -> pyarrow.Table:
    return pyarrow.concat_tables([LANDING_SCHEMA.empty_table(), *tables])
