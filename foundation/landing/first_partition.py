"""The first partition: recorded at the first load, so that a start date moved later is refused.

The first partition holds every older record; under another start date, records would be in the wrong partition.
"""

from datetime import date

from foundation.durable import Damaged, read_checked_text, write_checked_text
from foundation.errors import Explained
from foundation.landing.area import Landing
from foundation.landing.files import begin_first_load, was_loaded_from


class StartDateMoved(Explained, ValueError):
    """The first partition differs from the one recorded at the first load."""

    exit_code = 2


class StartDateDamaged(Damaged):
    """The record of the first partition cannot be read; the message names the file and the remedy."""


def recorded_first_partition(landing: Landing) -> date | None:
    """The first partition as recorded at the first load; None before it.

    Raises:
        StartDateDamaged: If the record is not what was written.
    """
    path = landing.data_dir / "start_date"
    if not path.exists():
        return None
    try:
        return date.fromisoformat(read_checked_text(path).strip())
    except (OSError, ValueError) as error:
        raise StartDateDamaged(
            f"{path} is damaged: {error}. It holds the first partition, which is also the name of the oldest folder "
            f"in {landing.folder}/<endpoint>. Remove the file; the next `{landing.program.command} run` records "
            f"{landing.program.variable('START_DATE')} again, which must be that day."
        ) from error


def record_first_partition(landing: Landing, start_date: date) -> None:
    """Record the first partition at the first load, and refuse another one later.

    Raises:
        StartDateMoved: If another one is recorded.
        StartDateDamaged: If the record is not what was written.
    """
    recorded = recorded_first_partition(landing)
    if recorded is None:
        if not was_loaded_from(landing.folder):
            begin_first_load(landing.folder)
        write_checked_text(landing.data_dir / "start_date", start_date.isoformat())
    elif recorded != start_date:
        raise StartDateMoved(
            f"{landing.program.variable('START_DATE')} is {start_date}, but {landing.data_dir} was first loaded with "
            f"{recorded}. Set it back to {recorded}, or set {landing.program.variable('DATA_DIR')} to another folder "
            "for a history that starts elsewhere."
        )
