"""`moovitamix history`: every decision about which version serves, as recorded in `promotions`."""

from typing import Any

from rich.console import Console
from rich.table import Table

from foundation.models.decisions import RecordedDecision
from foundation.models.promotions import all_decisions
from moovitamix_assets.cli.inspection.plain_values import plain
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse


def read_history(settings: Settings) -> list[dict[str, Any]]:
    """Every decision about a version, the newest first, as plain values.

    Raises:
        WarehouseMissing: If nothing was ever loaded.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        decisions = all_decisions(connection)
    columns = ["as_of", "decision", "model_version", "previous_version", "reason"]
    rows = decisions[columns].iloc[::-1].to_dict("records")
    return [
        {str(name): plain(None if value != value else value) for name, value in row.items()} for row in rows
    ]


def print_history(console: Console, decisions: list[dict[str, Any]]) -> None:
    """Print decisions for a terminal."""
    if not decisions:
        console.print("No candidate was decided about yet.")
        return
    table = Table(title="Decisions, the newest first", title_justify="left")
    for name in ("as of", "decision", "version", "champion before", "reason"):
        table.add_column(name, overflow="fold")
    for row in decisions:
        shown = row | {"decision": RecordedDecision(**row).kind.replace("_", " ")}
        table.add_row(*("" if value is None else str(value) for value in shown.values()))
    console.print(table)
