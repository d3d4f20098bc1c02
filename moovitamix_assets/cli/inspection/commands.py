"""The commands that only read: status, history, recommend, doctor.

Arguments and printed text only.
"""

import json
from datetime import UTC, date, datetime
from itertools import chain
from typing import Annotated

import typer

from moovitamix_assets.cli.interface.errors import fail
from moovitamix_assets.cli.interface.invocation import console, repeating_data_dir, say
from moovitamix_assets.cli.interface.options import (
    DataDir,
    SourceUrl,
    day,
    read_settings,
    record_id,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show days loaded and missing, which version serves and why, recent quality, incidents, and what happens next."""
    settings = read_settings(data_dir)

    from moovitamix_assets.cli.inspection.status import print_status, read_status
    from moovitamix_assets.cli.interface.instance import open_instance
    from moovitamix_assets.clock import now

    with open_instance(settings.data_dir) as instance:
        found = read_status(settings, instance, now(settings))
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        print_status(console, found)


def history(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show every decision: promoted, rejected, in shadow, fallback, returned, rolled back, and why."""
    settings = read_settings(data_dir)

    from moovitamix_assets.cli.inspection.history import print_history, read_history

    decisions = read_history(settings)
    if as_json:
        typer.echo(json.dumps(decisions, indent=2))
    else:
        print_history(console, decisions)


def recommend(
    user_id: Annotated[
        int | None, typer.Argument(help="A user's id in the source.", parser=record_id, metavar="USER_ID")
    ] = None,
    similar: Annotated[
        int | None,
        typer.Option(
            "--similar", help="Tracks similar to this one instead.", parser=record_id, metavar="TRACK_ID"
        ),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="Tracks for a session of these instead: 12,34,56.")
    ] = None,
    as_of: Annotated[
        date | None, typer.Option("--day", parser=day, metavar="DAY", help="As of. [default: the newest]")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a user's recommendations, with a reason for each; or tracks similar to a track, or for a session."""
    if sum(given is not None for given in (user_id, similar, session)) != 1:
        fail("Name one of USER_ID, --similar TRACK_ID and --session TRACK_IDS.", code=2)
    track_ids = [] if session is None else _track_ids(session)

    from moovitamix_assets.cli.inspection.recommendations import (
        print_shown,
        read_recommendations,
        read_session,
        read_similar,
    )

    settings = read_settings(data_dir)
    if user_id is not None:
        shown = read_recommendations(settings, user_id, as_of, datetime.now(UTC).replace(tzinfo=None))
    elif similar is not None:
        shown = read_similar(settings, similar, as_of)
    else:
        shown = read_session(settings, track_ids, as_of)
    if as_json:
        typer.echo(json.dumps(shown.to_json(), indent=2))
    else:
        print_shown(console, shown)


def doctor(
    source_url: SourceUrl = None,
    data_dir: DataDir = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare every file with its hash, and read every table.")
    ] = False,
) -> None:
    """Check the installation, and say what to do about each finding."""
    settings = read_settings(data_dir, source_url)

    from foundation.progress import TerminalProgress
    from moovitamix_assets.cli.inspection.deep_checks import examine_deeply
    from moovitamix_assets.cli.inspection.doctor import examine

    healthy = True
    more = examine_deeply(settings, TerminalProgress(console)) if deep else ()
    for symptom in chain(examine(settings), more):
        healthy &= symptom.is_well
        mark = "[green]ok  [/]" if symptom.is_well else "[red]mend[/]"
        finding = repeating_data_dir(symptom.finding)
        console.print(f"{mark} [bold]{symptom.subject}[/] {finding}", highlight=False, soft_wrap=True)
        if symptom.remedy:
            say(f"     {symptom.remedy}")
    raise typer.Exit(0 if healthy else 1)


def _track_ids(session: str) -> list[int]:
    try:
        return list(dict.fromkeys(record_id(word.strip()) for word in session.split(",")))
    except typer.BadParameter as error:
        fail(f"--session {session!r}: {error} Give ids with commas: 12,34,56.", code=2)
