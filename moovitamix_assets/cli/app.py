"""The `moovitamix` command: run, status, history, recommend, rollback, retrain, and those that serve and mend.

Assembly only. Each folder next to this module has its commands in `commands.py`: they read arguments and print the
outcome; heavy libraries are imported in them, so that `--help` answers at once.
"""

from importlib import metadata
from typing import Annotated

import typer

from moovitamix_assets.cli.inspection.commands import doctor, history, recommend, status
from moovitamix_assets.cli.interface.errors import Commands
from moovitamix_assets.cli.recovery.commands import forget, rebuild, reset
from moovitamix_assets.cli.runs.commands import mirror, retrain, rollback, run
from moovitamix_assets.cli.services.commands import api_key, dev, exporter, serve

app = typer.Typer(
    cls=Commands,
    help=(
        "A music recommender that measures and maintains itself. "
        "Every setting is also an environment variable MOOVITAMIX_..."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("moovitamix-assets"))
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit."),
    ] = False,
) -> None:
    """Accept what stands before a command."""


for _command in (
    run,
    status,
    history,
    recommend,
    rollback,
    retrain,
    rebuild,
    mirror,
    dev,
    exporter,
    serve,
    api_key,
    doctor,
    forget,
    reset,
):
    app.command()(_command)
