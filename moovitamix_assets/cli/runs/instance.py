"""The Dagster instance that commands use.

What was left by processes that were killed is released first: see `operations/dead_runs.py`. What runs are made of
does not belong here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef

from foundation.errors import Explained
from foundation.file_lock import own_turn
from moovitamix_assets.operations.dead_runs import release_dead_runs
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL

INSTANCE_DIR = ".dagster_home"


class NoInstance(Explained):
    """There is no dagster.yaml to be found; the message names the remedy."""


@contextmanager
def open_instance() -> Iterator[DagsterInstance]:
    """The instance of DAGSTER_HOME, or of the dagster.yaml in the working directory, freed of dead runs.

    Raises:
        NoInstance: If there is neither.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home and not Path("dagster.yaml").exists():
        raise NoInstance(
            f"No dagster.yaml in {Path.cwd()} and DAGSTER_HOME is not set. Run the command in the project's "
            "folder, or set DAGSTER_HOME to a folder with a dagster.yaml."
        )
    if home and not (Path(home).is_absolute() and Path(home).is_dir()):
        raise NoInstance(f"DAGSTER_HOME is {home}: make that folder, and name it by its absolute path.")
    base = Path(home or INSTANCE_DIR).absolute()
    # Two processes that make its databases at the same time get in each other's way.
    with own_turn(base / ".opening"):
        # A temporary-looking base with the configuration of the working directory: just as `dagster dev` does it.
        opened = (
            DagsterInstance.get()
            if home
            else DagsterInstance.from_ref(InstanceRef.from_dir(str(base), config_dir=str(Path.cwd())))
        )
    with opened as instance:
        # The limit holds even where a DAGSTER_HOME of one's own says nothing of pools.
        instance.event_log_storage.set_concurrency_slots(WAREHOUSE_POOL, 1)
        release_dead_runs(instance)
        yield instance
