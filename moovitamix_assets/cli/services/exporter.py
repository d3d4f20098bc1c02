"""`moovitamix exporter`: serve Prometheus metrics until Ctrl-C or a termination.

Starting and stopping only; what is served is in `operations/health/exporter.py`.
"""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from moovitamix_assets.cli.runs.instance import open_instance
from moovitamix_assets.operations.health.exporter import HealthCollector, Watched, serving
from moovitamix_assets.settings import Settings


def run_exporter(settings: Settings, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve until told to stop.

    Args:
        settings: Of the deployment that is watched.
        host: Address to listen on.
        port: 0 takes a free one.
        tell: Is told the address, once it answers.

    Raises:
        NoInstance: If there is no Dagster instance to be found.
        PortTaken: If the address cannot be listened on.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    from moovitamix_assets.definitions import build_definitions

    with open_instance() as instance:
        places = {"data": settings.data_dir, "dagster": Path(instance.storage_directory())}
        watched = Watched.all_of(build_definitions(settings), places)
        with serving(HealthCollector(instance, watched), host, port) as taken:
            tell(f"http://{host}:{taken}/metrics")
            stop.wait()
