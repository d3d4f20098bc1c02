"""A warehouse with all days of a story, loaded once, and copies of it to replay.

Each day is loaded as a nightly run would have read it: a backfill at the end would know only the last version of users
and tracks, and so have none before they changed. What lies after a replayed day is in the warehouse from the start; the
product reads partitions up to a day only.
"""

import json
import os
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.recovery.story import START, Story
from foundation.warehouse.rows import insert
from mock_api.settings import Endpoint
from mock_api.simulation.world import World
from moovitamix_assets.partitions import day_start, days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.cleaning import clean
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.layout import LAYOUT
from moovitamix_assets.warehouse.schemas import PARTITION_LOADS

_TABLES: dict[str, Endpoint] = {"users": "users", "tracks": "tracks", "listens": "listen_history"}


def settings_of(data_dir: Path) -> Settings:
    """The product's default settings, without what costs time and decides nothing."""
    return Settings(
        data_dir=data_dir,
        start_date=START,
        warehouse_copy=False,
        mirror_decisions=False,
        models_kept=10_000,  # measured in hindsight
    )


def load_world(story: Story, cache: Path) -> Path:
    """Load all days of a story, unless that was done before; return the data folder.

    Args:
        story: The story.
        cache: The folder of all loaded worlds.
    """
    folder = cache / story.name
    if folder.exists():
        return folder
    unfinished = cache / f".{story.name}.{os.getpid()}"
    unfinished.mkdir(parents=True)
    world = World(story.world())
    days = days_between(START, story.day(story.days))
    with write_warehouse(settings_of(unfinished).warehouse_path) as connection:
        for table, endpoint in _TABLES.items():
            landed = pd.concat([_changed_on(world, endpoint, day) for day in days], ignore_index=True)
            cleaned = clean(table, landed, days, day_start(days[-1]))
            insert(connection, LAYOUT.sources[table].schema, cleaned.accepted)
            insert(connection, LAYOUT.sources[table].rejected, cleaned.rejected)
            insert(connection, PARTITION_LOADS, cleaned.loads)
    unfinished.rename(folder)
    return folder


def copied_world(story: Story, cache: Path, folder: Path) -> Settings:
    """Copy a loaded world into a folder, replacing what is there; return the settings of the copy."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(load_world(story, cache), folder)
    return settings_of(folder)


def _changed_on(world: World, endpoint: Endpoint, day: date) -> pd.DataFrame:
    """The records that changed on a day, as they stood at its end; with the first day, all older ones."""
    end = day_start(day) + timedelta(days=1)
    records, _ = world.records(
        endpoint,
        end - timedelta(microseconds=1),
        page=1,
        size=1_000_000_000,
        since=None if day == START else day_start(day),
        before=end,
    )
    return pd.DataFrame(
        {
            "record": [json.dumps(record, default=datetime.isoformat) for record in records],
            "changed_at": np.datetime64(end, "us"),
            "observed_at": np.datetime64(end, "us"),
            "changed_on": np.datetime64(day, "s"),
        }
    )
