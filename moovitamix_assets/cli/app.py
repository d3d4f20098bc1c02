"""The `moovitamix` command: run, recommend, rollback, retrain, rebuild, mirror, dev, exporter, doctor, forget, reset.

Reading arguments and saying how it ended; what the commands do is in the folders next to it.
"""

import os
import sys
from contextvars import ContextVar
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.core import TyperGroup

from foundation.secret_url import SecretUrl
from moovitamix_assets.setting_groups import UnusableThresholds
from moovitamix_assets.settings import Settings, all_fields


class _Commands(TyperGroup):
    """Every command; what any of them can meet is told in a sentence, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except Exception as error:
            from moovitamix_assets.cli.error_messages import told

            message = told(error, _data_dir.get())
            if message is None:
                raise
            _fail(message)


app = typer.Typer(
    cls=_Commands,
    help="A music recommender that keeps itself right. Every setting is also an environment variable MOOVITAMIX_...",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Where the width is unknown (a pipe, a log), tables get the room they need.
_console = Console(width=None if sys.stdout.isatty() else 110)
_errors = Console(stderr=True, style="red", highlight=False, markup=False)

# Where the command at hand works: what went wrong with its disk is told by a place that knows no arguments.
_data_dir: ContextVar[Path] = ContextVar("data_dir", default=Path("data"))
_GREATEST_ID = 2**63 - 1

_SourceUrl = Annotated[
    str | None, typer.Option("--source-url", help="The source API; without it the bundled one is started.")
]
_DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where everything is kept. [default: data]")
]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def run(
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day. [default: the start date]"),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC. [default: yesterday]"),
    ] = None,
    source_url: _SourceUrl = None,
    data_dir: _DataDir = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Read these days from the source again; damaged files are set aside."),
    ] = False,
) -> None:
    """Backfill what is missing in one run, train, recommend, and show what was made."""
    settings = _settings(source_url, data_dir)

    from foundation.file_lock import own_turn
    from foundation.progress import TerminalProgress
    from moovitamix_assets.cli.error_messages import told_of_run
    from moovitamix_assets.cli.inspection.run_summary import print_summary
    from moovitamix_assets.cli.runs.bundled_source import SourceNotStarted
    from moovitamix_assets.cli.runs.instance import NoInstance, open_instance
    from moovitamix_assets.cli.runs.pipeline import RunFailed, run_pipeline
    from moovitamix_assets.cli.runs.source_inspection import compare_clocks
    from moovitamix_assets.ingestion.landing import StartDateMoved
    from moovitamix_assets.ingestion.landing_storage import set_aside_damaged
    from moovitamix_assets.ingestion.plausibility import DayNotEnded, ImplausibleSource
    from moovitamix_assets.partitions import days_between
    from moovitamix_assets.warehouse.connection import WarehouseLocked
    from moovitamix_assets.warehouse.future import DaysOfTheFuture

    _refuse_unusable(settings.data_dir)
    from_day, to_day = _days(settings, first, last)
    _console.print(f"[bold]MooVitamix[/] {from_day} to {to_day}, into {settings.data_dir}")
    try:
        if last is None and (difference := compare_clocks(settings, to_day)):
            _console.print(f"[yellow]{difference}[/]", soft_wrap=True)
        with own_turn(settings.data_dir / ".run", _tell_of_waiting), open_instance() as instance:
            if again:
                for file, now in set_aside_damaged(settings.data_dir, days_between(from_day, to_day)):
                    _console.print(
                        f"Damaged: {file} was set aside as {now}.", highlight=False, soft_wrap=True
                    )
            outcome = run_pipeline(
                settings, from_day, to_day, instance, TerminalProgress(_console), again=again
            )
        if not outcome.missing and not again:
            _console.print("Nothing was missing.")
        if outcome.not_looked_at:
            _console.print(f"[yellow]{outcome.not_looked_at}[/]", soft_wrap=True)
        if outcome.nothing_to_learn:
            _console.print(
                "[yellow]No model was trained: nobody played anything before the last "
                f"{settings.training.holdout_days} days, on which it would be measured.[/]"
            )
        print_summary(_console, settings, from_day, to_day, outcome.seconds)
    except StartDateMoved as error:
        _fail(str(error), code=2)
    except (
        DayNotEnded, DaysOfTheFuture, ImplausibleSource, NoInstance, RunFailed, SourceNotStarted, WarehouseLocked,
    ) as error:  # fmt: skip
        _fail(told_of_run(str(error), settings.data_dir), code=getattr(error, "exit_code", 1))


@app.command()
def recommend(
    user_id: Annotated[
        int | None, typer.Argument(help="Whose list; an id of the source.", max=_GREATEST_ID)
    ] = None,
    similar: Annotated[
        int | None, typer.Option("--similar", help="Tracks like this one instead.", max=_GREATEST_ID)
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="What suits these tracks instead: 12,34,56.")
    ] = None,
    day: Annotated[
        datetime | None, typer.Option("--day", formats=["%Y-%m-%d"], help="As of. [default: the newest]")
    ] = None,
    data_dir: _DataDir = None,
) -> None:
    """Show a person's recommendations, with a reason for each; or what is like a track or suits a session."""
    if sum(given is not None for given in (user_id, similar, session)) != 1:
        _fail("Name one of USER_ID, --similar TRACK_ID and --session TRACK_IDS.", code=2)
    track_ids = None if session is None else _track_ids(session)

    from moovitamix_assets.cli.inspection.recommendations import (
        NothingToShow,
        print_list,
        print_session,
        print_similar,
    )
    from moovitamix_assets.clock import ClockUnreadable
    from moovitamix_assets.training.gate.registry import ModelMissing
    from moovitamix_assets.warehouse.connection import WarehouseLocked, WarehouseMissing

    settings, as_of = _settings(None, data_dir), day.date() if day else None
    try:
        if user_id is not None:
            print_list(_console, settings, user_id, as_of, datetime.now(UTC).replace(tzinfo=None))
        elif similar is not None:
            print_similar(_console, settings, similar, as_of)
        elif track_ids is not None:
            print_session(_console, settings, track_ids, as_of)
    except (ClockUnreadable, NothingToShow, ModelMissing, WarehouseLocked, WarehouseMissing) as error:
        _fail(str(error))


