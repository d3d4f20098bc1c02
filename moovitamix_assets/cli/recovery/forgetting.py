"""`moovitamix forget`: delete days loaded under a clock that was ahead, so that each is read after its end.

Tables in one transaction, then what was derived from them. Landing files stay, but no longer count as complete.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dagster import AssetKey, DagsterInstance

from foundation.landing.completeness import forget_reading
from foundation.warehouse.ledger import record_deletions
from moovitamix_assets.cli.recovery.folder_holders import sole_holder
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.future import forget_days_after
from moovitamix_assets.warehouse.layout import LAYOUT


@dataclass(frozen=True)
class Forgotten:
    """The deletions of `moovitamix forget`.

    Attributes:
        rows: Rows removed, by table.
        partitions: Partitions of landing that no longer count as read; their files stay.
        folders: Training sets and models removed.
        still_recorded: Materializations of these days that Dagster's storage cannot wipe.
    """

    rows: Mapping[str, int]
    partitions: int
    folders: int
    still_recorded: int


def forget(settings: Settings, instance: DagsterInstance, last: date) -> Forgotten:
    """Delete every day after `last`, and the earlier ones that were loaded under a wrong clock.

    Raises:
        FolderHeld: If a run works on the folder.
        WarehouseLocked: If another process holds the warehouse.
    """
    with sole_holder(settings):
        # First what only hides: if this is interrupted, nothing that is left counts as complete.
        partitions = sum(
            forget_reading(settings.landing_dir, endpoint, day)
            for endpoint in LAYOUT.endpoints
            for day in _days_landed(settings.landing_dir / endpoint)
            if day > last
        )
        with write_warehouse(settings.warehouse_path) as connection:
            rows, unloaded = forget_days_after(connection, settings, last)
        with read_warehouse(settings.warehouse_path) as connection:
            record_deletions(connection, settings.ledger_dir, LAYOUT)
        partitions += sum(
            forget_reading(settings.landing_dir, endpoint, day)
            for endpoint in LAYOUT.endpoints
            for day in unloaded
            if day <= last
        )
        folders = len(model_store(settings.models_dir).remove_after(last))
        for training_set in settings.training_sets_dir.glob("????-??-??"):
            if date.fromisoformat(training_set.name) > last:
                shutil.rmtree(training_set)
                folders += 1
    still_recorded = _wipe_records(instance, settings, last)
    return Forgotten(rows, partitions, folders, still_recorded)


def _days_landed(folder: Path) -> Iterable[date]:
    return [date.fromisoformat(path.name) for path in folder.glob("????-??-??")]


def _wipe_records(instance: DagsterInstance, settings: Settings, last: date) -> int:
    """Wipe Dagster's materializations of the days, and return how many its storage cannot wipe."""
    left = 0
    keys: Iterable[AssetKey] = build_definitions(settings).resolve_asset_graph().get_all_asset_keys()
    for key in sorted(keys):
        partitions = [day for day in instance.get_materialized_partitions(key) if day > last.isoformat()]
        if not partitions:
            continue
        try:
            instance.wipe_asset_partitions(key, partitions)
        except NotImplementedError:
            # Dagster's own SQLite and PostgreSQL storages wipe whole assets only.
            left += len(partitions)
    return left
