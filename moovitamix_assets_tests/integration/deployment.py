"""A data directory and the source that fills it, run inside the test's process or by the command.

No assertion belongs here. Dagster's own records are kept in memory for runs in the process; the command keeps
its own, in the working directory it is given.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from dagster import AssetSelection, DagsterInstance, Definitions, ExecuteInProcessResult, define_asset_job

from foundation.progress import NoProgress
from moovitamix_assets.automation.jobs import INGEST_JOB
from moovitamix_assets.cli.runs.pipeline import Outcome, run_pipeline
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse

COMMAND_SECONDS = 240


class Deployment:
    """Everything that is kept in one data directory.

    Attributes:
        data_dir: The directory.
        settings: Its settings; waits between retries are shortened, and MLflow is told nothing.
    """

    def __init__(self, data_dir: Path, source_url: str, **settings: Any) -> None:
        """Make nothing yet."""
        self.data_dir = data_dir
        self.settings = Settings(
            **{
                "api_url": source_url,
                "data_dir": data_dir,
                "retry_backoff_seconds": 0.001,
                "retry_backoff_limit_seconds": 0.01,
                "mirror_decisions": False,
            }
            | settings
        )

    @cached_property
    def instance(self) -> DagsterInstance:
        """Dagster's records of the runs in this process."""
        instance = DagsterInstance.ephemeral()
        instance.event_log_storage.set_concurrency_slots(WAREHOUSE_POOL, 1)
        return instance

    def run(self, first: date, last: date) -> Outcome:
        """What `moovitamix run` does; RunFailed if a run fails."""
        return run_pipeline(self.settings, first, last, self.instance, NoProgress())

    def ingest(self, first: date, last: date) -> ExecuteInProcessResult:
        """Ask the source for these days, whether they were read before or not, and load them."""
        return self.execute(INGEST_JOB.selection, range_tags(first, last))

    def execute(
        self,
        selection: AssetSelection,
        tags: Mapping[str, str] | None = None,
        partition_key: str | None = None,
    ) -> ExecuteInProcessResult:
        """Run a selection of assets or checks in one run; a failure is in the result."""
        job = define_asset_job("chosen", selection=selection)
        definitions = Definitions.merge(build_definitions(self.settings), Definitions(jobs=[job]))
        return definitions.resolve_job_def("chosen").execute_in_process(
            # What goes wrong is in the result.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=self.instance,
            tags=dict(tags or {}),
            partition_key=partition_key,
            raise_on_error=False,
        )

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of the warehouse."""
        with read_warehouse(self.settings.warehouse_path) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def edit(self, sql: str) -> None:
        """Change the warehouse by hand, behind the pipeline's back."""
        with duckdb.connect(str(self.settings.warehouse_path)) as connection:
            connection.execute(sql)


def environment(data_dir: Path, source_url: str, **more: str) -> dict[str, str]:
    """The variables that make any command of the project work on a data directory."""
    return {
        **os.environ,
        "MOOVITAMIX_DATA_DIR": str(data_dir),
        "MOOVITAMIX_API_URL": source_url,
        "MOOVITAMIX_MIRROR_DECISIONS": "false",
        "PYTHONWARNINGS": "ignore",
        **more,
    }


def moovitamix(home: Path, variables: Mapping[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """Start the command in a working directory; its output is one stream of text."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("moovitamix"), *arguments],
        cwd=home,
        env=dict(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a process; a hang fails the test. Gives the exit code and the output."""
    try:
        output, _ = process.communicate(timeout=COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise AssertionError(f"still running after {COMMAND_SECONDS} seconds:\n{output}") from None
    return process.returncode, output