@app.command()
def rollback(
    reason: Annotated[
        str, typer.Option(help="Why, in one sentence, for the record.")
    ] = "asked for by a person",
    data_dir: _DataDir = None,
) -> None:
    """Make the previous champion the champion again, within seconds, without training."""
    settings = _settings(None, data_dir)

    from moovitamix_assets.cli.runs.instance import NoInstance, open_instance
    from moovitamix_assets.cli.runs.pipeline import RunFailed, run_rollback
    from moovitamix_assets.warehouse.connection import WarehouseLocked, WarehouseMissing

    try:
        with open_instance() as instance:
            now, before = run_rollback(settings, instance, reason)
    except (RunFailed, NoInstance, WarehouseLocked, WarehouseMissing) as error:
        _fail(str(error))
    _console.print(f"{now} is in force again, in place of {before}. The next recommendations are its.")


@app.command()
def retrain(
    reason: Annotated[
        str, typer.Option(help="Why, in one sentence, for the record.")
    ] = "asked for by a person",
    data_dir: _DataDir = None,
) -> None:
    """Ask for a new candidate: the sensor `retraining` has it trained as soon as cool-down and budget allow."""
    settings = _settings(None, data_dir)

    from moovitamix_assets.automation.retraining_runs import NothingServed, ask_for_retraining
    from moovitamix_assets.cli.runs.instance import NoInstance, open_instance
    from moovitamix_assets.clock import ClockUnreadable
    from moovitamix_assets.warehouse.connection import WarehouseLocked, WarehouseMissing

    try:
        with open_instance() as instance:
            day = ask_for_retraining(instance, settings, reason)
    except (ClockUnreadable, NoInstance, NothingServed, WarehouseLocked, WarehouseMissing) as error:
        _fail(str(error))
    _console.print(
        f"Asked for a candidate as of {day} or later. What the sensor `retraining` says of it stands in the UI; "
        "it needs `moovitamix dev`, or a Dagster daemon, to be running."
    )


@app.command()
def rebuild(
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Write a damaged ledger anew from the warehouse instead.")
    ] = False,
    data_dir: _DataDir = None,
) -> None:
    """Make a lost or damaged warehouse whole from landing and the ledger, without asking the source."""
    settings = _settings(None, data_dir)

    from foundation.file_lock import own_turn
    from foundation.progress import TerminalProgress
    from moovitamix_assets.cli.recovery.rebuild import print_rebuilt, renew_ledger
    from moovitamix_assets.cli.recovery.rebuild import rebuild as rebuild_warehouse
    from moovitamix_assets.cli.runs.instance import NoInstance, open_instance
    from moovitamix_assets.cli.runs.pipeline import RunFailed
    from moovitamix_assets.warehouse.connection import WarehouseLocked, WarehouseMissing

    try:
        with own_turn(settings.data_dir / ".run", _tell_of_waiting), open_instance() as instance:
            if ledger:
                renew_ledger(settings)
                _console.print(f"The ledger in {settings.ledger_dir} was written anew.", highlight=False)
            else:
                print_rebuilt(_console, rebuild_warehouse(settings, instance, TerminalProgress(_console)))
    except (RunFailed, NoInstance, WarehouseLocked, WarehouseMissing) as error:
        _fail(str(error))


