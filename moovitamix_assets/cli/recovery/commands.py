"""The commands that repair or delete what is stored: rebuild, forget, reset.

Arguments and printed text only.
"""

from datetime import date
from typing import Annotated

import typer

from foundation.counting import counted
from moovitamix_assets.cli.interface.copying import refresh_copy_for_readers
from moovitamix_assets.cli.interface.invocation import console, say
from moovitamix_assets.cli.interface.options import DataDir, Yes, confirm, day, read_settings


def rebuild(
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Rewrite a damaged ledger from the warehouse instead.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Rebuild a lost or damaged warehouse from landing and the ledger, without reading the source."""
    settings = read_settings(data_dir)

    from foundation.file_lock import exclusive_lock
    from foundation.progress import TerminalProgress
    from moovitamix_assets.cli.interface.instance import open_instance
    from moovitamix_assets.cli.recovery.rebuild import describe, rebuild_warehouse, renew_ledger
    from moovitamix_assets.cli.runs.commands import report_waiting

    # In this order: taking the lock would create a folder that was mistyped.
    with open_instance(settings.data_dir) as instance, exclusive_lock(settings.run_lock, report_waiting):
        if ledger:
            renew_ledger(settings)
            say(f"The ledger in {settings.ledger_dir} was rewritten.")
            return
        for line in describe(rebuild_warehouse(settings, instance, TerminalProgress(console))):
            say(line)
        refresh_copy_for_readers(settings)


def forget(
    after: Annotated[
        date, typer.Option("--after", parser=day, metavar="DAY", help="The newest day that is kept.")
    ],
    yes: Yes = False,
    data_dir: DataDir = None,
) -> None:
    """Delete the days after one, loaded under a clock that was ahead, so that each is read after its end."""
    settings, last = read_settings(data_dir), after

    from moovitamix_assets.cli.interface.instance import open_instance
    from moovitamix_assets.cli.recovery.forgetting import forget as forget_days
    from moovitamix_assets.warehouse.connection import read_warehouse

    with read_warehouse(settings.warehouse_path):
        pass  # A mistyped folder is named, not created.
    say(
        f"Removes everything in {settings.warehouse_path} of the days after {last}, with the training sets and "
        "models of these days. Landing files stay, and their days are read again."
    )
    confirm(yes)
    with open_instance(settings.data_dir) as instance:
        forgotten = forget_days(settings, instance, last)
        refresh_copy_for_readers(settings)
    rows = ", ".join(f"{table} {number:,}" for table, number in forgotten.rows.items())
    say(
        f"Removed rows: {rows or 'none'}. Training sets and models: {forgotten.folders}. Partitions of landing to be "
        f"read again: {forgotten.partitions}."
    )
    if forgotten.still_recorded:
        say(
            f"{counted(forgotten.still_recorded, 'materialization of these days')} not removed from Dagster's "
            "records, whose storage cannot wipe single partitions: until these days are materialized, only the "
            "check made_in_time still counts them."
        )


def reset(yes: Yes = False, data_dir: DataDir = None) -> None:
    """Delete everything that runs have stored: the data folder, and Dagster's records in the working directory."""
    settings = read_settings(data_dir)

    from moovitamix_assets.cli.recovery.resetting import delete, find_doomed

    doomed = find_doomed(settings)
    if not doomed:
        say(f"Nothing to delete: there is neither {settings.data_dir} nor .dagster_home.")
        return
    for each in doomed:
        say(f"{each.path}: {each.size / 1e6:,.1f} MB ({', '.join(each.entries)})")
    confirm(yes)
    delete(settings, doomed)
    say(f"Deleted {' and '.join(str(each.path) for each in doomed)}.")
