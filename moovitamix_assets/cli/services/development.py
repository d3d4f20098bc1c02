"""`moovitamix dev`: the source and `dagster dev` together, both stopped by one Ctrl-C.

Starting and stopping processes only.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from foundation.ports import choose_port, holder_of
from moovitamix_assets.cli.interface.dagster_home import dagster_home, is_in_data_folder
from moovitamix_assets.cli.interface.instance import open_instance
from moovitamix_assets.cli.runs.bundled_source import bundled_source
from moovitamix_assets.settings import Settings

_STOP_SECONDS = 30.0
_UI_PORT = 3000
_DAGSTER = "moovitamix_assets.cli.services.quiet_dagster"


def run_development(
    settings: Settings,
    report: Callable[[str], None],
    port: int | None = None,
    source_port: int | None = None,
) -> int:
    """Run until Ctrl-C or until `dagster dev` ends.

    The bundled source is started where the settings name none. A usual port that is in use is replaced by a free one;
    the code location and the links in alerts follow.

    Args:
        settings: Of the deployment.
        report: Takes the addresses, and what is unusual about them, one line each.
        port: Of the UI; 3000, or a free one, if None.
        source_port: Of the bundled source; that of the setting's default, or a free one, if None.

    Returns:
        The exit code of `dagster dev`; 0 after Ctrl-C.

    Raises:
        PortInUse: If a port that was asked for is in use.
    """
    ui_port = _port("the Dagster UI", _UI_PORT, port, "--port", report)
    ui_url, source_url = f"http://127.0.0.1:{ui_port}", settings.source.api_url.get_secret_value()
    if "ui_url" in settings.operations.model_fields_set:
        ui_url = settings.operations.ui_url
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with open_instance(settings.data_dir):
        pass  # Slots of dead runs are freed before the daemon starts.
    with ExitStack() as stack:
        interruption = _Interruption()
        if "api_url" not in settings.source.model_fields_set:
            usual = urlsplit(source_url).port or 0
            chosen = _port("the source", usual, source_port, "--source-port", report)
            source_url = stack.enter_context(bundled_source(port=chosen))
            report(f"Source at {source_url}")
        report(f"Dagster UI at http://127.0.0.1:{ui_port}")
        # A group of its own: a Ctrl-C reaches it once, through us, and what it started ends with it.
        process = subprocess.Popen(
            [sys.executable, "-m", _DAGSTER, "dev", "--port", str(ui_port), *_workspace(Path.cwd())],
            env={
                **os.environ,
                "MOOVITAMIX_DATA_DIR": str(settings.data_dir),
                "MOOVITAMIX_API_URL": source_url,
                "MOOVITAMIX_UI_URL": ui_url,
                **_home_of(settings.data_dir),
            },
            start_new_session=True,
        )
        code = _wait(process, interruption)
        return 0 if interruption.at is not None else code


def _port(service: str, usual: int, wanted: int | None, option: str, report: Callable[[str], None]) -> int:
    """Choose a port, and report whose the usual one is where another is taken."""
    chosen = choose_port(usual, wanted, option)
    if chosen not in (usual, wanted):
        report(
            f"Port {usual} is in use by {holder_of(usual)}: {service} gets port {chosen} ({option} chooses another)."
        )
    return chosen


def _home_of(data_dir: Path) -> dict[str, str]:
    """Records in the data folder are named to Dagster, which by itself finds only those in the working directory."""
    home = dagster_home(data_dir)
    return {"DAGSTER_HOME": str(home)} if is_in_data_folder(home, data_dir) else {}


def _workspace(folder: Path) -> list[str]:
    """Outside the project's folder, as with a DAGSTER_HOME, Dagster needs to be given what to load."""
    own = Path(__file__).parents[3] / "workspace.yaml"
    return [] if (folder / own.name).exists() or not own.exists() else ["--workspace", str(own)]


class _Interruption:
    """The moment of a Ctrl-C (or a termination), if there was one.

    Created before any process is started: a handler, unlike an ignored signal, is not inherited.
    """

    def __init__(self) -> None:
        self.at: float | None = None
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.at = self.at or time.monotonic()


def _wait(process: "subprocess.Popen[bytes]", interruption: _Interruption) -> int:
    """Wait for the end, passing an interruption on; what does not end is killed after a while."""
    asked = False
    while True:
        try:
            code = process.wait(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            if interruption.at is None:
                continue
            if not asked:
                process.send_signal(signal.SIGINT)
                asked = True
            elif time.monotonic() - interruption.at > _STOP_SECONDS:
                os.killpg(process.pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    return code
