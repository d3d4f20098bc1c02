"""Which partitions of landing were read to their end, and which records they know.

Cheap look-ups in landing files: footers and single columns. Writing records, and what follows from what is known,
does not belong here.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow.parquet as parquet

from moovitamix_assets.ingestion.landing import landing_files
from moovitamix_assets.ingestion.records import Endpoint, Identity, Record, identity

# Names of the files that were there when a day was forgotten: they stay, and no longer say that it was read.
_FORGOTTEN = ".forgotten"
_DAYS_LOOKED_AT = 10


class ReadTooEarly(RuntimeError):
    """Partitions of landing that were read only before their day had ended; the message names the remedy."""


def was_read_after_end(landing_dir: Path, endpoint: str, day: date) -> bool:
    """Whether any file of a partition was read after its day had ended, and not forgotten since.

    A file's own records say when it was read, the file's time where it has none.
    """
    end = datetime.combine(day + timedelta(days=1), time.min)
    marker = landing_dir / endpoint / day.isoformat() / _FORGOTTEN
    forgotten = set(marker.read_text().split("\n")) if marker.exists() else set()
    files = [file for file in landing_files(landing_dir, endpoint, day) if file.name not in forgotten]
    return any(_observed_at(file) >= end for file in reversed(files))


def refuse_read_too_early(landing_dir: Path, endpoint: str, days: Iterable[date]) -> None:
    """Refuse partitions whose landing files do not tell of their whole day.

    Raises:
        ReadTooEarly: If there is any.
    """
    early = [day.isoformat() for day in days if not was_read_after_end(landing_dir, endpoint, day)]
    if early:
        raise ReadTooEarly(
            f"{endpoint} was read for {', '.join(early[:3])}{' and others' if len(early) > 3 else ''} only before the "
            "day had ended, or the day was forgotten since. Materialize the raw asset for these partitions again."
        )


def forget_reading(landing_dir: Path, endpoint: str, day: date) -> bool:
    """Have a partition count as not read, until it is read again; its files stay.

    Returns:
        Whether there was any.
    """
    files = landing_files(landing_dir, endpoint, day)
    if not files:
        return False
    marker = files[0].parent / _FORGOTTEN
    unfinished = marker.with_name(f"{_FORGOTTEN}.{os.getpid()}")
    unfinished.write_text("\n".join(file.name for file in files))
    unfinished.rename(marker)
    return True


def count_unknown(
    landing_dir: Path, endpoint: Endpoint, records: Mapping[date, Sequence[Record]]
) -> tuple[int, int]:
    """Look for records in the landing files of the days on which they changed.

    Only days that were read after their end say anything; of those, the few with the most records are looked at.

    Args:
        landing_dir: The landing folder.
        endpoint: The endpoint.
        records: By partition; all with a readable time.

    Returns:
        The number of records looked for, and how many of them are unknown there.
    """
    telling = [day for day in records if was_read_after_end(landing_dir, endpoint, day)]
    chosen = sorted(telling, key=lambda day: (-len(records[day]), day))[:_DAYS_LOOKED_AT]
    looked_for = unknown = 0
    for day in chosen:
        wanted = {_identity(endpoint, record.json) for record in records[day]} - {None}
        times = {record.changed_at for record in records[day]}
        known = {
            _identity(endpoint, text)
            for file in landing_files(landing_dir, endpoint, day)
            # The changing of a record that is known stands there with the same time: the others are not decoded.
            for text in parquet.read_table(
                file, columns=["record"], filters=[("changed_at", "in", times)], partitioning=None
            )["record"].to_pylist()
        }
        looked_for += len(wanted)
        unknown += len(wanted - known)
    return looked_for, unknown


def _identity(endpoint: Endpoint, text: str) -> Identity | None:
    return identity(endpoint, json.loads(text))


def _observed_at(file: Path) -> datetime:
    footer = parquet.read_metadata(file)
    column = footer.schema.names.index("observed_at")
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(column).statistics
        if statistics is not None and statistics.has_min_max:
            return statistics.max  # type: ignore[no-any-return]
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(tzinfo=None)
