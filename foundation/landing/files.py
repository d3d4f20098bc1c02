"""Landing files on disk: their names, writing and reading them, and finding damaged or missing ones.

A file carries the SHA-256 of its bytes in its name, which is verified on every read. Which records go into a file,
and what they mean, does not belong here.
"""

import io
import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import psutil
import pyarrow
import pyarrow.parquet as parquet

from foundation.durable import Damaged, free_place, sha256, sync_folder, write_file
from foundation.landing.area import Landing
from foundation.program import Program

# `<run_id>.<sha256>.parquet`; a file of an earlier version, `<run_id>.parquet`, cannot be verified.
_HASHED = re.compile(r"^(?P<stem>.+)\.(?P<sha256>[0-9a-f]{64})\.parquet$")
_FIRST_LOAD = ".first_load"


class LandingDamaged(Damaged):
    """A landing file differs from what was written, or cannot be read.

    Attributes:
        file: The file.
    """

    def __init__(self, file: Path, found: str, program: Program) -> None:
        """Name the file, what was `found` in it, what is lost and the remedy."""
        endpoint, day = file.parent.parent.name, file.parent.name
        super().__init__(
            f"The landing file {file} is damaged: {found}. Lost are the records of {endpoint} for {day} that this "
            "file brought. Restore the file from a copy, or read the day from the source again, which sets the "
            f"file aside: {program.run_again(day)}."
        )
        self.file = file


def landing_files(landing_dir: Path, endpoint: str, day: date) -> list[Path]:
    """The files of one partition, by name; unfinished ones are not among them."""
    return sorted(
        file
        for file in (landing_dir / endpoint / day.isoformat()).glob("*.parquet")
        if not file.name.startswith(".")
    )


def landing_file_names(landing_dir: Path, endpoint: str, day: date) -> list[str]:
    """The names of one partition's files, sorted; recorded with a load, so that a missing file is noticed later."""
    return [file.name for file in landing_files(landing_dir, endpoint, day)]


def missing_landing_files(landing_dir: Path, endpoint: str, day: date, recorded: Sequence[str]) -> list[str]:
    """The files recorded for a partition that no longer exist, sorted."""
    return sorted(set(recorded) - set(landing_file_names(landing_dir, endpoint, day)))


def landed_days(landing_dir: Path, endpoint: str) -> list[date]:
    """The partitions of an endpoint with at least one file, oldest first."""
    days = [date.fromisoformat(folder.name) for folder in (landing_dir / endpoint).glob("????-??-??")]
    return sorted(day for day in days if landing_files(landing_dir, endpoint, day))


def all_landing_files(landing_dir: Path) -> list[Path]:
    """Every file of every partition, by path."""
    files = landing_dir.glob("*/????-??-??/*.parquet")
    return sorted(file for file in files if not file.name.startswith("."))


def write_landing_file(folder: Path, run_id: str, table: pyarrow.Table) -> Path:
    """Write a file of a partition, named after the run and its own SHA-256.

    A step that is retried within its run writes another file: what its first attempt read stays.

    Args:
        folder: The partition's folder; created if absent.
        run_id: The run that read the records.
        table: The records; the metadata of its schema is kept.
    """
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    taken = {_stem(file) for file in folder.glob("*.parquet")}
    stem, repeat = run_id, 1
    while stem in taken:
        repeat += 1
        stem = f"{run_id}-{repeat}"
    path = folder / f"{stem}.{sha256(content)}.parquet"
    write_file(path, content)
    return path


def is_hashed(file: Path) -> bool:
    """Return whether the name of a landing file holds the SHA-256 of its bytes."""
    return _HASHED.match(file.name) is not None


def read_landing_file(file: Path, program: Program) -> pyarrow.Table:
    """Read a landing file: its bytes once, verified against its name, then parsed.

    Raises:
        LandingDamaged: If the bytes are not those that were written, or are not Parquet.
    """
    content = _verified_bytes(file, program)
    try:
        return parquet.read_table(io.BytesIO(content))
    except (pyarrow.ArrowException, OSError) as error:
        found = f"it cannot be read as Parquet ({_first_line(error)})"
        raise LandingDamaged(file, found, program) from error


def read_landing_footer(file: Path, program: Program) -> parquet.FileMetaData:
    """Read the footer of a landing file, once the whole file is known to be what was written.

    Raises:
        LandingDamaged: If the bytes are not those that were written, or are not Parquet.
    """
    content = _verified_bytes(file, program)
    if not is_hashed(file):
        read_landing_file(file, program)
    return parquet.read_metadata(io.BytesIO(content))


def count_landing_file(file: Path, program: Program) -> int:
    """The number of records in a landing file, from its footer.

    Raises:
        LandingDamaged: If the bytes are not those that were written, or are not Parquet.
    """
    return int(read_landing_footer(file, program).num_rows)


def damaged_landing_files(landing: Landing, days: Sequence[date] | None = None) -> Iterator[LandingDamaged]:
    """The damage of each damaged file of some partitions, or of all."""
    wanted = None if days is None else {day.isoformat() for day in days}
    for file in all_landing_files(landing.folder):
        if wanted is not None and file.parent.name not in wanted:
            continue
        try:
            read_landing_file(file, landing.program)
        except LandingDamaged as damage:
            yield damage


def set_aside_damaged(landing: Landing, days: Sequence[date] | None = None) -> list[tuple[Path, Path]]:
    """Move the damaged landing files of some partitions, or of all, to `<data_dir>/damaged/landing/`; delete none.

    Returns:
        The old and the new path of each file moved.
    """
    moved = []
    for damage in list(damaged_landing_files(landing, days)):
        place = landing.data_dir / "damaged" / damage.file.relative_to(landing.data_dir)
        now = free_place(place.parent, place.name)
        damage.file.rename(now)
        sync_folder(damage.file.parent)
        moved.append((damage.file, now))
    return moved


def begin_first_load(landing_dir: Path) -> None:
    """Record that nothing was ever loaded from landing: a warehouse that does not exist yet is not lost."""
    landing_dir.mkdir(parents=True, exist_ok=True)
    (landing_dir / _FIRST_LOAD).touch()


def end_first_load(landing_dir: Path) -> None:
    """Record that a warehouse was created; from now on it is lost if it does not exist."""
    (landing_dir / _FIRST_LOAD).unlink(missing_ok=True)


def was_loaded_from(landing_dir: Path) -> bool:
    """Return whether there are landing files that a warehouse was once loaded from."""
    if (landing_dir / _FIRST_LOAD).exists():
        return False
    return bool(all_landing_files(landing_dir))


def _verified_bytes(file: Path, program: Program) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LandingDamaged(file, f"it cannot be read ({error.strerror})", program) from error
    named = _HASHED.match(file.name)
    if named and sha256(content) != named["sha256"]:
        found = "its bytes are not those that were written (another SHA-256)"
        raise LandingDamaged(file, found, program)
    return content


def _stem(file: Path) -> str:
    named = _HASHED.match(file.name)
    return named["stem"] if named else file.stem


def _remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of killed writers, not those of a writer still alive in another process."""
    for leftover in folder.glob(".*.parquet.*"):
        writer = leftover.name.rpartition(".")[2]
        if not (
            writer.isdecimal() and int(writer) != psutil.Process().pid and psutil.pid_exists(int(writer))
        ):
            leftover.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")
