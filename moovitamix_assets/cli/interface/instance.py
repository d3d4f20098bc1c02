"""The Dagster instance that commands use.

Runs whose process was killed are released first: see `foundation/operations/dead_runs.py`. Nothing about what a run
contains belongs here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance

from foundation.dagster_internals import InstanceRef, NoOpComputeLogManager
from foundation.errors import Explained
from foundation.file_lock import exclusive_lock
from foundation.operations.dead_runs import release_dead_runs
from moovitamix_assets.automation.jobs import HOST_TAG
from moovitamix_assets.cli.interface.dagster_home import (
    CONFIGURATION,
    configure,
    dagster_home,
    is_in_data_folder,
    mark,
    refuse_mixing,
)
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL

# What a command prints is seen where it was started. Capturing it for the UI as well costs two processes a step, which
# end with a traceback each at Ctrl-C.
_SHOWN_IN_THE_TERMINAL = {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}


class NoInstance(Explained):
    """No dagster.yaml was found; the message names the remedy."""


@contextmanager
def open_instance(data_dir: Path) -> Iterator[DagsterInstance]:
    """The instance of a data folder, freed of dead runs; `dagster_home.py` says where its records are.

    Args:
        data_dir: The data folder.

    Raises:
        NoInstance: If there is neither a DAGSTER_HOME nor a dagster.yaml in the working directory, or no
            data folder.
        RecordsOfAnother: If the records are those of another data folder.
    """
    home = os.environ.get("DAGSTER_HOME")
    configuration = Path(CONFIGURATION).absolute()
    if not home and not configuration.exists():
        raise NoInstance(
            f"No dagster.yaml in {Path.cwd()} and DAGSTER_HOME is not set. Run the command in the project's "
            "folder, or set DAGSTER_HOME to a folder with a dagster.yaml."
        )
    if home and not (Path(home).is_absolute() and Path(home).is_dir()):
        raise NoInstance(f"DAGSTER_HOME is {home}: create that folder, and give its absolute path.")
    if not data_dir.is_dir():
        # A mistyped folder is named, not created.
        raise NoInstance(f"There is no data folder {data_dir}: `moovitamix run` creates it.")
    base = dagster_home(data_dir)
    own = is_in_data_folder(base, data_dir)
    # Two processes that create its databases at the same time fail.
    with exclusive_lock(base / ".opening"):
        refuse_mixing(base, data_dir)
        mark(base, data_dir)
        if own:
            configure(base, configuration)
        # A base folder of its own with the configuration of the working directory, as `dagster dev` does.
        config_dir = base if home or own else Path.cwd()
        reference = InstanceRef.from_dir(
            str(base), config_dir=str(config_dir), overrides={"compute_logs": _SHOWN_IN_THE_TERMINAL}
        )
        opened = DagsterInstance.from_ref(reference)
    with opened as instance:
        # The limit holds even where a custom DAGSTER_HOME does not configure pools.
        instance.event_log_storage.set_concurrency_slots(WAREHOUSE_POOL, 1)
        release_dead_runs(instance, HOST_TAG)
        yield instance
