"""A warehouse with all days of a story, read from the bundled source once, and copies of it to replay.

What lies after a replayed day is in the warehouse from the start; the product reads partitions up to a day only.
"""

import os
import shutil
from pathlib import Path

from dagster import DagsterInstance

from benchmarks.recovery.story import START, Story
from foundation.progress import NoProgress
from mock_api.server import running_server
from moovitamix_assets.automation.jobs import INGEST_JOB
from moovitamix_assets.cli.runs.pipeline import run_job
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.settings import Settings


def settings_of(data_dir: Path, api_url: str = "http://127.0.0.1:1") -> Settings:
    """The product's default settings, less what costs time and decides nothing."""
    return Settings(
        data_dir=data_dir,
        start_date=START,
        api_url=api_url,
        warehouse_copy=False,
        mirror_decisions=False,
        models_kept=10_000,  # judged in hindsight
    )


def load_world(story: Story, cache: Path) -> Path:
    """Read all days of a story, unless a run before did; return the data folder.

    Args:
        story: Whose world.
        cache: The folder of all loaded worlds.

    Raises:
        RunFailed: If the ingest job fails.
    """
    folder = cache / story.name
    if folder.exists():
        return folder
    unfinished = cache / f".{story.name}.{os.getpid()}"
    unfinished.mkdir(parents=True)
    days = range_tags(START, story.day(story.days))
    with running_server(story.world()) as url, DagsterInstance.ephemeral() as instance:
        run_job(INGEST_JOB.name, settings_of(unfinished, url), days, instance, NoProgress(), {})
    shutil.rmtree(unfinished / "landing")
    unfinished.rename(folder)
    return folder


def copied_world(story: Story, cache: Path, folder: Path) -> Settings:
    """Copy a loaded world into a folder, replacing what is there; return the settings of the copy."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(load_world(story, cache), folder)
    return settings_of(folder)
