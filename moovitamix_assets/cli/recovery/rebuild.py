"""`moovitamix rebuild`: rebuild the warehouse from landing and the ledger, without reading the source.

The new file is built in a folder of its own and replaces the old one by rename, so that a crash leaves what was there.
`foundation/warehouse/ledger.py` decides what the ledger holds; the assets users, tracks and listens compute the rows of
a partition.
"""

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from dagster import (
    AssetSelection,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    Definitions,
    ResourceDefinition,
    define_asset_job,
)

from foundation.counting import counted
from foundation.durable import sync_folder
from foundation.landing.files import landed_days, set_aside_damaged
from foundation.operations.run_failures import failure_causes
from foundation.progress import Progress
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from foundation.warehouse.findings import nothing_lost
from foundation.warehouse.io_manager import PartitionsRefused
from foundation.warehouse.ledger import loaded_partitions, read_ledger, renew, restored_frames
from foundation.warehouse.rows import insert
from moovitamix_assets.cli.runs.job_runs import RunFailed
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.io_manager import WarehouseIOManager
from moovitamix_assets.warehouse.layout import LAYOUT
from moovitamix_assets.warehouse.loads import loaded_days
from moovitamix_assets.warehouse.schemas import SOURCE_TABLES, TABLES

_JOB = "rebuild"
# Days cleaned in one run: a history of years need not fit into memory.
_DAYS_IN_ONE_RUN = 31


@dataclass
class Rebuilt:
    """The outcome of `moovitamix rebuild`.

    Attributes:
        days: Partitions of users, tracks and listens that were loaded from landing.
        rows: Rows restored from the ledger, by table.
        set_aside: The new paths of the old warehouse file, if there was one, and of damaged landing files.
        missing: Partitions that are not complete in landing: the next run reads them from the source.
        lost: The parts of the ledger that could not be read.
    """

    days: list[date] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    set_aside: list[Path] = field(default_factory=list)
    missing: list[date] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def rebuild_warehouse(settings: Settings, instance: DagsterInstance, progress: Progress) -> Rebuilt:
    """Build a new warehouse from landing and the ledger, and set the old one aside.

    Recommendations are in neither: the next run computes those of its last day.

    Raises:
        WarehouseMissing: If there is nothing to build it from.
        WarehouseLocked: If another process holds the file.
        RunFailed: If a partition cannot be loaded; the old file stays where it is.
    """
    _refuse_held(settings.warehouse_path)
    made = Rebuilt()
    damaged = set_aside_damaged(landing_at(settings.landing_dir))
    made.set_aside += [now for _, now in damaged]
    incomplete = {date.fromisoformat(was.parent.name) for was, _ in damaged}
    expected, landed = _expected_days(settings)
    made.days = sorted((expected & landed) - incomplete)
    if not expected and not any(
        read_ledger(settings.ledger_dir, table).groups for table in LAYOUT.ledger_groups
    ):
        raise WarehouseMissing(
            f"There is nothing to rebuild {settings.warehouse_path} from: neither landing nor the ledger in "
            f"{settings.data_dir} holds anything. `moovitamix run` does a first load."
        )
    # A data folder without landing or ledger: there, a new file is not mistaken for one that was lost.
    workshop = settings.data_dir / ".rebuilding"
    shutil.rmtree(workshop, ignore_errors=True)
    built = workshop / settings.warehouse_path.name
    _load_partitions(settings, instance, progress, built, made.days)
    _restore_from_ledger(settings, built, made)
    with read_warehouse(built) as connection:
        made.days = sorted(loaded_days(connection))
    made.missing = sorted(expected - set(made.days))
    _refuse_unless_nothing_lost(settings, built, made.days)
    old = _set_aside(settings.warehouse_path)
    made.set_aside += [old] if old else []
    built.rename(settings.warehouse_path)
    sync_folder(settings.data_dir)
    shutil.rmtree(workshop)
    return made


def describe(made: Rebuilt) -> list[str]:
    """Lines that say what was rebuilt, what was set aside, and what the next run has to do."""
    restored = ", ".join(f"{rows} of {table}" for table, rows in sorted(made.rows.items()))
    lines = [
        f"Rebuilt {counted(len(made.days), 'day')} of users, tracks and listens from landing; from the ledger, "
        f"rows: {restored or 'none'}.",
        *(f"Set aside: {path}" for path in made.set_aside),
        *(f"Lost: the ledger's {fault}" for fault in made.lost),
    ]
    if made.missing:
        listed = ", ".join(map(str, made.missing))
        lines.append(f"Not in landing, or damaged there; the next `moovitamix run` reads it again: {listed}")
    return [*lines, "The next `moovitamix run` computes the recommendations of its last day."]


