"""The command `python -m mock_api`: every setting is a flag, and goes before its environment variable.

Only the command line belongs here; what the flags mean is said in `settings.py`.
"""

import argparse
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mock_api.settings import MockApiSettings

if TYPE_CHECKING:
    import uvicorn

_EXTRA = ("fastapi", "uvicorn", "httptools", "orjson", "faker")
"""The packages of the extra `source`: reading another source does not need them."""

_PROCESS = argparse.ArgumentParser(add_help=False)
_PROCESS.add_argument(
    "--until-stdin-closes",
    action="store_true",
    help="End when standard input does: for a parent that may be killed.",
)


def read_settings(arguments: Sequence[str]) -> MockApiSettings:
    """Read the settings from flags, then from the environment.

    Raises:
        SystemExit: a flag is unknown or a value impossible; the reason is on standard error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mock_api", description="The simulated source API.", parents=[_PROCESS]
    )
    for name, field in MockApiSettings.model_fields.items():
        explanation = f"{field.description} [default: {field.default}]".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=explanation)
    try:
        given = vars(parser.parse_args(arguments))
        del given["until_stdin_closes"]
        return MockApiSettings(**given)
    except ValidationError as error:
        reasons = (
            f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}" for each in error.errors()
        )
        parser.error("; ".join(reasons))


def refuse_without_packages() -> None:
    """End with a sentence, not a traceback, where the extra `source` is not installed.

    Raises:
        SystemExit: a package is missing; which, and the remedy, is on standard error.
    """
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"The bundled source needs {', '.join(missing)}, which is not installed. Install what it needs with "
            "`make setup` or `pip install 'moovitamix-assets[source]'`, or name another source in MOOVITAMIX_API_URL."
        )


def main() -> None:
    """Serve until interrupted; print the URL in one line once requests are answered."""
    settings = read_settings(sys.argv[1:])
    process, _ = _PROCESS.parse_known_args(sys.argv[1:])
    refuse_without_packages()
    from mock_api.server import open_server

    server, listener, url = open_server(settings)
    if process.until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, args=(server,), daemon=True).start()
    # Asked to stop, not interrupted: an exception raised wherever the program happens to be prints a traceback there.
    signal.signal(signal.SIGINT, lambda *_: setattr(server, "should_exit", True))
    print(f"mock_api listening on {url}", flush=True)
    server.run(sockets=[listener])


def _stop_with_stdin(server: "uvicorn.Server") -> None:
    # Returns at its end: the system closes it whatever becomes of the parent. Not `sys.stdin`, whose lock a thread
    # that still waits would keep from the interpreter as it ends.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    server.should_exit = True


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
