"""The folder of Dagster's records: one for each data folder, so that the runs of one never show as those of another.

Its place, its configuration, and the marks by which a command notices that the two do not belong together are here.
Opening the instance is in `instance.py`.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from foundation.durable import write_file
from foundation.errors import Explained

INSTANCE_DIR = ".dagster_home"
CONFIGURATION = "dagster.yaml"
HOME_MARK = "dagster_home"
"""The file in a data folder with the path of its records."""
_DATA_MARK = "data_dir"
_DEFAULT_DATA_DIR = "data"
# A folder with one of these was loaded.
_LOADED = ("start_date", "warehouse.duckdb")


class RecordsOfAnother(Explained):
    """Dagster's records and the data folder belong to different deployments; the message names both."""

    exit_code = 2


def dagster_home(data_dir: Path) -> Path:
    """The folder of Dagster's records of a data folder, whether it exists or not.

    That is DAGSTER_HOME, where it is set; else `.dagster_home` in the working directory for the default data folder, so
    that a plain `dagster dev` finds it, and in the data folder for any other.
    """
    given = os.environ.get("DAGSTER_HOME")
    if given:
        return Path(given).absolute()
    shared = Path(INSTANCE_DIR).absolute()
    is_default = data_dir.resolve() == Path(_DEFAULT_DATA_DIR).resolve()
    return shared if is_default or _always_shared(data_dir, shared) else data_dir.absolute() / INSTANCE_DIR


def is_in_data_folder(home: Path, data_dir: Path) -> bool:
    """Return whether records are inside a data folder, where they are configured by `configure`."""
    return not os.environ.get("DAGSTER_HOME") and home == data_dir.absolute() / INSTANCE_DIR


def configure(home: Path, source: Path) -> None:
    """Write the configuration of the working directory into another home, whose records are to be in that home.

    Args:
        home: The folder of the records, absolute.
        source: The dagster.yaml of the working directory, whose relative paths begin with `.dagster_home`.
    """
    text = yaml.safe_dump(_moved(yaml.safe_load(source.read_text()) or {}, home), sort_keys=False)
    target, content = home / CONFIGURATION, f"# Written from {source}, at each command.\n{text}".encode()
    if not target.exists() or target.read_bytes() != content:
        home.mkdir(parents=True, exist_ok=True)
        write_file(target, content)


def mark(home: Path, data_dir: Path) -> None:
    """Let records and data folder name each other, once `refuse_mixing` has found no objection."""
    _mark(data_dir.resolve() / HOME_MARK, home.resolve())
    _mark(home.resolve() / _DATA_MARK, data_dir.resolve())


def refuse_mixing(home: Path, data_dir: Path) -> None:
    """Refuse records of another data folder, and a data folder of other records, by the marks in both.

    A mark whose folder is gone (moved, deleted) does not count, nor do those of a pair that was copied together.

    Raises:
        RecordsOfAnother: If a mark names another folder.
    """
    data, records = data_dir.resolve(), home.resolve()
    other_home, other_data = _marked(data / HOME_MARK), _marked(records / _DATA_MARK)
    copied = other_data not in (None, data) and other_home not in (None, records)
    if copied and other_data and _marked(other_data / HOME_MARK) == other_home:
        other_home = other_data = None
    if other_home and other_home != records:
        raise RecordsOfAnother(
            f"Dagster's records of {data_dir} are in {other_home}, not in {home}. {_to_use(other_home)}, as for the "
            f"commands before; or delete {data_dir / HOME_MARK} if {data_dir} is a copy."
        )
    if other_data and other_data != data:
        raise RecordsOfAnother(
            f"The records in {home} are those of the data folder {other_data}, not of {data_dir}. Name that folder "
            f"(--data-dir or MOOVITAMIX_DATA_DIR), or set DAGSTER_HOME to another folder with a {CONFIGURATION}; "
            f"or delete {home / _DATA_MARK} if {home} is a copy."
        )


def _to_use(home: Path) -> str:
    in_working_directory = home.name == INSTANCE_DIR and (home.parent / CONFIGURATION).exists()
    return f"Run the command in {home.parent}" if in_working_directory else f"Set DAGSTER_HOME={home}"


def _always_shared(data_dir: Path, shared: Path) -> bool:
    """Return whether a data folder has its records in the working directory, as all had before they were separated."""
    own_mark, their_mark = _marked(data_dir / HOME_MARK), _marked(shared / _DATA_MARK)
    if own_mark or their_mark or not shared.exists():
        return own_mark == shared.resolve()
    default_loaded = any((Path(_DEFAULT_DATA_DIR) / name).exists() for name in _LOADED)
    loaded = any((data_dir / name).exists() for name in _LOADED)
    return loaded and not default_loaded and not (data_dir / INSTANCE_DIR).exists()


def _moved(value: Any, home: Path) -> Any:
    if isinstance(value, dict):
        return {name: _moved(each, home) for name, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, home) for each in value]
    parts = Path(value).parts if isinstance(value, str) else ()
    return str(home.joinpath(*parts[1:])) if parts[:1] == (INSTANCE_DIR,) else value


def _marked(mark: Path) -> Path | None:
    """The folder that a mark names, if both exist."""
    named = Path(mark.read_text().strip()) if mark.is_file() else None
    return named if named and named.is_dir() else None


def _mark(mark: Path, named: Path) -> None:
    # An exporter may be given folders that it can only read.
    if os.access(mark.parent, os.W_OK) and (not mark.exists() or mark.read_text().strip() != str(named)):
        write_file(mark, f"{named}\n".encode())
