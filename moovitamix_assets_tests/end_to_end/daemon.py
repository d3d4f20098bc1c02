"""A plain `dagster dev` on a data directory, which can be killed with all that it started, and what it recorded.

No assertion belongs here.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import psutil
import requests
import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from moovitamix_assets.automation.nightly_runs import UNDER_WAY
from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets_tests.integration.deployment import environment

_PROJECT = Path(__file__).parents[2]
_LOOK_SECONDS = 0.25


class Service:
    """`dagster dev`, its Dagster home, and a source whose clock it follows."""

    def __init__(self, home: Path, data_dir: Path, source_url: str, **more: str) -> None:
        """Start nothing yet; `home` holds a dagster.yaml."""
        self._home, self._source_url = home, source_url
        (home / "workspace.yaml").write_text((_PROJECT / "workspace.yaml").read_text())
        config = yaml.safe_load((home / "dagster.yaml").read_text())
        for relative_to_working_directory in ("storage", "local_artifact_storage", "compute_logs"):
            config.pop(relative_to_working_directory, None)
        (home / "dagster.yaml").write_text(yaml.safe_dump(config))
        self._variables = {
            **environment(data_dir, source_url, **more),
            "MOOVITAMIX_CLOCK_URL": source_url,
            "MOOVITAMIX_AUTOMATIC_RETRAINING": "false",
            "DAGSTER_HOME": str(home),
            "PYTHONPATH": str(_PROJECT),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._began_at = 0

    def start(self) -> None:
        """Start it as a group of its own."""
        with (self._home / "dev.log").open("ab") as log:
            self._began_at = log.tell()
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("dagster"), "dev", "--port", str(_free_port())],
                cwd=self._home,
                env=self._variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_up(self) -> bool:
        """Whether the web server of the newest start serves, and so the daemon has begun."""
        with (self._home / "dev.log").open(errors="replace") as log:
            log.seek(self._began_at)
            return "Serving dagster-webserver" in log.read()

    def kill(self) -> int:
        """Kill the whole group, and what left it, with SIGKILL; give the number of processes."""
        assert self._process is not None
        members = psutil.Process(self._process.pid).children(recursive=True)
        os.killpg(self._process.pid, signal.SIGKILL)
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(members)
        self._process.wait()
        self._process = None
        return len(members) + 1

    def stop(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self.kill()

    def at(self, moment: str) -> None:
        """Move the clock."""
        requests.post(f"{self._source_url}/_clock", json={"now": moment}, timeout=10).raise_for_status()

    def wait_for(self, seen: Callable[[], bool], seconds: float) -> float | None:
        """Wait until something is seen; give the seconds it took, or None if it was not."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if seen():
                return time.monotonic() - began
            time.sleep(_LOOK_SECONDS)
        return None

    def nights(self, day: date) -> list[DagsterRun]:
        """The runs that are to make a day, newest first."""
        with DagsterInstance.from_config(str(self._home)) as instance:
            runs = instance.get_runs(RunsFilter(job_name="nightly"))
        return [run for run in runs if (partitions_of_run(run.tags) or [None])[-1] == day]

    def is_made(self, day: date) -> bool:
        """Whether a run made the day, and nothing is under way."""
        made = any(run.status is DagsterRunStatus.SUCCESS for run in self.nights(day))
        with DagsterInstance.from_config(str(self._home)) as instance:
            return made and not instance.get_runs(RunsFilter(statuses=UNDER_WAY), limit=1)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
