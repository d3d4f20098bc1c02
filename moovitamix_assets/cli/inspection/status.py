"""How a deployment stands: which days are there, who is champion and why, recent quality, open incidents, what is next.

Nothing is computed that a sensor does not decide by as well; what is wrong with an installation is `doctor.py`.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
from dagster import DagsterInstance
from rich.console import Console
from rich.table import Table

from foundation.counting import counted
from foundation.models.promotions import all_decisions, current_champion, decision_about
from moovitamix_assets.automation.incidents import find_incidents
from moovitamix_assets.automation.missed_partitions import read_stored_days
from moovitamix_assets.automation.retraining import decide_retraining, open_request
from moovitamix_assets.automation.retraining_runs import current_evidence
from moovitamix_assets.automation.training_limits import obstacle_to_training_now
from moovitamix_assets.cli.interface.invocation import repeating_data_dir
from moovitamix_assets.clock import due_day
from moovitamix_assets.partitions import days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse

_DAYS_SHOWN = 7


@dataclass(frozen=True)
class Status:
    """What `moovitamix status` prints; every value is plain, so that it can be printed as JSON.

    Attributes:
        first_day: The oldest partition loaded; None before the first load.
        last_day: The newest one.
        days_loaded: How many are.
        missing: Days from the first one to the newest due that are not loaded.
        champion: The active version; None while popular tracks are recommended.
        champion_since: The day from which it is active.
        champion_reason: Why it was promoted.
        quality: Of the last days: day, model_version, role, users, ndcg_at_10, popularity_ndcg_at_10.
        incidents: Each open incident, in one line.
        upcoming: What happens next, in sentences.
    """

    first_day: date | None
    last_day: date | None
    days_loaded: int
    missing: tuple[date, ...]
    champion: str | None
    champion_since: date | None
    champion_reason: str | None
    quality: tuple[dict[str, Any], ...]
    incidents: tuple[str, ...]
    upcoming: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same with days as ISO 8601 texts."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def read_status(settings: Settings, instance: DagsterInstance, moment: datetime) -> Status:
    """Read the status of a deployment.

    Args:
        settings: Of the deployment.
        instance: Dagster's records of runs.
        moment: Now, naive UTC.

    Raises:
        WarehouseMissing: If nothing was ever loaded.
        WarehouseLocked: If a run is writing.
    """
    loaded, due = read_stored_days(settings.warehouse_path).loaded, due_day(moment, settings.schedule)
    first, last = min(loaded, default=None), max(loaded, default=None)
    missing = [day for day in days_between(first, due) if day not in loaded] if first else []
    with read_warehouse(settings.warehouse_path) as connection:
        champion = current_champion(connection, moment.date())
        decision = decision_about(connection, champion.model_version) if champion else None
        quality = _recent_quality(connection)
        evidence = current_evidence(connection, instance, settings, moment)
    incidents = [
        f"{each.title}, since {each.since}"
        for each in find_incidents(instance, settings, moment).found
        if each.lasting
    ]
    upcoming = [_next_nightly_run(settings, moment)]
    if missing:
        upcoming.append(
            f"The catch-up run loads the missing days, if they are within {settings.schedule.catch_up_days} days."
        )
    if evidence is None:
        upcoming.append("There are no recommendations: `moovitamix run` computes those of the last day.")
    if evidence and (requested := open_request(evidence)):
        obstacle = obstacle_to_training_now(evidence, settings.retraining)
        upcoming.append(f"A retraining is requested as of {requested}. {_how_to_answer(obstacle)}")
    if evidence:
        upcoming.append(decide_retraining(evidence, settings.retraining, settings.monitoring).reason)
    return Status(
        first_day=first,
        last_day=last,
        days_loaded=len(loaded),
        missing=tuple(missing),
        champion=champion.model_version if champion else None,
        champion_since=champion.active_since if champion else None,
        champion_reason=decision.reason if decision else None,
        quality=tuple(quality),
        incidents=tuple(incidents),
        upcoming=tuple(upcoming),
    )


def print_status(console: Console, status: Status) -> None:
    """Print a status for a terminal."""
    days = (
        f"{counted(status.days_loaded, 'day')} loaded, {status.first_day} to {status.last_day}"
        if status.days_loaded
        else "none loaded"
    )
    shown = ", ".join(map(str, status.missing[:_DAYS_SHOWN])) + (
        ", ..." if len(status.missing) > _DAYS_SHOWN else ""
    )
    missing = f"; {len(status.missing)} missing: {shown}" if status.missing else "; none missing"
    champion = (
        f"{status.champion} since {status.champion_since}. {status.champion_reason or ''}"
        if status.champion
        else "none: every user gets popular tracks"
    )
    for label, text in (("Partitions", days + missing), ("Champion  ", champion)):
        console.print(f"[bold]{label}[/] {text}", highlight=False, soft_wrap=True)
    _print_quality(console, status)
    for label, lines in (("Incidents ", status.incidents or ("none",)), ("Next      ", status.upcoming)):
        for number, line in enumerate(lines):
            shown = label if number == 0 else " " * 10
            console.print(f"[bold]{shown}[/] {repeating_data_dir(line)}", highlight=False, soft_wrap=True)


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
        {str(name): _plain(None if value != value else value) for name, value in row.items()} for row in rows
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
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console.print(table)


def _recent_quality(connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    rows = connection.execute(
        """SELECT day, model_version, role, users, ndcg_at_10, popularity_ndcg_at_10 FROM recommendation_quality
           WHERE segment = 'all' AND day > (SELECT max(day) FROM recommendation_quality) - ?::INTEGER
           ORDER BY day DESC, role, model_version""",
        [_DAYS_SHOWN],
    ).fetchall()
    names = ("day", "model_version", "role", "users", "ndcg_at_10", "popularity_ndcg_at_10")
    return (dict(zip(names, row, strict=True)) for row in rows)


def _print_quality(console: Console, status: Status) -> None:
    if not status.quality:
        console.print("[bold]Quality   [/] no day was measured yet")
        return
    table = Table(title="NDCG@10 of the last days, against popular tracks", title_justify="left")
    table.add_column("day")
    table.add_column("version")
    table.add_column("role")
    for name in ("users", "recommended", "popular", "ratio"):
        table.add_column(name, justify="right")
    for row in status.quality:
        value, popular = row["ndcg_at_10"], row["popularity_ndcg_at_10"]
        ratio = f"{value / popular:.2f}" if popular else ""
        table.add_row(
            str(row["day"]),
            row["model_version"],
            row["role"],
            str(row["users"]),
            f"{value:.4f}",
            f"{popular:.4f}",
            ratio,
        )
    console.print(table)


def _how_to_answer(obstacle: str | None) -> str:
    """The commands that work on an open request; `retrain --now` is refused where there is an obstacle."""
    cancel = "`moovitamix retrain --cancel` withdraws it."
    if obstacle:
        return f"It cannot be trained at once: {obstacle}. {cancel}"
    return f"`moovitamix retrain --now` trains at once, {cancel}"


def _next_nightly_run(settings: Settings, moment: datetime) -> str:
    due = due_day(moment, settings.schedule) + timedelta(days=1)
    return (
        f"The nightly run for {due} starts on {due + timedelta(days=1)} at {settings.schedule.nightly_at} UTC, "
        "if a Dagster daemon runs."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()[:10]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
