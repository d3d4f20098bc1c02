"""The bundled source as a child process, for commands that need a source and were given no other.

What the source serves is in `mock_api`.
"""

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from foundation.errors import Explained
from foundation.secret_url import SecretUrl
from moovitamix_assets.settings import Settings

_START_SECONDS = 120.0
_STOP_SECONDS = 10.0
_READY = "mock_api listening on "


class SourceNotStarted(Explained):
    """The bundled source ended, or was silent for too long, before it was ready."""


@contextmanager
def source_for(settings: Settings) -> Iterator[Settings]:
    """Yield the settings with a source that answers: theirs if they name one, else the bundled one on a free port."""
    if "api_url" in settings.source.model_fields_set:
        yield settings
        return
    with bundled_source(port=0) as url:
        yield settings.changed(api_url=SecretUrl(url))


@contextmanager
def bundled_source(port: int) -> Iterator[str]:
    """Start the bundled source and stop it on leaving.

    Args:
        port: On 127.0.0.1; 0 takes a free one.

    Yields:
        Its URL.

    Raises:
        SourceNotStarted: If it is not ready within two minutes.
    """
    # Its standard input is a pipe of ours: it ends with this process, even if that is killed.
    process = subprocess.Popen(
        [sys.executable, "-m", "mock_api", "--until-stdin-closes", "--port", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _url_of(process)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _url_of(process: "subprocess.Popen[str]") -> str:
    """Wait for the line that says where the source listens."""
    lines: queue.Queue[str] = queue.Queue()

    def forward() -> None:
        # Reads to the end, so that the source never blocks on a full pipe.
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")

    threading.Thread(target=forward, daemon=True).start()
    try:
        while line := lines.get(timeout=_START_SECONDS):
            if line.startswith(_READY):
                return line.removeprefix(_READY).strip()
    except queue.Empty:
        raise SourceNotStarted(
            f"The bundled source was not ready after {_START_SECONDS:.0f} seconds."
        ) from None
    raise SourceNotStarted(
        f"The bundled source ended with exit code {process.wait()}; its output is above. "
        "If its port is taken, set MOOVITAMIX_API_URL to another one."
    )