@app.command()
def mirror(data_dir: _DataDir = None) -> None:
    """Make MLflow show every version decided about, with its metrics, its files and who is champion."""
    from moovitamix_assets.training.mirroring.mirror import MirrorFailed, write_mirror
    from moovitamix_assets.warehouse.connection import WarehouseLocked, WarehouseMissing

    try:
        report = write_mirror(_settings(None, data_dir), patient=True)
    except (MirrorFailed, WarehouseLocked, WarehouseMissing) as error:
        _fail(str(error))
    names: dict[str, list[str]] = {}
    for alias, version in report.aliases.items():
        names.setdefault(version, []).append(alias)
    for version, outcome in report.versions.items():
        also = f" ({', '.join(names[version])})" if version in names else ""
        _console.print(f"{version} {outcome}{also}", highlight=False, soft_wrap=True)
    _console.print(
        f"Versions in {report.where}: {len(report.versions)}, {report.seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


@app.command()
def dev() -> None:
    """Start the source and the Dagster UI together; Ctrl-C stops both."""
    from moovitamix_assets.cli.services.development import run_development

    raise typer.Exit(run_development(_settings(None, None)))


@app.command()
def exporter(
    port: Annotated[int, typer.Option(help="Where Prometheus scrapes.", min=0, max=65535)] = 9464,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    data_dir: _DataDir = None,
) -> None:
    """Serve the health of everything as Prometheus metrics, until Ctrl-C."""
    settings = _settings(None, data_dir)

    from moovitamix_assets.cli.runs.instance import NoInstance
    from moovitamix_assets.cli.services.exporter import run_exporter
    from moovitamix_assets.operations.health.exporter import PortTaken

    try:
        run_exporter(settings, host, port, lambda url: _console.print(f"Metrics at {url}", highlight=False))
    except (NoInstance, PortTaken) as error:
        _fail(str(error))


@app.command()
def doctor(
    source_url: _SourceUrl = None,
    data_dir: _DataDir = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare every file with its hash, and read every table.")
    ] = False,
) -> None:
    """Check the installation, and say in plain words what to do about each finding."""
    from itertools import chain

    from foundation.progress import TerminalProgress
    from moovitamix_assets.cli.inspection.deep_checks import examine_deeply
    from moovitamix_assets.cli.inspection.doctor import examine

    settings = _settings(source_url, data_dir)
    healthy = True
    more = examine_deeply(settings, TerminalProgress(_console)) if deep else ()
    for symptom in chain(examine(settings), more):
        healthy &= symptom.is_well
        mark = "[green]ok  [/]" if symptom.is_well else "[red]mend[/]"
        _console.print(
            f"{mark} [bold]{symptom.subject}[/] {symptom.finding}", highlight=False, soft_wrap=True
        )
        if symptom.remedy:
            _console.print(f"     {symptom.remedy}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def forget(
    after: Annotated[
        datetime, typer.Option("--after", formats=["%Y-%m-%d"], help="The newest day that is kept.")
    ],
    yes: _Yes = False,
    data_dir: _DataDir = None,
) -> None:
    """Forget the days after one, made under a clock that was ahead, so that each is read after its end."""
    settings, last = _settings(None, data_dir), after.date()

    from moovitamix_assets.cli.recovery.folder_holders import FolderHeld
    from moovitamix_assets.cli.recovery.forgetting import forget as forget_days
    from moovitamix_assets.cli.runs.instance import NoInstance, open_instance
    from moovitamix_assets.warehouse.connection import WarehouseLocked, WarehouseMissing, read_warehouse

    try:
        with read_warehouse(settings.warehouse_path):
            pass  # A mistyped folder is named, not made.
        _console.print(
            f"Removes everything in {settings.warehouse_path} of the days after {last}, with the training sets and "
            "models of these days. Landing files stay, and their days are read again.",
            highlight=False,
            soft_wrap=True,
        )
        _ask(yes)
        with open_instance() as instance:
            forgotten = forget_days(settings, instance, last)
    except (FolderHeld, NoInstance, WarehouseLocked, WarehouseMissing) as error:
        _fail(str(error))
    rows = ", ".join(f"{table} {number:,}" for table, number in forgotten.rows.items())
    _console.print(
        f"Removed rows: {rows or 'none'}. Training sets and models: {forgotten.folders}. Partitions of landing to be "
        f"read again: {forgotten.partitions}.",
        highlight=False,
        soft_wrap=True,
    )
    if forgotten.still_recorded:
        _console.print(
            f"{forgotten.still_recorded} materializations of these days stay in Dagster's records, whose storage "
            "cannot wipe single partitions: until these days are made, only the check made_in_time still counts them.",
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def reset(yes: _Yes = False, data_dir: _DataDir = None) -> None:
    """Delete everything that runs made: the data folder, and Dagster's records in the working directory."""
    settings = _settings(None, data_dir)

    from moovitamix_assets.cli.recovery.folder_holders import FolderHeld
    from moovitamix_assets.cli.recovery.resetting import NotOurs, delete, find_doomed
    from moovitamix_assets.warehouse.connection import WarehouseLocked

    try:
        doomed = find_doomed(settings)
        if not doomed:
            _console.print(f"Nothing to delete: there is neither {settings.data_dir} nor .dagster_home.")
            return
        for each in doomed:
            _console.print(
                f"{each.path}: {each.size / 1e6:,.1f} MB ({', '.join(each.entries)})",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )
        _ask(yes)
        delete(settings, doomed)
    except (FolderHeld, NotOurs, WarehouseLocked) as error:
        _fail(str(error))
    _console.print(
        f"Deleted {' and '.join(str(each.path) for each in doomed)}.", highlight=False, soft_wrap=True
    )


def _ask(yes: bool) -> None:
    if not yes and typer.prompt("Type yes to go on") != "yes":
        _fail("Nothing was deleted.")


def _settings(source_url: str | None, data_dir: Path | None) -> Settings:
    given: dict[str, Any] = {"api_url": source_url, "data_dir": data_dir}
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        _data_dir.set(settings.data_dir)
        return settings
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][-1])
            variable = f"MOOVITAMIX_{name.upper()}"
            file = os.environ.get("MOOVITAMIX_THRESHOLDS_FILE")
            where = (
                f"{name} of {file}" if file and variable not in os.environ and name not in given else variable
            )
            shown = _shown(name, problem["input"])
            _errors.print(f"{where} = {shown!r}: {problem['msg']}", soft_wrap=True)
        raise typer.Exit(2) from None
    except UnusableThresholds as error:
        _fail(str(error), code=2)


