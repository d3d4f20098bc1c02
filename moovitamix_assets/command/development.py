"""`moovitamix dev`: the source and `dagster dev` side by side, both ended by one Ctrl-C.

Starting and stopping processes only.
"""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from types import FrameType
from urllib.parse import urlsplit

from moovitamix_assets.command.instance import open_instance
from moovitamix_assets.command.source import bundled_source
from moovitamix_assets.settings import Settings

_STOP_SECONDS = 30.0


def run_development(settings: Settings) -> int:
    """Run until Ctrl-C or until `dagster dev` ends.

    The bundled source is started where the settings name none; it then listens where the code location, which
    reads the same settings, will look for it.

    Returns:
        The exit code of `dagster dev`; 0 after Ctrl-C.
    """
    with open_instance():
        pass  # Slots of dead runs are freed before the daemon starts.
    with ExitStack() as stack:
        if "api_url" not in settings.model_fields_set:
            stack.enter_context(bundled_source(port=urlsplit(settings.api_url).port or 8000))
        # Its own group: a Ctrl-C reaches it once, through us, and not twice.
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev"],
            env={**os.environ, "MOOVITAMIX_API_URL": settings.api_url},
            start_new_session=True,
        )
        interrupted = False

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal interrupted
            interrupted = True
            process.send_signal(signal.SIGINT)

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        code = process.wait()
        return 0 if interrupted else code
