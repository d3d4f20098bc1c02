"""`moovitamix exporter`: serve Prometheus metrics until Ctrl-C or a termination.

Starting and stopping only; the metrics are in `operations/health/exporter.py`.
"""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from moovitamix_assets.cli.interface.instance import open_instance
from moovitamix_assets.operations.health.exporter import HealthCollector, Watched, serving
from moovitamix_assets.settings import Settings


def run_exporter(settings: Settings, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until a signal stops it.

    Args:
        settings: Of the deployment that is monitored.
        host: Address to listen on.
        port: 0 takes a free one.
        on_ready: Called with the address, once it answers.

    Raises:
        NoInstance: If no Dagster instance is found.
        PortTaken: If the address cannot be listened on.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    from moovitamix_assets.definitions import build_definitions

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with open_instance(settings.data_dir) as instance:
        places = {"data": settings.data_dir, "dagster": Path(instance.storage_directory())}
        watched = Watched.all_of(build_definitions(settings), places)
        with serving(HealthCollector(instance, watched), host, port) as taken:
            on_ready(f"http://{host}:{taken}/metrics")
            stop.wait()