def renew_ledger(settings: Settings) -> None:
    """Rewrite the ledger from the warehouse and what can be read of the old one.

    Raises:
        WarehouseMissing, WarehouseLost, WarehouseDamaged or WarehouseLocked: If the warehouse cannot be read.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        renew(connection, settings.ledger_dir, LAYOUT)


def _refuse_held(path: Path) -> None:
    """Refuse if another process holds the file. A damaged one cannot be opened, so DuckDB's own lock is tried."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WarehouseLocked(
                f"The warehouse {path} is held by another process. Wait until it has finished, or end it."
            ) from error


def _expected_days(settings: Settings) -> tuple[set[date], set[date]]:
    """The days that were loaded into every table, and those that landing has of every endpoint.

    Where the ledger does not know which days were loaded, they are those that landing has.
    """
    landed = set.intersection(
        *(set(landed_days(settings.landing_dir, endpoint)) for endpoint in LAYOUT.endpoints)
    )
    loaded = loaded_partitions(settings.ledger_dir)
    if loaded is None:
        return landed, landed
    return set.intersection(*(loaded.get(table, set()) for table in SOURCE_TABLES)), landed


def _load_partitions(
    settings: Settings, instance: DagsterInstance, progress: Progress, built: Path, days: list[date]
) -> None:
    """Materialize users, tracks and listens into a new file, recorded in the instance's history."""
    job = define_asset_job(_JOB, selection=AssetSelection.assets(*SOURCE_TABLES).without_checks())
    resources = {
        "warehouse": WarehouseIOManager(database=str(built)),
        "progress": ResourceDefinition.hardcoded_resource(progress),
    }
    definitions = Definitions.merge(build_definitions(settings, resources), Definitions(jobs=[job]))
    for first, last in _ranges(days):
        result = definitions.resolve_job_def(_JOB).execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=instance,
            tags=range_tags(first, last),
            raise_on_error=False,
        )
        if not result.success and not _only_refused(result.all_events):
            message = (
                f"The warehouse could not be rebuilt: the run {result.run_id} for {first} to {last} failed."
            )
            raise RunFailed("\n".join([message, *failure_causes(result.all_events)]))


def _only_refused(events: Sequence[DagsterEvent]) -> bool:
    """Return whether steps failed only for partitions that a check refuses, as it did before; the others are stored."""
    raised = []
    for event in events:
        if event.event_type is DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            raised.append(error.cls_name if error else None)
    return bool(raised) and set(raised) == {PartitionsRefused.__name__}


def _ranges(days: list[date]) -> Iterator[tuple[date, date]]:
    """The first and the last day of each stretch without a gap, at most `_DAYS_IN_ONE_RUN` long."""
    first = None
    for place, day in enumerate(days):
        first = first or day
        followed = place + 1 < len(days) and days[place + 1] == day + timedelta(days=1)
        if not followed or (day - first).days + 1 == _DAYS_IN_ONE_RUN:
            yield first, day
            first = None


def _restore_from_ledger(settings: Settings, built: Path, made: Rebuilt) -> None:
    for table in LAYOUT.ledger_groups:
        made.lost += [f"{table}.jsonl, {fault}" for fault in read_ledger(settings.ledger_dir, table).faults]
    with write_warehouse(built) as connection:
        for table, rows in restored_frames(settings.ledger_dir, LAYOUT):
            made.rows[table] = insert(connection, TABLES[table], rows)


def _refuse_unless_nothing_lost(settings: Settings, built: Path, days: list[date]) -> None:
    with read_warehouse(built) as connection:
        findings = [
            nothing_lost(connection, source, days, landing_at(settings.landing_dir))
            for source in LAYOUT.sources.values()
        ]
    wrong = [finding.description for finding in findings if not finding.passed]
    if wrong:
        raise RunFailed(
            "\n".join(["The warehouse was not replaced: what was built does not add up.", *wrong])
        )


def _set_aside(path: Path) -> Path | None:
    """Rename the old file, and its write-ahead log with it: `warehouse.duckdb.damaged-<n>`."""
    log = path.with_name(f"{path.name}.wal")
    if not path.exists() and not log.exists():
        return None
    number = 1
    while any(path.parent.glob(f"{path.name}.damaged-{number}*")):
        number += 1
    aside = path.with_name(f"{path.name}.damaged-{number}")
    if path.exists():
        path.rename(aside)
    if log.exists():
        log.rename(aside.with_name(f"{aside.name}.wal"))
    return aside
