"""Landing: every record as received, in append-only Parquet files, one per partition and run.

Files are never changed. Records that a partition's files already hold are not written again, so that reading a day
twice leaves what reading it once leaves. A record without identity or time that a later reading of its partition no
longer brings is withdrawn: nothing else could ever supersede it. How one file is written, read and verified is in
`landing_storage.py`; what a record means does not belong here.
See https://docs.dagster.io/guides/build/io-managers.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from dagster import ConfigurableIOManager, InputContext, OutputContext

from foundation.durable import Damaged, read_checked_text, write_checked_text
from foundation.errors import Explained
from moovitamix_assets.ingestion.client.records import Endpoint, identity
from moovitamix_assets.ingestion.landing_storage import (
    LandingDamaged,
    begin_first_load,
    count_landing_file,
    landing_files,
    read_landing_file,
    was_loaded_from,
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


# In the metadata of a file: SHA-256 of earlier records that the reading did not bring any more, and when it began.
_WITHDRAWN = b"withdrawn"
_READ_AT = b"read_at"

# Beside the files of a partition: which of them the newest loads judged.
_LOADS_FILE = "loads.json"
_LOADS_REMEMBERED = 4


class NotLanded(FileNotFoundError):
    """Partitions that the source was never asked for; the message names them and the remedy."""


class RecordsOutsidePartition(ValueError):
    """Records that belong to no partition of the run; landing the rest would lose them."""


class StartDateMoved(Explained, ValueError):
    """The first partition differs from the one recorded at the first load."""

    exit_code = 2


class StartDateDamaged(Damaged):
    """The record of the first partition cannot be read; the message names the file and the remedy."""


class LoadsDamaged(Damaged):
    """What is remembered of the loads of a partition is not what was written; the message names file and remedy."""


def count_landed(landing_dir: Path, endpoint: str, day: date, judged: Iterable[str] | None = None) -> int:
    """Records in a partition's files.

    Args:
        landing_dir: The landing folder.
        endpoint: The source's endpoint.
        day: The partition.
        judged: The names of the files to count; None for all. A file that is gone has no records.

    Raises:
        LandingDamaged: If a file is not what was written.
    """
    names = None if judged is None else set(judged)
    return sum(
        count_landing_file(file)
        for file in landing_files(landing_dir, endpoint, day)
        if names is None or file.name in names
    )


def record_judged(
    landing_dir: Path, endpoint: str, loaded_at: datetime, files_by_day: Mapping[str, Sequence[str]]
) -> None:
    """Remember which files of each partition a load judged, beside them.

    The warehouse cannot: names of files name runs, and its tables are equal wherever the same records were loaded.

    Args:
        landing_dir: The landing folder.
        endpoint: The source's endpoint.
        loaded_at: What `partition_loads` says of the load, which tells it from others of the same partition.
        files_by_day: Names of files by partition (ISO date), as in the `attrs` of `read_landing`.
    """
    for day, names in files_by_day.items():
        path = landing_dir / endpoint / day / _LOADS_FILE
        try:
            loads = _loads(path)
        except LoadsDamaged:
            loads = {}  # of older loads only: this one is what the warehouse holds from now on
        loads[loaded_at.isoformat()] = list(names)
        write_checked_text(path, json.dumps(dict(sorted(loads.items())[-_LOADS_REMEMBERED:])))


def judged_files(landing_dir: Path, endpoint: str, day: date, loaded_at: datetime) -> list[str] | None:
    """The files of a partition that a load judged; None where it is not known.

    Raises:
        LoadsDamaged: If what was remembered is not what was written.
    """
    if pd.isna(loaded_at):
        return None
    return _loads(landing_dir / endpoint / day.isoformat() / _LOADS_FILE).get(loaded_at.isoformat())


def damaged_loads(landing_dir: Path) -> Iterator[LoadsDamaged]:
    """What is wrong with each damaged file of remembered loads."""
    for path in sorted(landing_dir.glob(f"*/????-??-??/{_LOADS_FILE}")):
        try:
            _loads(path)
        except LoadsDamaged as damage:
            yield damage


def _loads(path: Path) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    try:
        loads: dict[str, list[str]] = json.loads(read_checked_text(path))
    except ValueError as error:
        day = path.parent.name
        raise LoadsDamaged(
            f"{path} is damaged: {error}. Lost is which landing files the load of {day} judged, and no record: "
            f"`moovitamix run --again --from {day} --to {day}` loads the day again."
        ) from error
    return loads


def read_landing(landing_dir: Path, endpoint: str, days: Sequence[date]) -> pd.DataFrame:
    """Every record landed for some partitions.

    Returns:
        Columns `record`, `changed_at`, `observed_at`, `run_id`, `changed_on` (the partition) and `withdrawn` (whether
        a later reading of the partition no longer brought the record, which nothing else can supersede). In `attrs`,
        `landing_files`: the names of the files read, by partition.

    Raises:
        NotLanded: If a partition has no file at all; one read and found empty has a file without rows.
        LandingDamaged: If a file is not what was written.
    """
    absent = [day.isoformat() for day in days if not landing_files(landing_dir, endpoint, day)]
    if absent:
        raise NotLanded(
            f"{endpoint} was never read for {_listed(absent)}: nothing lies in {landing_dir / endpoint}. "
            "Materialize the raw asset for these partitions first."
        )
    files = {day: landing_files(landing_dir, endpoint, day) for day in days}
    frames = [_read_partition(files[day]) for day in days]
    frame = pd.concat(frames, ignore_index=True) if frames else _read_partition([])
    changed_on = np.array(days, dtype="datetime64[s]").repeat([len(each) for each in frames])
    frame = frame.assign(changed_on=changed_on)
    frame.attrs = {"landing_files": {day.isoformat(): [file.name for file in files[day]] for day in days}}
    return frame


def append_landing(landing_dir: Path, endpoint: Endpoint, day: date, records: pd.DataFrame) -> int:
    """Add a file with what the partition's earlier files do not tell yet.

    Args:
        landing_dir: The landing folder.
        endpoint: The source's endpoint.
        day: The partition.
        records: Columns as in `LANDING_SCHEMA`: everything that one reading brought for the partition. In `attrs`,
            `run_id`, and `read_at`: when the reading began (naive UTC, ISO 8601).

    Returns:
        The number of records written; the file is there even if that is none, as the mark of having read.
    """
    folder = landing_dir / endpoint / day.isoformat()
    earlier = _read_partition(landing_files(landing_dir, endpoint, day))
    earlier = earlier[~earlier["withdrawn"]]
    news = _not_told_yet(endpoint, earlier, records) if len(earlier) else records
    withdrawn = _no_longer_brought(endpoint, earlier, records)
    table = pyarrow.Table.from_pandas(news, schema=LANDING_SCHEMA, preserve_index=False)
    metadata = (
        {_WITHDRAWN: json.dumps(withdrawn).encode(), _READ_AT: str(records.attrs["read_at"]).encode()}
        if withdrawn
        else None
    )
    write_landing_file(folder, str(records.attrs["run_id"]), table.replace_schema_metadata(metadata))
    return len(news)


def newest_identities(landing_dir: Path, endpoint: Endpoint, most: int) -> set[Any]:
    """Up to `most` identities of records landed, from the newest partitions: a sample of what is known.

    A damaged file is passed over: a sample does without it, and whoever reads its partition reports it.
    """
    known: set[Any] = set()
    for folder in sorted((landing_dir / endpoint).glob("????-??-??"), reverse=True):
        for file in landing_files(landing_dir, endpoint, date.fromisoformat(folder.name)):
            for record in _records_unless_damaged(file):
                key = identity(endpoint, json.loads(record))
                if key is not None:
                    known.add(key)
                if len(known) >= most:
                    return known
    return known


def _records_unless_damaged(file: Path) -> list[str]:
    try:
        records: list[str] = read_landing_file(file)["record"].to_pylist()
    except LandingDamaged:
        return []
    return records


def recorded_first_partition(data_dir: Path) -> date | None:
    """The first partition as recorded at the first load; None before it.

    Raises:
        StartDateDamaged: If the record is not what was written.
    """
    path = data_dir / "start_date"
    if not path.exists():
        return None
    try:
        return date.fromisoformat(read_checked_text(path).strip())
    except (OSError, ValueError) as error:
        raise StartDateDamaged(
            f"{path} is damaged: {error}. It holds the first partition, which the oldest folder in "
            f"{data_dir / 'landing' / 'users'} is named after. Remove the file; the next `moovitamix run` records "
            "MOOVITAMIX_START_DATE anew, which must be that day."
        ) from error


def record_first_partition(data_dir: Path, start_date: date) -> None:
    """Remember the first partition at the first load, and refuse another one later.

    Raises:
        StartDateMoved: If another one is recorded; records would sit in the wrong partition.
        StartDateDamaged: If what is recorded is not what was written.
    """
    recorded = recorded_first_partition(data_dir)
    if recorded is None:
        if not was_loaded_from(data_dir / "landing"):
            begin_first_load(data_dir / "landing")
        write_checked_text(data_dir / "start_date", start_date.isoformat())
    elif recorded != start_date:
        raise StartDateMoved(
            f"MOOVITAMIX_START_DATE is {start_date}, but {data_dir} was first loaded with {recorded}. "
            f"Set it back to {recorded}, or choose another MOOVITAMIX_DATA_DIR for a history that starts elsewhere."
        )


class LandingIOManager(ConfigurableIOManager):
    """Lands the frame of a raw asset by partition, and reads it back for one partition or a range.

    The asset names its endpoint in the metadata `endpoint`; its frame has `LANDING_SCHEMA`'s columns, a column
    `changed_on`, and only rows of the run's partitions.
    """

    data_dir: str
    start_date: str

    @property
    def _landing_dir(self) -> Path:
        return Path(self.data_dir) / "landing"

    def handle_output(self, context: OutputContext, obj: pd.DataFrame) -> None:
        """Append one file per partition of the run."""
        record_first_partition(Path(self.data_dir), date.fromisoformat(self.start_date))
        endpoint: Endpoint = (context.definition_metadata or {})["endpoint"]
        keys = list(context.asset_partition_keys)
        by_day = {f"{day:%Y-%m-%d}": records for day, records in obj.groupby("changed_on")}
        outside = sorted(by_day.keys() - set(keys))
        if outside:
            raise RecordsOutsidePartition(
                f"{sum(len(by_day[key]) for key in outside)} records of {endpoint} belong to {_listed(outside)}, "
                "which the run does not cover. Nothing was landed."
            )
        written = 0
        for key in keys:
            day_records = by_day.get(key, obj.iloc[:0])
            day_records.attrs = dict(obj.attrs)
            written += append_landing(self._landing_dir, endpoint, date.fromisoformat(key), day_records)
        context.add_output_metadata(
            {"records_new_in_landing": written, "folder": str(self._landing_dir / endpoint)}
        )

    def load_input(self, context: InputContext) -> pd.DataFrame:
        """Every record landed for the partitions asked for."""
        record_first_partition(Path(self.data_dir), date.fromisoformat(self.start_date))
        endpoint = ((context.upstream_output and context.upstream_output.definition_metadata) or {})[
            "endpoint"
        ]
        days = [date.fromisoformat(key) for key in context.asset_partition_keys]
        return read_landing(self._landing_dir, endpoint, days)


def _not_told_yet(endpoint: Endpoint, earlier: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """The records of every identity of which the newest earlier observation tells anything else.

    A record that went back to what it once was is told again, since the newest observation decides.
    """
    texts, moments = earlier["record"].to_list(), earlier["observed_at"].to_list()
    identity_of = {record: _landed_identity(endpoint, record) for record in {*texts, *records["record"]}}
    newest: dict[Any, datetime] = {}
    for record, observed_at in zip(texts, moments, strict=True):
        key = identity_of[record]
        newest[key] = max(observed_at, newest.get(key, observed_at))
    told = Counter(
        record
        for record, observed_at in zip(texts, moments, strict=True)
        if observed_at == newest[identity_of[record]]
    )
    seen = Counter(records["record"])
    moved = {identity_of[record] for record in told.keys() | seen.keys() if told[record] != seen[record]}
    return records[records["record"].map(lambda record: identity_of[record] in moved).astype(bool)]


def _no_longer_brought(endpoint: Endpoint, earlier: pd.DataFrame, records: pd.DataFrame) -> list[str]:
    """The SHA-256 of earlier records without identity or time that a reading of the partition did not bring."""
    brought = set(records["record"])
    return sorted(
        _sha256(record)
        for record, changed_at in set(zip(earlier["record"], earlier["changed_at"], strict=True))
        if record not in brought and (pd.isna(changed_at) or _landed_identity(endpoint, record) == record)
    )


def _read_partition(files: Sequence[Path]) -> pd.DataFrame:
    """The records of a partition's files, with a column `withdrawn`."""
    tables = [read_landing_file(file) for file in files]
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


def _landed_identity(endpoint: Endpoint, record: str) -> Any:
    """What makes two records versions of one, be its id a number or a text of one; else a record is only itself."""
    value = json.loads(record)
    key = identity(endpoint, value)
    field = "user_id" if endpoint == "listen_history" else "id"
    if key is None and isinstance(value, dict) and isinstance(value.get(field), str | float):
        try:
            number = int(value[field])
        except (ValueError, OverflowError):
            return record
        key = identity(endpoint, value | {field: number})
    return record if key is None else key


def _joined(tables: list[pyarrow.Table]) -> pyarrow.Table:
    return pyarrow.concat_tables([LANDING_SCHEMA.empty_table(), *tables])


def _listed(days: list[str]) -> str:
    return ", ".join(days) if len(days) <= 3 else f"{days[0]} to {days[-1]} ({len(days)} partitions)"
