"""The API as a running server: address, start and graceful stop.

What it answers is in `app.py`.
"""

import socket
from collections.abc import Callable

import uvicorn

from foundation.errors import Explained
from foundation.publishing.generations import Generations
from moovitamix_assets.serving_settings import ServingSettings
from moovitamix_serving.access.keys import read_keys, require_keys
from moovitamix_serving.app import create_app

_STOP_SECONDS = 10


class AddressTaken(Explained):
    """The address cannot be listened on; the message says which and why."""


def run_server(generations: Generations, settings: ServingSettings, on_ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or a termination; requests in flight end first.

    Args:
        generations: Where generations are published.
        settings: Address, keys and limits.
        on_ready: Called with the URL, once connections are taken.

    Raises:
        KeysUnusable: If the keys cannot be used, or are needed and missing.
        AddressTaken: If the address cannot be listened on.
    """
    keys = read_keys(settings.api_keys_file)
    host, port = settings.serving_host, settings.serving_port
    require_keys(keys, host)
    try:
        listener = socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise AddressTaken(
            f"{host}:{port} cannot be listened on ({error.strerror}): choose another port with --port."
        ) from error
    config = uvicorn.Config(
        create_app(generations, settings, keys),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    with listener:
        on_ready(f"http://{host}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])
