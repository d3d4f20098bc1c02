"""How a deployment stands: days, the version that serves and why, challenger, recent quality, incidents, what is next.

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
from foundation.models.decisions import POPULARITY, Standing
from foundation.models.promotions import current_champion, serving_decision, standing
from moovitamix_assets.automation.champion_decision import decide_about_champion
from moovitamix_assets.automation.evidence import Evidence
from moovitamix_assets.automation.incidents import find_incidents
from moovitamix_assets.automation.missed_partitions import read_stored_days
from moovitamix_assets.automation.retraining import open_request
from moovitamix_assets.automation.retraining_runs import current_evidence
from moovitamix_assets.automation.serving_decision import decide_about_challenger
from moovitamix_assets.automation.training_limits import obstacle_to_training_now
from moovitamix_assets.cli.inspection.plain_values import plain
from moovitamix_assets.cli.interface.invocation import repeating_data_dir
from moovitamix_assets.clock import due_day
from moovitamix_assets.partitions import days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse

_DAYS_SHOWN = 7
_MADE_SERVING = {
    "promoted": "promoted",
    "returned": "returned to after a fallback",
    "rolled_back": "returned to by a rollback",
    "fallback": "a fallback",
}


@dataclass(frozen=True)
class ChallengerStatus:
    """The challenger in shadow.

    Attributes:
        model_version: Its version.
        since: The day from which it is in shadow.
        days_judged: The days on which it was measured against the version that serves.
        finding: What it waits for, or what is decided about it, with figures.
    """

    model_version: str
    since: date
    days_judged: int
    finding: str


@dataclass(frozen=True)
class Status:
    """What `moovitamix status` prints; every value is plain, so that it can be printed as JSON.

    Attributes:
        first_day: The oldest partition loaded; None before the first load.
        last_day: The newest one.
        days_loaded: How many are.
        missing: Days from the first one to the newest due that are not loaded.
        serving: The version whose recommendations users get, `popularity` where it is no model's.
        serving_since: The day from which it serves; None before the first promotion.
        serving_by: How it came to serve: promoted, returned, rolled_back, fallback.
        serving_reason: Why.
        champion: The current champion, in shadow during a fallback; None before the first promotion.
        champion_since: The day from which it is the champion.
        challenger: The challenger in shadow, if there is one.
        quality: Of the last days: day, model_version, role, users, ndcg_at_10, popularity_ndcg_at_10.
        incidents: Each open incident, in one line.
        decision: What is decided as of the newest day with recommendations, and why.
        upcoming: What happens next, in sentences.
    """

    first_day: date | None
    last_day: date | None
    days_loaded: int
    missing: tuple[date, ...]
    serving: str
    serving_since: date | None
    serving_by: str | None
    serving_reason: str | None
    champion: str | None
    champion_since: date | None
    challenger: ChallengerStatus | None
    quality: tuple[dict[str, Any], ...]
    incidents: tuple[str, ...]
    decision: str | None
    upcoming: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same with days as ISO 8601 texts."""
        return {name: plain(value) for name, value in asdict(self).items()}


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
        versions = standing(connection, moment.date())
        made_serving = serving_decision(connection, moment.date())
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
            f"The catch-up run loads the missing days, if they are within {settings.schedule.catch_up_days} days; "
            "`moovitamix run` loads all of them."
        )
    if first and first > settings.start_date:
        upcoming.append(
            f"Days before {first} were left out, and with them what last changed then: `moovitamix run` loads them."
        )
    if evidence is None:
        upcoming.append("There are no recommendations: `moovitamix run` computes those of the last day.")
    if evidence and (requested := open_request(evidence)):
        obstacle = obstacle_to_training_now(evidence, settings.retraining)
        upcoming.append(f"A retraining is requested as of {requested}. {_how_to_answer(obstacle)}")
    return Status(
        first_day=first,
        last_day=last,
        days_loaded=len(loaded),
        missing=tuple(missing),
        serving=versions.serving,
        serving_since=versions.serving_since,
        serving_by=made_serving.kind if made_serving else None,
        serving_reason=made_serving.reason if made_serving else None,
        champion=versions.champion,
        champion_since=champion.active_since if champion else None,
        challenger=_challenger(evidence, versions, settings),
        quality=tuple(quality),
        incidents=tuple(incidents),
        decision=(
            f"As of {evidence.day}: {decide_about_champion(evidence, settings).summary}" if evidence else None
        ),
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
    _print_lines(console, "Partitions", days + missing)
    _print_versions(console, status)
    _print_quality(console, status)
    _print_lines(console, "Incidents", *(status.incidents or ("none",)))
    if status.decision:
        _print_lines(console, "Decision", status.decision)
    _print_lines(console, "Next", *status.upcoming)


def _challenger(evidence: Evidence | None, versions: Standing, settings: Settings) -> ChallengerStatus | None:
    if versions.challenger is None:
        return None
    version, since = versions.challenger.model_version, versions.challenger.since
    if evidence is None:
        return ChallengerStatus(version, since, 0, "There are no recommendations to compare with.")
    found = decide_about_challenger(evidence, settings.promotion, settings.monitoring)
    return ChallengerStatus(version, since, int(found.metrics.get("days", 0)), found.reason)


def _print_versions(console: Console, status: Status) -> None:
    if status.champion is None:
        _print_lines(console, "Serving", "popular tracks, to every user: no candidate was promoted yet")
    else:
        serving = "popular tracks" if status.serving == POPULARITY else status.serving
        by = _MADE_SERVING[status.serving_by or "promoted"]
        _print_lines(
            console, "Serving", f"{serving} since {status.serving_since} ({by}). {status.serving_reason}"
        )
    if status.champion and status.serving == POPULARITY:
        _print_lines(
            console,
            "Champion",
            f"{status.champion} since {status.champion_since}, in shadow until it is clearly better than the "
            "popular tracks that serve",
        )
    if status.challenger:
        days = counted(status.challenger.days_judged, "day")
        _print_lines(
            console,
            "Challenger",
            f"{status.challenger.model_version} in shadow since {status.challenger.since}, judged on {days}. "
            f"{status.challenger.finding}",
        )


def _print_lines(console: Console, label: str, *lines: str) -> None:
    for number, line in enumerate(lines):
        shown = label if number == 0 else ""
        console.print(f"[bold]{shown:<10}[/] {repeating_data_dir(line)}", highlight=False, soft_wrap=True)


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
    of_models = {
        row["day"]
        for row in status.quality
        if row["role"] == "champion" and row["model_version"] != POPULARITY
    }
    for row in status.quality:
        # Popular tracks next to a champion's are those of users whom it cannot rank for.
        cold = row["model_version"] == POPULARITY and row["role"] == "champion" and row["day"] in of_models
        value, popular = row["ndcg_at_10"], row["popularity_ndcg_at_10"]
        ratio = f"{value / popular:.2f}" if popular else ""
        table.add_row(
            str(row["day"]),
            row["model_version"],
            "cold start" if cold else row["role"],
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