def _shown(setting: str, value: Any) -> Any:
    field = all_fields().get(setting)
    return str(SecretUrl(value)) if field and field.annotation is SecretUrl else value


def _refuse_unusable(data_dir: Path) -> None:
    nearest = data_dir.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        _fail(f"--data-dir {data_dir}: {nearest} is no folder. Choose another one.", code=2)
    if not os.access(nearest, os.W_OK | os.X_OK):
        _fail(f"--data-dir {data_dir}: {nearest} cannot be written. Choose another one.", code=2)


def _tell_of_waiting(holder: str) -> None:
    _console.print(f"Process {holder} works on the same folder: waiting until it has ended.")


def _days(settings: Settings, first: datetime | None, last: datetime | None) -> tuple[date, date]:
    from moovitamix_assets.clock import ClockUnreadable, last_ended_day, now

    try:
        newest = last_ended_day(now(settings))
    except ClockUnreadable as error:
        _fail(str(error), code=2)
    from_day = first.date() if first else settings.start_date
    to_day = last.date() if last else newest
    if from_day < settings.start_date:
        _fail(
            f"--from {from_day} comes before the first partition, {settings.start_date}. "
            "Choose a later day; MOOVITAMIX_START_DATE sets the first one, before the first load.",
            code=2,
        )
    if to_day > newest:
        _fail(f"--to {to_day} has not ended yet (UTC). The last day that can be read is {newest}.", code=2)
    if from_day > to_day:
        _fail(f"--from {from_day} comes after --to {to_day}.", code=2)
    return from_day, to_day


def _track_ids(session: str) -> list[int]:
    words = [word.strip() for word in session.split(",")]
    wrong = [word for word in words if not (word.isdecimal() and int(word) <= _GREATEST_ID)]
    if wrong:
        _fail(f"--session {session!r}: {wrong[0]!r} is no track id. Give ids with commas: 12,34,56.", code=2)
    return list(dict.fromkeys(map(int, words)))


def _fail(message: str, code: int = 1) -> NoReturn:
    _errors.print(message, soft_wrap=True, markup=False)
    raise typer.Exit(code)
