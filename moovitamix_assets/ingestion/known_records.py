"""Looking for records of the source in landing: are those that should be known there?

What follows from records being unknown is decided in `plausibility.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from foundation.landing.area import Landing
from foundation.landing.files import LandingDamaged
from foundation.landing.known_records import keys_changed_at
from moovitamix_assets.ingestion.client.records import Endpoint, Record

_DAYS_CHECKED = 10


def count_unknown(
    landing: Landing, endpoint: Endpoint, records: Mapping[date, Sequence[Record]]
) -> tuple[int, int]:
    """Look for records in the landing files of the days on which they changed.

    Only days that were read after their end count; of those, the few with the most records are checked.

    Args:
        landing: The landing area.
        endpoint: The endpoint.
        records: By partition; all with a readable time.

    Returns:
        The number of records looked for, and how many of them are unknown there.
    """
    looked_for = unknown = checked = 0
    for day in sorted(records, key=lambda day: (-len(records[day]), day)):
        if checked == _DAYS_CHECKED:
            break
        try:
            known = keys_changed_at(landing, endpoint, day, {record.changed_at for record in records[day]})
        except LandingDamaged:
            continue  # The day cannot be compared; reading its partition reports the damage.
        if known is None:
            continue
        wanted = {record.identity for record in records[day]} - {None}
        checked += 1
        looked_for += len(wanted)
        unknown += len(wanted - known)
    return looked_for, unknown
