"""Which partitions of landing were read to their end, and which records they know.

Cheap look-ups in landing files: footers and single columns. Writing records, and what follows from what is known,
does not belong here.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pyarrow import compute

from foundation.durable import read_checked_text, write_checked_text
from moovitamix_assets.ingestion.client.records import Endpoint, Identity, Record, identity
from moovitamix_assets.ingestion.landing_storage import (
    LandingDamaged,
    landing_files,
    read_landing_file,
    read_landing_footer,
)

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
    forgotten = set(_forgotten_in(marker)) if marker.exists() else set()
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
    write_checked_text(marker, json.dumps([file.name for file in files]))
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
    looked_for = unknown = looked_at = 0
    for day in sorted(records, key=lambda day: (-len(records[day]), day)):
        if looked_at == _DAYS_LOOKED_AT:
            break
        try:
            known = _known_at(landing_dir, endpoint, day, {record.changed_at for record in records[day]})
        except LandingDamaged:
            continue  # It says nothing; whoever reads the partition reports the damage.
        if known is None:
            continue
        wanted = {_identity(endpoint, record.json) for record in records[day]} - {None}
        looked_at += 1
        looked_for += len(wanted)
        unknown += len(wanted - known)
    return looked_for, unknown


def _known_at(
    landing_dir: Path, endpoint: Endpoint, day: date, times: Collection[datetime | None]
) -> set[Identity | None] | None:
    """The identities of a partition's records that changed at some times; None if it was not read after its end."""
    if not was_read_after_end(landing_dir, endpoint, day):
        return None
    # The changing of a record that is known stands there with the same time: the others are not decoded.
    at_these_times = compute.field("changed_at").isin(list(times))
    return {
        _identity(endpoint, text)
        for file in landing_files(landing_dir, endpoint, day)
        for text in read_landing_file(file).filter(at_these_times)["record"].to_pylist()
    }


def _forgotten_in(marker: Path) -> list[str]:
    try:
        names: list[str] = json.loads(read_checked_text(marker))
    except ValueError as error:
        raise LandingDamaged(marker, str(error)) from error
    return names


def _identity(endpoint: Endpoint, text: str) -> Identity | None:
    return identity(endpoint, json.loads(text))


def _observed_at(file: Path) -> datetime:
    footer = read_landing_footer(file)
    column = footer.schema.names.index("observed_at")
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(column).statistics
        if statistics is not None and statistics.has_min_max:
            return statistics.max  # type: ignore[no-any-return]
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(tzinfo=None)
