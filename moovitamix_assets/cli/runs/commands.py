"""The commands that start runs and change which version serves: run, rollback, retrain, mirror.

Arguments and printed text only.
"""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from moovitamix_assets.cli.interface.copying import refresh_copy_for_readers
from moovitamix_assets.cli.interface.errors import fail
from moovitamix_assets.cli.interface.invocation import console, say
from moovitamix_assets.cli.interface.options import (
    DataDir,
    Reason,
    SourceUrl,
    day,
    read_settings,
    refuse_unusable,
)
from moovitamix_assets.settings import Settings

_BY_A_USER = "requested by a user"

_FIRST_WEEK = 7
"""The days of a first load that are made by nightly runs, so that there is a week of quality, drift and decisions."""


def run(
    first: Annotated[
        date | None,
        typer.Option("--from", parser=day, metavar="DAY", help="First day. [default: the start date]"),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option("--to", parser=day, metavar="DAY", help="Last day, UTC. [default: yesterday]"),
    ] = None,
    source_url: SourceUrl = None,
    data_dir: DataDir = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Read these days from the source again; damaged files are set aside."),
    ] = False,
) -> None:
    """Backfill the missing days in one run, train, recommend, and print a summary."""
    settings = read_settings(data_dir, source_url)

    from foundation.file_lock import exclusive_lock
    from foundation.landing.files import set_aside_damaged
    from foundation.progress import TerminalProgress
    from moovitamix_assets.cli.interface.instance import open_instance
    from moovitamix_assets.cli.runs.pipeline import leaves_out_first_partition, run_pipeline
    from moovitamix_assets.cli.runs.run_summary import print_summary
    from moovitamix_assets.cli.runs.source_inspection import compare_clocks
    from moovitamix_assets.ingestion.landing import landing_at
    from moovitamix_assets.partitions import days_between

    refuse_unusable(settings.data_dir)
    from_day, to_day = _days(settings, first, last)
    console.print(f"[bold]MooVitamix[/] {from_day} to {to_day}, into {settings.data_dir}")
    if last is None and (difference := compare_clocks(settings, to_day)):
        say(difference, style="yellow")
    _create(settings.data_dir)
    with exclusive_lock(settings.run_lock, report_waiting), open_instance(settings.data_dir) as instance:
        if again:
            for file, now in set_aside_damaged(
                landing_at(settings.landing_dir), days_between(from_day, to_day)
            ):
                say(f"Damaged: {file} was set aside as {now}.")
        if leaves_out_first_partition(settings, from_day):
            say(
                f"The first partition, {settings.start_date}, is left out: it holds all users, tracks and plays that "
                f"are older. `moovitamix run --to {to_day}` loads it.",
                style="yellow",
            )
        outcome = run_pipeline(
            settings,
            from_day,
            to_day,
            instance,
            TerminalProgress(console),
            again=again,
            nightly_days=_FIRST_WEEK,
        )
        refresh_copy_for_readers(settings)
    if not outcome.missing and not again:
        say("Nothing was missing.")
    if outcome.source_not_inspected:
        say(outcome.source_not_inspected, style="yellow")
    if outcome.nothing_to_learn:
        say(
            "No model was trained: there are no plays before the last "
            f"{settings.training.holdout_days} days, on which it would be measured.",
            style="yellow",
        )
    print_summary(console, settings, from_day, to_day, outcome.seconds)


def rollback(
    to: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="A former champion, see history. [default: the one before]"),
    ] = None,
    reason: Reason = _BY_A_USER,
    data_dir: DataDir = None,
) -> None:
    """Make an earlier champion the champion again, within seconds, without training."""
    settings = read_settings(data_dir)

    from moovitamix_assets.cli.interface.instance import open_instance
    from moovitamix_assets.cli.runs.pipeline import run_rollback

    with open_instance(settings.data_dir) as instance:
        now, before = run_rollback(settings, instance, reason, to)
        refresh_copy_for_readers(settings)
    say(f"{now} is the champion again, in place of {before}. It makes the next recommendations.")


