"""Completeness of a partition of landing: was it read after its day had ended? And marking it as not read.

A day read before its end misses what changed later; the tables are not loaded from it.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from foundation.durable import read_checked_text, write_checked_text
from foundation.landing.area import Landing
from foundation.landing.files import LandingDamaged, landing_files, read_landing_footer
from foundation.program import Program

# Names of the files that existed when a day was forgotten: they stay, and no longer count as having read it.
_FORGOTTEN = ".forgotten"


class ReadTooEarly(RuntimeError):
    """Partitions of landing that were read only before their day had ended; the message names the remedy."""


def was_read_after_end(landing: Landing, endpoint: str, day: date) -> bool:
    """Return whether any file of a partition was read after its day had ended, and not forgotten since.

    The time comes from the file's own records, or from the file system where it has none.
    """
    end = datetime.combine(day + timedelta(days=1), time.min)
    marker = landing.folder / endpoint / day.isoformat() / _FORGOTTEN
    forgotten = set(_forgotten_in(marker, landing.program)) if marker.exists() else set()
    files = [file for file in landing_files(landing.folder, endpoint, day) if file.name not in forgotten]
    return any(_observed_at(file, landing.program) >= end for file in reversed(files))


def refuse_read_too_early(landing: Landing, endpoint: str, days: Iterable[date]) -> None:
    """Refuse partitions that were not read after their day had ended.

    Raises:
        ReadTooEarly: If there is any.
    """
    early = [day.isoformat() for day in days if not was_read_after_end(landing, endpoint, day)]
    if early:
        raise ReadTooEarly(
            f"{endpoint} was read for {', '.join(early[:3])}{' and others' if len(early) > 3 else ''} only before the "
            "day had ended, or the day was forgotten since. Materialize the raw asset for these partitions again."
        )


def forget_reading(landing_dir: Path, endpoint: str, day: date) -> bool:
    """Have a partition count as not read until it is read again; its files stay.

    Returns:
        Whether it had any files.
    """
    files = landing_files(landing_dir, endpoint, day)
    if not files:
        return False
    marker = files[0].parent / _FORGOTTEN
    write_checked_text(marker, json.dumps([file.name for file in files]))
    return True


def _forgotten_in(marker: Path, program: Program) -> list[str]:
    try:
        names: list[str] = json.loads(read_checked_text(marker))
    except ValueError as error:
        raise LandingDamaged(marker, str(error), program) from error
    return names


def _observed_at(file: Path, program: Program) -> datetime:
    footer = read_landing_footer(file, program)
    column = footer.schema.names.index("observed_at")
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(column).statistics
        if statistics is not None and statistics.has_min_max:
            return statistics.max  # type: ignore[no-any-return]
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(tzinfo=None)
