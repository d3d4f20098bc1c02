"""`dagster dev` as `moovitamix dev` starts it: without messages that do not hold here or are not for its user.

`python -m moovitamix_assets.cli.services.quiet_dagster dev ...`: the arguments are those of `dagster`.
"""

import logging
import runpy
import sys
import warnings

from dagster import SupersessionWarning

_LEFT_OUT = (
    # The configuration of DAGSTER_HOME was written from that file: see `cli/interface/dagster_home.py`.
    "Found a dagster instance configuration value",
    # Storage is where dagster.yaml says, and stays.
    "Using temporary directory",
    "To persist information across sessions",
)


def is_for_the_user(record: logging.LogRecord) -> bool:
    """Return whether a line of Dagster's log holds for a deployment of this project."""
    return not record.getMessage().startswith(_LEFT_OUT)


def main() -> None:
    """Run Dagster's own command."""
    # `dg dev` needs a package that a deployment does not.
    warnings.filterwarnings("ignore", category=SupersessionWarning)
    logging.getLogger("dagster").addFilter(is_for_the_user)
    sys.argv[0] = "dagster"
    runpy.run_module("dagster", run_name="__main__")


if __name__ == "__main__":
    main()
