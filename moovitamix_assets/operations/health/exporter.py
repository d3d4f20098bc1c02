"""Health as Prometheus metrics: an exporter that outlives the runs it reports, crashed and queued ones included.

It reads Dagster's records at a scrape and never opens the warehouse, so it blocks nothing. The metrics are defined in
`gauges.py`, the alerts in `deploy/alert_rules.yml`.
"""

import errno
import logging
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dagster import AssetCheckKey, AssetKey, DagsterInstance, Definitions
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from foundation.errors import Explained
from moovitamix_assets.operations.health.asset_gauges import AssetReader, read_checks
from moovitamix_assets.operations.health.gauges import Gauges
from moovitamix_assets.operations.health.run_gauges import read_runs

CACHE_SECONDS = 5.0
"""Scrapes that come closer together get the same answer: a few readers cost what one does."""

_log = logging.getLogger(__name__)


class PortTaken(Explained):
    """The address cannot be listened on; the message says which and why."""


@dataclass(frozen=True)
class Watched:
    """The jobs, assets, checks and folders that are reported; they bound the values of labels.

    Attributes:
        jobs: Names of jobs.
        assets: Assets.
        checks: Their checks.
        places: Folders whose free space is reported, by the name of each.
    """

    jobs: Sequence[str]
    assets: Sequence[AssetKey]
    checks: Sequence[AssetCheckKey]
    places: Mapping[str, Path]

    @classmethod
    def all_of(cls, definitions: Definitions, places: Mapping[str, Path]) -> "Watched":
        """Every job, asset and check of the definitions."""
        graph = definitions.resolve_asset_graph()
        return cls(
            jobs=sorted(job.name for job in definitions.resolve_all_job_defs()),
            assets=sorted(graph.get_all_asset_keys()),
            checks=sorted(graph.asset_check_keys),
            places=places,
        )


class HealthCollector(Collector):
    """Reads Dagster's records when asked, at most every few seconds."""

    def __init__(
        self, instance: DagsterInstance, watched: Watched, cache_seconds: float = CACHE_SECONDS
    ) -> None:
        """Read nothing yet.

        Args:
            instance: Whose records; stays open as long as the collector is used.
            watched: What is reported.
            cache_seconds: How old an answer may be.
        """
        self._instance, self._watched, self._cache_seconds = instance, watched, cache_seconds
        self._assets = AssetReader()
        self._turn = threading.Lock()
        self._read_at, self._read_until = 0.0, float("-inf")
        self._readable, self._seconds = False, 0.0
        self._records = Gauges()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every metric; never an exception."""
        with self._turn:
            if time.monotonic() >= self._read_until:
                self._attempt()
                self._read_until = time.monotonic() + self._cache_seconds
            own = Gauges()
            _read_disks(own, self._watched.places)
            own.add("dagster_storage_readable", self._readable)
            own.add("exporter_last_read_timestamp_seconds", self._read_at or None)
            own.add("exporter_read_seconds", self._seconds)
            families = list(zip(self._records.families(), own.families(), strict=True))
        for recorded, measured in families:
            yield measured if measured.samples else recorded

    def _attempt(self) -> None:
        began = time.monotonic()
        gauges = Gauges()
        try:
            read_runs(gauges, self._instance, self._watched.jobs)
            self._assets.read(gauges, self._instance, self._watched.assets)
            read_checks(gauges, self._instance, self._watched.checks)
            for daemon, heartbeat in self._instance.get_daemon_heartbeats().items():
                gauges.add("daemon_heartbeat_timestamp_seconds", heartbeat.timestamp, daemon)
        # Whatever a broken storage raises: monitoring must go on answering, and reports it by a metric of its own.
        except Exception:
            if self._readable or not self._read_at:
                _log.exception(
                    "Dagster's records cannot be read; the last values are reported until they can."
                )
            self._readable = False
        else:
            self._records, self._readable, self._read_at = gauges, True, time.time()
        self._seconds = time.monotonic() - began


def _read_disks(gauges: Gauges, places: Mapping[str, Path]) -> None:
    for name, folder in places.items():
        # A folder that does not exist yet will be created where its nearest parent is.
        for nearest in [folder.absolute(), *folder.absolute().parents]:
            with suppress(OSError):
                gauges.add("disk_free_bytes", shutil.disk_usage(nearest).free, name)
                break


@contextmanager
def serving(collector: Collector, host: str, port: int) -> Iterator[int]:
    """Answer scrapes at http://host:port/metrics while the context lasts.

    Args:
        collector: The metrics.
        host: Address to listen on.
        port: 0 takes a free one.

    Yields:
        The port.

    Raises:
        PortTaken: If the address cannot be listened on.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        remedy = (
            "Choose another --port, or end the process that uses it."
            if error.errno == errno.EADDRINUSE
            else "Give --host an address of this machine, such as 127.0.0.1, and --port one that may be used."
        )
        raise PortTaken(f"Cannot listen on {host}:{port}: {error.strerror}. {remedy}") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
