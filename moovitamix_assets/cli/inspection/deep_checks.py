"""`moovitamix doctor --deep`: every file compared with its hash, every table read, every partition counted.

Each examination reports what is damaged, with file and remedy, or one line if all is well. None repairs anything.
"""

from collections.abc import Iterator
from datetime import date

from foundation import artifact_folder as storage
from foundation.counting import counted
from foundation.durable import Damaged
from foundation.landing.files import all_landing_files, is_hashed, read_landing_file
from foundation.landing.judged_files import damaged_loads
from foundation.models.model_store import ModelMissing
from foundation.models.promotions import standing
from foundation.progress import OnProgress, Progress
from foundation.warehouse.copying import copy_of
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from foundation.warehouse.findings import nothing_lost
from foundation.warehouse.ledger import ledger_path, read_ledger, rows_lost
from foundation.warehouse.loads import stored_days
from moovitamix_assets.cli.inspection.symptoms import Symptom
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.warehouse.connection import read_warehouse, scan_warehouse
from moovitamix_assets.warehouse.layout import LAYOUT


def examine_deeply(settings: Settings, progress: Progress) -> Iterator[Symptom]:
    """Examine everything that is stored, one after the other, with a progress bar."""
    for subject, examination in (
        ("landing", _landing),
        ("training sets", _training_sets),
        ("models", _models),
        ("ledger", _ledger),
        ("warehouse", _warehouse),
        ("warehouse copy", _copy),
        ("partitions", _partitions),
    ):
        with progress.track(f"reading {subject}") as on_progress:
            symptoms = list(examination(settings, on_progress))
        yield from symptoms


def _landing(settings: Settings, on_progress: OnProgress) -> Iterator[Symptom]:
    landing = landing_at(settings.landing_dir)
    files = all_landing_files(landing.folder)
    faults = 0
    for done, file in enumerate(files, start=1):
        try:
            read_landing_file(file, landing.program)
        except Damaged as error:
            faults += 1
            yield Symptom("landing", False, str(error))
        on_progress(done, len(files))
    for damage in damaged_loads(landing):
        faults += 1
        yield Symptom("landing", False, str(damage))
    hashed = sum(map(is_hashed, files))
    yield from _well("landing", faults, len(files), hashed)


def _training_sets(settings: Settings, on_progress: OnProgress) -> Iterator[Symptom]:
    folders = sorted(settings.training_sets_dir.glob("????-??-??"))
    faults = 0
    for done, folder in enumerate(folders, start=1):
        try:
            TrainingSet.read(folder)
        except Damaged as error:
            faults += 1
            yield Symptom("training sets", False, str(error))
        on_progress(done, len(folders))
    yield from _well("training sets", faults, len(folders), sum(map(storage.is_hashed, folders)))


def _models(settings: Settings, on_progress: OnProgress) -> Iterator[Symptom]:
    models = model_store(settings.models_dir)
    versions = sorted({*models.versions(), *_needed_versions(settings)})
    faults = 0
    for done, version in enumerate(versions, start=1):
        try:
            models.load(version)
        except (Damaged, ModelMissing) as error:
            faults += 1
            yield Symptom("models", False, str(error))
        on_progress(done, len(versions))
    for day in models.candidate_days():
        try:
            models.candidate_version(day)
        except Damaged as error:
            faults += 1
            yield Symptom("models", False, str(error))
    hashed = sum(storage.is_hashed(models.folder(version)) for version in versions)
    yield from _well("models", faults, len(versions), hashed)


def _needed_versions(settings: Settings) -> set[str]:
    """The champion and the versions in shadow; none where the examination of the warehouse says what is wrong."""
    try:
        with read_warehouse(settings.warehouse_path) as connection:
            versions = standing(connection, date.max)
    except (WarehouseMissing, WarehouseLocked, Damaged):
        return set()
    return {*versions.shadows, *([versions.champion] if versions.champion else [])}


def _ledger(settings: Settings, on_progress: OnProgress) -> Iterator[Symptom]:
    faults = lines = 0
    for done, table in enumerate(LAYOUT.ledger_groups, start=1):
        read = read_ledger(settings.ledger_dir, table)
        lines += len(read.groups)
        for fault in read.faults:
            faults += 1
            yield Symptom(
                "ledger",
                False,
                f"{ledger_path(settings.ledger_dir, table)}, {fault}",
                "The warehouse has the rows too, unless it is damaged as well: moovitamix rebuild --ledger",
            )
        on_progress(done, len(LAYOUT.ledger_groups))
    yield from _well("ledger", faults, lines, lines)


def _warehouse(settings: Settings, on_progress: OnProgress) -> Iterator[Symptom]:
    try:
        rows = scan_warehouse(settings.warehouse_path, on_progress)
        with read_warehouse(settings.warehouse_path) as connection:
            behind = {
                table: rows_lost(connection, settings.ledger_dir, table, LAYOUT)
                for table in LAYOUT.ledger_groups
            }
    except WarehouseMissing:
        return
    except (Damaged, WarehouseLocked) as error:
        yield Symptom("warehouse", False, str(error))
        return
    lacking = [f"{len(groups)} of {table}" for table, groups in behind.items() if groups]
    if lacking:
        yield Symptom(
            "warehouse",
            False,
            f"{settings.warehouse_path} lacks what the ledger has recorded: {', '.join(lacking)}",
            "It seems to be an older copy: moovitamix rebuild",
        )
    else:
        yield Symptom(
            "warehouse", True, f"{counted(rows, 'row')} were read; nothing recorded in the ledger is missing"
        )


def _copy(settings: Settings, on_progress: OnProgress) -> Iterator[Symptom]:
    path = copy_of(settings.warehouse_path)
    if not path.exists():
        return
    try:
        rows = scan_warehouse(path, on_progress)
    except (Damaged, WarehouseMissing) as error:
        yield Symptom("warehouse copy", False, str(error).split(". ", 1)[0], f"Only a copy: remove {path}.")
    except WarehouseLocked as error:
        yield Symptom("warehouse copy", False, str(error))
    else:
        yield Symptom("warehouse copy", True, f"{path}: {counted(rows, 'row')} were read")


def _partitions(settings: Settings, on_progress: OnProgress) -> Iterator[Symptom]:
    partitions = faults = 0
    try:
        with read_warehouse(settings.warehouse_path) as connection:
            for done, source in enumerate(LAYOUT.sources.values(), start=1):
                days: list[date] = stored_days(connection, source)
                finding = nothing_lost(connection, source, days, landing_at(settings.landing_dir))
                partitions += len(days)
                if not finding.passed:
                    faults += 1
                    yield Symptom("partitions", False, finding.description)
                on_progress(done, len(LAYOUT.sources))
    except WarehouseMissing:
        return
    except (Damaged, WarehouseLocked) as error:
        yield Symptom("partitions", False, f"They could not be counted. {error}")
        return
    if not faults:
        yield Symptom(
            "partitions", True, f"every record of {counted(partitions, 'partition')} is accounted for"
        )


def _well(subject: str, faults: int, number: int, hashed: int) -> Iterator[Symptom]:
    if not faults:
        unverified = f"; {number - hashed} of earlier versions have no hash" if hashed < number else ""
        yield Symptom(subject, True, f"{number} are as they were written{unverified}")
