"""The commands that serve until they are stopped: dev, exporter, serve; and the keys of the API.

Arguments and printed text only.
"""

from pathlib import Path
from typing import Annotated, Literal

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


def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the API; 0 takes a free one. [default: 8080]")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; others need API keys. [default: 127.0.0.1]")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the published recommendations as an API, until Ctrl-C."""
    settings = read_settings(data_dir)
    given = {"serving_port": port, "serving_host": host}
    settings = settings.changed(**{name: value for name, value in given.items() if value is not None})

    from moovitamix_assets.recommendations.publishing.store import generations
    from moovitamix_serving.server import run_server

    run_server(
        generations(settings.serving_dir),
        settings.serving,
        lambda url: say(f"API at {url}, its description at {url}/docs"),
    )


def api_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    file: Annotated[Path, typer.Option(help="Where its hash is added; created if absent.")],
    scope: Annotated[Literal["read", "admin"], typer.Option(help="What it allows.")] = "read",
) -> None:
    """Make a key for the API and print it; only its hash is stored."""
    from moovitamix_serving.access.keys import add_key

    typer.echo(add_key(file, name, scope))