def retrain(
    reason: Reason = _BY_A_USER,
    at_once: Annotated[
        bool, typer.Option("--now", help="Train in this process at once, if the monthly budget allows.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Withdraw the open request instead.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Request a new candidate: the sensor `retraining` starts its training once cool-down and budget allow."""
    if at_once and cancel:
        fail("--now and --cancel exclude each other.", code=2)
    settings = read_settings(data_dir)

    from moovitamix_assets.automation.training_records import request_retraining, withdraw_request
    from moovitamix_assets.cli.interface.instance import open_instance

    if at_once:
        _train_now(settings, reason)
        return
    with open_instance(settings.data_dir) as instance:
        if cancel:
            say(f"Withdrew the request for a candidate as of {withdraw_request(instance, settings, reason)}.")
            return
        day = request_retraining(instance, settings, reason)
    say(
        f"Requested a candidate as of {day} or later. The sensor `retraining` says at its next tick what it waits for; "
        "it needs `moovitamix dev`, or a Dagster daemon, to be running. `moovitamix status` shows the request, "
        "`moovitamix retrain --cancel` withdraws it."
    )


def mirror(data_dir: DataDir = None) -> None:
    """Write every version decided about to MLflow: its metrics, its files, and which one is the champion."""
    settings = read_settings(data_dir)

    from moovitamix_assets.training.mirroring.mirror import write_mirror

    report = write_mirror(settings, patient=True)
    names: dict[str, list[str]] = {}
    for alias, version in report.aliases.items():
        names.setdefault(version, []).append(alias)
    for version, outcome in report.versions.items():
        also = f" ({', '.join(names[version])})" if version in names else ""
        say(f"{version} {outcome}{also}")
    say(f"Versions in {report.where}: {len(report.versions)}, {report.seconds:.1f} s")


def _train_now(settings: Settings, reason: str) -> None:
    from foundation.file_lock import exclusive_lock
    from foundation.progress import TerminalProgress
    from moovitamix_assets.cli.interface.instance import open_instance
    from moovitamix_assets.cli.runs.retraining_now import train_now
    from moovitamix_assets.warehouse.connection import read_warehouse

    with read_warehouse(settings.warehouse_path):
        pass  # A mistyped folder is named, not created.
    with exclusive_lock(settings.run_lock, report_waiting), open_instance(settings.data_dir) as instance:
        outcome = train_now(settings, instance, TerminalProgress(console), reason)
        refresh_copy_for_readers(settings)
    if outcome.decision:
        say(f"{outcome.decision.sentence} {outcome.decision.reason}")
    if outcome.recommended:
        say(f"The recommendations of {outcome.day} were computed again.")


def report_waiting(holder: str) -> None:
    """Print which process holds the data folder."""
    say(f"Process {holder} works on the same folder: waiting until it has ended.")


def _create(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--data-dir {data_dir}: it cannot be created ({error.strerror}). Choose another one.", code=2)


def _days(settings: Settings, first: date | None, last: date | None) -> tuple[date, date]:
    from moovitamix_assets.clock import ClockUnreadable, last_ended_day, now

    try:
        newest = last_ended_day(now(settings))
    except ClockUnreadable as error:
        fail(str(error), code=2)
    if settings.start_date > newest:
        fail(
            f"MOOVITAMIX_START_DATE = {settings.start_date}: that day has not ended yet (UTC), and {newest} is the "
            "last one that can be read. Choose an earlier one.",
            code=2,
        )
    from_day = first or settings.start_date
    to_day = last or newest
    if from_day < settings.start_date:
        fail(
            f"--from {from_day} comes before the first partition, {settings.start_date}. "
            "Choose a later day; MOOVITAMIX_START_DATE sets the first one, before the first load.",
            code=2,
        )
    if to_day > newest:
        fail(f"--to {to_day} has not ended yet (UTC). The last day that can be read is {newest}.", code=2)
    if from_day > to_day:
        fail(f"--from {from_day} comes after --to {to_day}.", code=2)
    return from_day, to_day
