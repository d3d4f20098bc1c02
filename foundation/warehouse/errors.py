"""The errors of opening a warehouse; each message names the file, what was found, and the remedy."""

import re
from pathlib import Path

from foundation.durable import Damaged
from foundation.errors import Explained
from foundation.warehouse.layout import WarehouseLayout


class WarehouseLocked(Explained):
    """Another process, or another connection of this one, holds the warehouse; the message names it."""


class WarehouseMissing(Explained, FileNotFoundError):
    """The warehouse has not been created yet."""


class WarehouseLost(Damaged):
    """The warehouse was created and is gone; the message names what is lost with it."""


class WarehouseDamaged(Damaged):
    """The warehouse cannot be read."""


class WarehouseOutdated(RuntimeError):
    """The columns of a table differ from its schema; the message names them."""


def missing(path: Path, layout: WarehouseLayout) -> WarehouseMissing:
    """The error for a warehouse that was never created."""
    return WarehouseMissing(
        f"There is no warehouse at {path}. Run `{layout.program.command} run`, or materialize {_sources(layout)}."
    )


def lost(path: Path, layout: WarehouseLayout) -> WarehouseLost:
    """The error for a warehouse that was created and is gone."""
    return WarehouseLost(
        f"The warehouse {path} is gone, though {path.parent} holds what was loaded into it. Lost are its tables; "
        "landing has every record, and the ledger every decision and measure. "
        f"`{layout.program.command} rebuild` restores it."
    )


def damaged(path: Path, layout: WarehouseLayout, error: Exception) -> WarehouseDamaged:
    """The error for a warehouse that DuckDB cannot read."""
    found = (str(error).splitlines() or [""])[0].rstrip(".")
    again = ", ".join(sorted(layout.computed_again)) or "nothing"
    return WarehouseDamaged(
        f"The warehouse {path} cannot be read ({found}). Landing has every record, and the ledger every decision "
        f"and measure: `{layout.program.command} rebuild` sets the file aside and restores it; only {again} "
        f"{'are' if layout.computed_again else 'is'} lost until the next run."
    )


def locked(path: Path, error: str) -> WarehouseLocked:
    """The error for a warehouse that another connection holds, which DuckDB's `error` names."""
    holder = re.search(r"held in (.+?) \(PID (\d+)\)", error)
    who = f"process {holder[2]} ({holder[1]})" if holder else "another process"
    return WarehouseLocked(
        f"The warehouse {path} is held by {who}. Wait until it has finished, or end it; "
        "your own programs should open the file read-only and briefly, or its copy for readers."
    )


def outdated(
    path: Path, layout: WarehouseLayout, table: str, expected: set[str], found: set[str]
) -> WarehouseOutdated:
    """The error for a table whose columns differ from its schema."""
    absent, beyond = (
        ", ".join(sorted(columns)) or "nothing" for columns in (expected - found, found - expected)
    )
    return WarehouseOutdated(
        f"The table {table} of {path} differs from its schema: it lacks {absent}, and has {beyond} beyond it. "
        f"Another version of the project created it. `{layout.program.command} rebuild` sets the file aside and "
        "restores it from landing and the ledger."
    )


def _sources(layout: WarehouseLayout) -> str:
    *others, last = layout.sources
    return f"{', '.join(others)} and {last}" if others else last
