"""Landing: every record as received, in append-only Parquet files, one per partition and run.

Files appear by rename and are never changed. Records that a partition's files already tell of are not written
again, so that reading a day twice leaves what reading it once leaves. What a record means does not belong here.
See https://docs.dagster.io/guides/build/io-managers.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet as parquet
from dagster import ConfigurableIOManager, InputContext, OutputContext

from moovitamix_assets.ingestion.records import Endpoint, identity

LANDING_SCHEMA = pyarrow.schema(
    [
        ("record", pyarrow.string()),
        ("changed_at", pyarrow.timestamp("us")),
        ("observed_at", pyarrow.timestamp("us")),
        ("run_id", pyarrow.string()),
    ]
)


class NotLanded(FileNotFoundError):
    """Partitions that the source was never asked for; the message names them and the remedy."""


class StartDateMoved(ValueError):
    """The first partition differs from the one recorded at the first load."""


def landing_files(landing_dir: Path, endpoint: str, day: date) -> list[Path]:
    """The files of one partition, oldest name first; unfinished ones are not among them."""
    return sorted((landing_dir / endpoint / day.isoformat()).glob("*.parquet"))


def count_landed(landing_dir: Path, endpoint: str, day: date) -> int:
    """Records in a partition's files, from their footers."""
    return sum(parquet.read_metadata(file).num_rows for file in landing_files(landing_dir, endpoint, day))


def read_landing(landing_dir: Path, endpoint: str, days: Sequence[date]) -> pd.DataFrame:
    """Every record landed for some partitions.

    Returns:
        Columns `record`, `changed_at`, `observed_at`, `run_id` and `changed_on` (the partition).

    Raises:
        NotLanded: If a partition has no file at all; one read and found empty has a file without rows.
    """
    absent = [day.isoformat() for day in days if not landing_files(landing_dir, endpoint, day)]
    if absent:
        raise NotLanded(
            f"{endpoint} was never read for {_listed(absent)}: nothing lies in {landing_dir / endpoint}. "
            "Materialize the raw asset for these partitions first."
        )
    frames = [
        _read_file(file).assign(changed_on=pd.Timestamp(day).as_unit("s"))
        for day in days
        for file in landing_files(landing_dir, endpoint, day)
    ]
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled or frames[:1], ignore_index=True)


def append_landing(landing_dir: Path, endpoint: Endpoint, day: date, records: pd.DataFrame) -> int:
    """Add a file with what the partition's earlier files do not tell yet.

    Args:
        landing_dir: The landing folder.
        endpoint: The source's endpoint.
        day: The partition.
        records: Columns as in `LANDING_SCHEMA`, all of one run.

    Returns:
        The number of records written; the file is there even if that is none, as the mark of having read.
    """
    folder = landing_dir / endpoint / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    earlier = [_read_file(file) for file in landing_files(landing_dir, endpoint, day)]
    news = _not_told_yet(endpoint, pd.concat(earlier), records) if earlier and len(records) else records
    run_id = str(records.attrs["run_id"])
    path = folder / f"{run_id}.parquet"
    repeat = 1
    while path.exists():
        # A step that was retried within its run: what its first attempt saw stays.
        repeat += 1
        path = folder / f"{run_id}-{repeat}.parquet"
    unfinished = folder / f".{path.name}.{os.getpid()}"
    table = pyarrow.Table.from_pandas(news, schema=LANDING_SCHEMA, preserve_index=False)
    with unfinished.open("wb") as file:
        parquet.write_table(table.replace_schema_metadata(None), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    return len(news)


def newest_identities(landing_dir: Path, endpoint: Endpoint, most: int) -> set[Any]:
    """Up to `most` identities of records landed, from the newest partitions: a sample of what is known."""
    known: set[Any] = set()
    folders = sorted((landing_dir / endpoint).glob("????-??-??"), reverse=True)
    for folder in folders:
        for file in sorted(folder.glob("*.parquet")):
            for record in _read_file(file)["record"]:
                known.add(identity(endpoint, json.loads(record)))
                if len(known) > most:
                    return known - {None}
    return known - {None}


def record_first_partition(data_dir: Path, start_date: date) -> None:
    """Remember the first partition at the first load, and refuse another one later.

    Raises:
        StartDateMoved: If another one is recorded; records would sit in the wrong partition.
    """
    path = data_dir / "start_date"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        unfinished = data_dir / f".start_date.{os.getpid()}"
        unfinished.write_text(start_date.isoformat())
        unfinished.rename(path)
    recorded = path.read_text().strip()
    if recorded != start_date.isoformat():
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
        by_day = dict(list(obj.groupby("changed_on"))) if len(obj) else {}
        written = 0
        for key in context.asset_partition_keys:
            day_records = by_day.get(pd.Timestamp(key), obj.iloc[:0])
            day_records.attrs["run_id"] = obj.attrs["run_id"]
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
    known: dict[Any, tuple[datetime, Counter[str]]] = {}
    for record, observed_at in zip(earlier["record"], earlier["observed_at"], strict=True):
        key = _landed_identity(endpoint, record)
        if key not in known or known[key][0] < observed_at:
            known[key] = (observed_at, Counter())
        if known[key][0] == observed_at:
            known[key][1][record] += 1
    identities = [_landed_identity(endpoint, record) for record in records["record"]]
    seen: dict[Any, Counter[str]] = {key: Counter() for key in identities}
    for key, record in zip(identities, records["record"], strict=True):
        seen[key][record] += 1
    return records[[key not in known or known[key][1] != seen[key] for key in identities]]


def _landed_identity(endpoint: Endpoint, record: str) -> Any:
    """What makes two records versions of one; a record without identity is only ever itself."""
    key = identity(endpoint, json.loads(record))
    return record if key is None else key


def _read_file(file: Path) -> pd.DataFrame:
    # Without partitioning: a folder named like a date is not a column.
    frame: pd.DataFrame = parquet.read_table(file, partitioning=None).to_pandas()
    return frame


def _listed(days: list[str]) -> str:
    return ", ".join(days) if len(days) <= 3 else f"{days[0]} to {days[-1]} ({len(days)} partitions)"
