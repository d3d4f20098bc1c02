"""The source as a running server: for the command line, and inside another program on a thread.

Only sockets and threads belong here; what is answered is in `app.py`.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mock_api.app import create_app
from mock_api.faults import TRANSPORT_EXTENSION
from mock_api.settings import MockApiSettings

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 2


class TransportSharingProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol that lets the app reach its socket, so that a fault can really hang up."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        extensions = cast(dict[str, object], self.scope.setdefault("extensions", {}))
        extensions[TRANSPORT_EXTENSION] = self.transport


def open_server(settings: MockApiSettings) -> tuple[uvicorn.Server, socket.socket, str]:
    """Build the world, bind the port and return the server, its socket and its URL.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.create_server((settings.host, settings.port), backlog=2048)
    config = uvicorn.Config(
        create_app(settings),
        http=TransportSharingProtocol,
        log_level="warning",
        access_log=False,
        date_header=False,  # the app sends the time of its own clock
        lifespan="off",
        timeout_graceful_shutdown=STOP_TIMEOUT_SECONDS,
    )
    return uvicorn.Server(config), listener, f"http://{settings.host}:{listener.getsockname()[1]}"


@contextmanager
def running_server(settings: MockApiSettings) -> Iterator[str]:
    """Run the source on a thread of this process; yields its URL and stops it at the end.

    Raises:
        OSError: the port is taken.
        TimeoutError: the server did not start.
    """
    server, listener, url = open_server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise TimeoutError(f"the source at {url} did not start")
        time.sleep(0.005)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
