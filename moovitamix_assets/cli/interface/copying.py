"""The copy of the warehouse for readers, refreshed at the end of commands that write the warehouse.

How it is copied is in `foundation/warehouse/copying.py`; without commands, the sensor `warehouse_copy` sees to it.
"""

from moovitamix_assets.cli.interface.invocation import say
from moovitamix_assets.settings import Settings


def refresh_copy_for_readers(settings: Settings) -> None:
    """Copy the warehouse, if the settings ask for a copy; that it cannot be copied does not fail the command."""
    from foundation.warehouse.copying import CopyNotWritten
    from moovitamix_assets.warehouse.connection import refresh_copy

    if not settings.warehouse.warehouse_copy:
        return
    try:
        refresh_copy(settings.warehouse_path)
    except CopyNotWritten as error:
        say(str(error), style="yellow")
