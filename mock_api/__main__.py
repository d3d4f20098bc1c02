"""The command `python -m mock_api`: every setting is a flag, and goes before its environment variable.

Only the command line belongs here; what the flags mean is said in `settings.py`.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress

from pydantic import ValidationError

from mock_api.server import open_server
from mock_api.settings import MockApiSettings


def read_settings(arguments: Sequence[str]) -> MockApiSettings:
    """Read the settings from flags, then from the environment.

    Raises:
        SystemExit: a flag is unknown or a value impossible; the reason is on standard error.
    """
    parser = argparse.ArgumentParser(prog="python -m mock_api", description="The simulated source API.")
    for name, field in MockApiSettings.model_fields.items():
        explanation = f"{field.description} [default: {field.default}]".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=explanation)
    try:
        return MockApiSettings(**vars(parser.parse_args(arguments)))
    except ValidationError as error:
        reasons = (
            f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}" for each in error.errors()
        )
        parser.error("; ".join(reasons))


def main() -> None:
    """Serve until interrupted; says where in one line once it can be asked."""
    server, listener, url = open_server(read_settings(sys.argv[1:]))
    print(f"mock_api listening on {url}", flush=True)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


if __name__ == "__main__":
    main()
