"""The commands that serve until they are stopped: dev, exporter.

Arguments and printed text only.
"""

from typing import Annotated

import typer

from moovitamix_assets.cli.interface.invocation import say
from moovitamix_assets.cli.interface.options import DataDir, read_settings, refuse_unusable


def dev(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Of the Dagster UI. [default: 3000, or a free one]"),
    ] = None,
    source_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Of the bundled source. [default: 8000, or a free one]"),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Start the source and the Dagster UI together; Ctrl-C stops both."""
    settings = read_settings(data_dir)

    from moovitamix_assets.cli.services.development import run_development

    refuse_unusable(settings.data_dir)
    raise typer.Exit(run_development(settings, say, port, source_port))


def exporter(
    port: Annotated[int, typer.Option(help="The port that Prometheus scrapes.", min=0, max=65535)] = 9464,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    data_dir: DataDir = None,
) -> None:
    """Serve the health of the deployment as Prometheus metrics, until Ctrl-C."""
    settings = read_settings(data_dir)

    from moovitamix_assets.cli.services.exporter import run_exporter

    run_exporter(settings, host, port, lambda url: say(f"Metrics at {url}"))
