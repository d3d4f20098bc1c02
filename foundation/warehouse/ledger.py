"""The ledger: what cannot be computed again from landing, kept a second time next to the warehouse, as plain text.

One file per table, `<data_dir>/ledger/<table>.jsonl`, append-only. A line is one version of a group of rows (a
decision, a model's evaluations, a day's measures); the last line of a group counts. Each line carries the SHA-256 of
its text and of the line before, so that an altered line and a lost one are both noticed. `connection.py` decides when
lines are appended; what the rows mean belongs to the tables' owners.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from foundation.durable import free_place, sha256, sync_folder, write_file
from foundation.tables import sql_type
from foundation.warehouse.layout import WarehouseLayout

# Rows written by loading the partitions again; the ledger records which were loaded, and which no longer count.
_LOADED_AGAIN = "partition_loads"
# Where the marks of tables computed again are: they must not be restored without those tables.
_MARKS = "partitions_made"

_START = '{"sha256":"'
_PREVIOUS = '"previous":"'
_DIGEST_LENGTH = 64
_NO_LINE_BEFORE = "0" * _DIGEST_LENGTH
_ROWS_START = len(_START) + _DIGEST_LENGTH + len('",')

Row = dict[str, Any]
Group = tuple[Any, ...]

_log = logging.getLogger(__name__)


@dataclass
class LedgerFile:
    """The content of a file of the ledger.

    Attributes:
        groups: The rows of each group, by the values that name it, from its last line.
        faults: The damage, each as `line <number>: <finding>`; such lines are left out of `groups`.
        state: The fingerprint of the table when the last line was written; empty without any line.
        last: The SHA-256 of the last line.
    """

    groups: dict[Group, list[Row]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    state: str = ""
    last: str = _NO_LINE_BEFORE


def ledger_path(folder: Path, table: str) -> Path:
    """The file of a table."""
    return folder / f"{table}.jsonl"


def is_written(folder: Path, layout: WarehouseLayout) -> bool:
    """Return whether anything was ever recorded, so that a warehouse must exist."""
    return any(ledger_path(folder, table).exists() for table in layout.ledger_groups)


def append_news(connection: duckdb.DuckDBPyConnection, folder: Path, layout: WarehouseLayout) -> None:
    """Append what the warehouse holds and the ledger does not, including what a crash kept from being appended.

    A table that did not change costs a scan of it and the last line of its file. A damaged file is set aside in
    `<data_dir>/damaged/ledger/`, with a warning, and rewritten from its readable lines and the warehouse.

    Args:
        connection: The warehouse, outside a transaction: what is recorded must have been committed.
        folder: The ledger's folder.
        layout: The warehouse's layout.
    """
    for table, state in _states(connection, layout.ledger_groups).items():
        path = ledger_path(folder, table)
        if state.startswith("0:") and not path.exists():
            continue
        if _last_state(path) == state:
            continue
        known = read_ledger(folder, table)
        if known.faults:
            aside = free_place(folder.parent / "damaged" / folder.name, path.name)
            path.rename(aside)
            _log.warning(
                "%s was damaged (%s): it was set aside as %s and rewritten from the warehouse.",
                path, "; ".join(known.faults), aside,
            )  # fmt: skip
            now = groups_of(connection, table, layout)
            groups = now if table == _LOADED_AGAIN else known.groups | now
            write_file(path, _lines(table, groups, state, _NO_LINE_BEFORE))
            continue
        now = groups_of(connection, table, layout)
        news = {group: rows for group, rows in now.items() if known.groups.get(group) != rows}
        if table == _LOADED_AGAIN:
            news |= {group: [] for group, rows in known.groups.items() if rows and group not in now}
        _append(path, _lines(table, news, state, known.last))


def record_deletions(connection: duckdb.DuckDBPyConnection, folder: Path, layout: WarehouseLayout) -> None:
    """Append that groups were deleted on purpose, for each that the ledger holds and the warehouse does not.

    To be called by the code that deleted them only: an older copy of the warehouse lacks groups too.
    """
    states = _states(connection, layout.ledger_groups)
    for table in layout.ledger_groups:
        known = read_ledger(folder, table)
        gone: dict[Group, list[Row]] = {group: [] for group in rows_lost(connection, folder, table, layout)}
        if gone and not known.faults:
            _append(ledger_path(folder, table), _lines(table, gone, states[table], known.last))


def renew(connection: duckdb.DuckDBPyConnection, folder: Path, layout: WarehouseLayout) -> None:
    """Rewrite every file from the warehouse, and from the ledger's readable lines where only these have a group."""
    for table, state in _states(connection, layout.ledger_groups).items():
        groups = read_ledger(folder, table).groups | groups_of(connection, table, layout)
        if groups:
            content = _lines(table, groups, state, _NO_LINE_BEFORE)
            write_file(ledger_path(folder, table), content)


