"""`moovitamix doctor`: problems of an installation and their remedies, one finding at a time.

Each examination reads and reports; none repairs anything.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import yaml

from foundation.counting import counted
from foundation.durable import Damaged
from foundation.landing.first_partition import StartDateDamaged, recorded_first_partition
from foundation.operations.alerts import unusable_services
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing, WarehouseOutdated
from foundation.warehouse.table_creation import refuse_outdated
from moovitamix_assets.cli.inspection.symptoms import Symptom
from moovitamix_assets.cli.interface.dagster_home import RecordsOfAnother, dagster_home, refuse_mixing
from moovitamix_assets.cli.interface.error_messages import records_damaged_message
from moovitamix_assets.cli.runs.source_inspection import read_source_time
from moovitamix_assets.clock import ClockUnreadable, now
from moovitamix_assets.ingestion.client.errors import SourceError
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.ingestion.plausibility import both_clocks, clocks_differ
from moovitamix_assets.settings import Settings, unknown_variables
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.future import find_future_days
from moovitamix_assets.warehouse.layout import LAYOUT

_SUPPORTED = ((3, 11), (3, 14))
_COMPILERS = ("cc", "gcc", "clang")
_FREE_GIGABYTES = 2.0
_SHARED_RECORDS = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")


def examine(settings: Settings) -> Iterator[Symptom]:
    """Examine everything, one after the other."""
    examinations: tuple[Callable[[Settings], Symptom], ...] = (
        _interpreter, _compiler, _disk, _variables, _start_date, _warehouse, _pool, _records, _source,
        _clock, _days, _alerts,
    )  # fmt: skip
    for examination in examinations:
        yield examination(settings)


def _interpreter(settings: Settings) -> Symptom:
    lowest, end = _SUPPORTED
    found = f"Python {sys.version.split()[0]} in {sys.prefix}"
    if lowest <= sys.version_info[:2] < end:
        return Symptom("interpreter", True, found)
    return Symptom(
        "interpreter",
        False,
        found,
        "Use Python 3.11, 3.12 or 3.13: rm -r .venv, then make setup PYTHON=python3.11",
    )


def _compiler(settings: Settings) -> Symptom:
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler:
        return Symptom("compiler", True, compiler)
    return Symptom(
        "compiler", False, "none of " + ", ".join(_COMPILERS), "LightFM is compiled at setup: install gcc."
    )


def _disk(settings: Settings) -> Symptom:
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    found = f"{free:.1f} GB free at {folder}"
    if not os.access(folder, os.W_OK):
        return Symptom("disk", False, f"{folder} cannot be written", "Choose another MOOVITAMIX_DATA_DIR.")
    if free < _FREE_GIGABYTES:
        return Symptom(
            "disk", False, found, f"Free some, or move MOOVITAMIX_DATA_DIR: {_FREE_GIGABYTES} GB at least."
        )
    return Symptom("disk", True, found)


def _variables(settings: Settings) -> Symptom:
    unknown = unknown_variables()
    if unknown:
        remedy = "They change nothing: docs/settings.md has the names."
        return Symptom("variables", False, f"{', '.join(unknown)}: unknown", remedy)
    given = [name for name in os.environ if name.upper().startswith("MOOVITAMIX_")]
    return Symptom("variables", True, f"{counted(len(given), 'setting')} from the environment")


def _start_date(settings: Settings) -> Symptom:
    try:
        day = recorded_first_partition(landing_at(settings.landing_dir))
    except StartDateDamaged as error:
        return Symptom("start date", False, "unreadable", str(error))
    if day is None:
        return Symptom("start date", True, f"{settings.start_date}, to be recorded at the first load")
    if day == settings.start_date:
        return Symptom("start date", True, f"{day}, as recorded at the first load")
    return Symptom(
        "start date",
        False,
        f"{settings.start_date}, but {settings.data_dir} was first loaded with {day}",
        f"Set MOOVITAMIX_START_DATE={day}, or choose another MOOVITAMIX_DATA_DIR.",
    )


def _warehouse(settings: Settings) -> Symptom:
    try:
        with read_warehouse(settings.warehouse_path) as connection:
            refuse_outdated(connection, settings.warehouse_path, LAYOUT)
            row = connection.execute("SELECT max(changed_on) FROM partition_loads").fetchone()
    except WarehouseMissing:
        return Symptom(
            "warehouse", True, f"{settings.warehouse_path} does not exist yet: moovitamix run creates it"
        )
    except WarehouseLocked as error:
        return Symptom("warehouse", False, "locked", str(error))
    except WarehouseOutdated as error:
        return Symptom("warehouse", False, "of another version", str(error))
    except Damaged as error:
        return Symptom("warehouse", False, "lost or damaged", str(error))
    newest = row[0] if row and row[0] else "none"
    return Symptom("warehouse", True, f"{settings.warehouse_path}, newest day loaded {newest}")


def _pool(settings: Settings) -> Symptom:
    home = Path(os.environ.get("DAGSTER_HOME") or Path.cwd())
    path = home / "dagster.yaml"
    remedy = (
        "Two runs at once would compete for the warehouse. Copy the section `concurrency` of the project's "
        "dagster.yaml there (its storage is for the project's folder), or run "
        "dagster instance concurrency set warehouse 1"
    )
    if not path.exists():
        return Symptom("pool", False, f"no dagster.yaml in {home}", remedy)
    pools = ((yaml.safe_load(path.read_text()) or {}).get("concurrency") or {}).get("pools") or {}
    if pools.get("default_limit") != 1 or pools.get("granularity") != "op":
        return Symptom("pool", False, f"{path} does not limit pools to one step at a time", remedy)
    return Symptom("pool", True, f"one step at a time opens the warehouse ({path})")


def _records(settings: Settings) -> Symptom:
    """Check Dagster's databases with SQLite's own check; those of single runs are left out."""
    home = dagster_home(settings.data_dir)
    try:
        refuse_mixing(home, settings.data_dir)
    except RecordsOfAnother as error:
        return Symptom("records", False, f"{home}, those of another deployment", str(error))
    storage = home / "storage"
    shared = [storage / name for name in _SHARED_RECORDS if (storage / name).exists()]
    for path in shared:
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            found = str(error)
        if found != "ok":
            return Symptom("records", False, str(path), records_damaged_message(found, settings.data_dir))
    if not shared:
        return Symptom("records", True, f"none yet; Dagster keeps them in {storage}")
    return Symptom("records", True, f"{counted(len(shared), 'database of Dagster')} in {storage}")


def _source(settings: Settings) -> Symptom:
    if "api_url" not in settings.source.model_fields_set:
        return Symptom("source", True, "the bundled one, started by `moovitamix run` and by `moovitamix dev`")
    try:
        with SourceApi(
            settings.source.api_url.get_secret_value(),
            headers=settings.source.request_headers,
            retries=0,
            timeout_seconds=5.0,
            request_deadline_seconds=10.0,
        ) as source:
            answer = source.check()
    except SourceError as error:
        return Symptom(
            "source",
            False,
            str(settings.source.api_url),
            str(error),
        )
    filters = "with" if answer.filtered else "without"
    totals = ", ".join(f"{endpoint} {total}" for endpoint, total in answer.totals.items())
    return Symptom(
        "source", True, f"{answer.title} {answer.version} at {answer.url}, {filters} filters: {totals}"
    )


def _clock(settings: Settings) -> Symptom:
    try:
        moment = now(settings)
    except ClockUnreadable as error:
        return Symptom("clock", False, "unreadable", str(error))
    source_time = read_source_time(settings)
    if clocks_differ(moment, source_time, settings):
        return Symptom(
            "clock",
            False,
            f"{both_clocks(moment, source_time)}: more than "
            f"MOOVITAMIX_CLOCK_TOLERANCE_MINUTES = {settings.plausibility.clock_tolerance_minutes:g} apart",
            "Days are read after their end, by both clocks: set the one that is wrong.",
        )
    found = f"{moment:%Y-%m-%d %H:%M} UTC, by {settings.clock_url or 'the machine'}"
    if source_time is not None:
        found += f"; the source's differs by {abs((moment - source_time).total_seconds()):.0f} s"
    return Symptom("clock", True, found)


def _days(settings: Settings) -> Symptom:
    try:
        found = find_future_days(settings, now(settings))
    except WarehouseMissing:
        return Symptom("days", True, "none loaded yet")
    except (WarehouseLocked, Damaged, ClockUnreadable):
        return Symptom("days", True, "not examined: see warehouse and clock")
    if found:
        return Symptom("days", False, found.finding, found.remedy)
    return Symptom("days", True, "every day that counts as loaded has ended")


def _alerts(settings: Settings) -> Symptom:
    number, unusable = unusable_services(settings.operations.alert_urls.get_secret_value())
    if unusable:
        return Symptom("alerts", False, "; ".join(unusable), "Correct MOOVITAMIX_ALERT_URLS.")
    found = f"sent to {counted(number, 'service')}"
    if not number:
        found = "not sent anywhere: they are warnings in the sensor's log"
    return Symptom("alerts", True, found)