def read_ledger(folder: Path, table: str) -> LedgerFile:
    """Read the file of a table, each line verified; an absent file is empty."""
    path = ledger_path(folder, table)
    read = LedgerFile()
    if not path.exists():
        return read
    *lines, unfinished = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        text = line.decode(errors="replace")
        digest, rest = text[len(_START) : _ROWS_START - 2], text[_ROWS_START:]
        if text != f'{_START}{digest}",{rest}' or sha256(rest.encode()) != digest:
            read.faults.append(f"line {number}: it is not what was written")
            read.last = ""
            continue
        entry = json.loads(text)
        if read.last and entry["previous"] != read.last:
            read.faults.append(f"line {number}: the line before it is missing")
        read.groups[tuple(entry["group"])] = entry["rows"]
        read.state, read.last = entry["state"], digest
    if unfinished:
        read.faults.append(f"line {len(lines) + 1}: it was not written to its end")
    return read


def groups_of(
    connection: duckdb.DuckDBPyConnection, table: str, layout: WarehouseLayout
) -> dict[Group, list[Row]]:
    """The rows of a table of the warehouse in the ledger's form, by group."""
    columns = list(layout.tables[table].columns)
    listed = ", ".join(f'"{column}"' for column in columns)
    groups: dict[Group, list[Row]] = {}
    for values in connection.execute(f'SELECT {listed} FROM "{table}" ORDER BY ALL').fetchall():
        # Through JSON and back, to compare the form in which it would be read.
        row = json.loads(json.dumps(dict(zip(columns, values, strict=True)), default=_as_text))
        groups.setdefault(tuple(row[name] for name in layout.ledger_groups[table]), []).append(row)
    return groups


def rows_lost(
    connection: duckdb.DuckDBPyConnection, folder: Path, table: str, layout: WarehouseLayout
) -> list[Group]:
    """The groups that the ledger holds and the warehouse does not: an older copy of the warehouse lacks them.

    What a rebuild leaves to the next run to compute is not among them: only the newest days are computed again.
    """
    groups = read_ledger(folder, table).groups
    known = {group for group, rows in groups.items() if rows and _is_restored(layout, table, group)}
    return sorted(known - groups_of(connection, table, layout).keys())


def restored_frames(folder: Path, layout: WarehouseLayout) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each table that only the ledger can restore, with its rows."""
    for table in layout.ledger_groups.keys() - {_LOADED_AGAIN}:
        groups = read_ledger(folder, table).groups
        rows = [
            row for group, members in groups.items() if _is_restored(layout, table, group) for row in members
        ]
        frame = pd.DataFrame(rows, columns=list(layout.tables[table].columns))
        for name, column in layout.tables[table].columns.items():
            if sql_type(column) in ("DATE", "TIMESTAMP"):
                frame[name] = frame[name].astype("datetime64[us]")
        yield table, frame


def loaded_partitions(folder: Path) -> dict[str, set[date]] | None:
    """The days loaded into each source table; None if the ledger does not know."""
    groups = read_ledger(folder, _LOADED_AGAIN).groups
    days: dict[str, set[date]] = {}
    for (table, day), rows in groups.items():
        if rows:
            days.setdefault(table, set()).add(date.fromisoformat(day))
    return days if groups else None


def _is_restored(layout: WarehouseLayout, table: str, group: Group) -> bool:
    """Return whether a rebuild restores a group: not the mark of a table that is computed again."""
    return table != _MARKS or group[0] not in layout.computed_again


def _append(path: Path, content: bytes) -> None:
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0 if is_new else path.stat().st_size
    try:
        with path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        os.truncate(path, size)  # half a line, on a full disk, would count as damage
        raise
    if is_new:
        sync_folder(path.parent)


def _lines(table: str, groups: Mapping[Group, list[Row]], state: str, previous: str) -> bytes:
    lines = []
    for group, rows in groups.items():
        content = json.dumps({"group": group, "rows": rows, "state": state}, separators=(",", ":"))
        rest = f'{_PREVIOUS}{previous}",{content[1:]}'
        previous = sha256(rest.encode())
        lines.append(f'{_START}{previous}",{rest}\n')
    return "".join(lines).encode()


def _last_state(path: Path) -> str | None:
    """The table's state when the last line of a file was written; None if there is no undamaged last line."""
    if not path.exists():
        return None
    last = _last_line(path)
    digest, rest = last[len(_START) : _ROWS_START - 2], last[_ROWS_START:]
    if sha256(rest.encode()) != digest:
        return None
    return str(json.loads(last)["state"])


def _last_line(path: Path) -> str:
    """The last line without its end, read from the end of the file; empty where none was finished."""
    step = 65536
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail = b""
        while size > 0 and tail.count(b"\n") < 2:
            start = max(0, size - step)
            file.seek(start)
            tail = file.read(size - start) + tail
            size = start
    lines = tail.split(b"\n")
    return lines[-2].decode(errors="replace") if len(lines) > 1 and not lines[-1] else ""


def _states(connection: duckdb.DuckDBPyConnection, tables: Iterable[str]) -> dict[str, str]:
    """A fingerprint of each table's rows, whatever their order; equal tables have equal ones."""
    queries = [
        f"SELECT '{table}', count(*), coalesce(sum(hash(rows_of)::HUGEINT), 0) FROM \"{table}\" AS rows_of"
        for table in tables
    ]
    found = connection.execute(" UNION ALL ".join(queries)).fetchall() if queries else []
    return {table: f"{rows}:{sum_of_hashes}" for table, rows, sum_of_hashes in found}


def _as_text(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written to the ledger")
