"""This product's landing area: the foundation's, with the source's rule for a record's identity.

How records are landed and read back is in `foundation/landing/`.
"""

from pathlib import Path

from foundation.landing import io_manager
from foundation.landing.area import Landing
from moovitamix_assets.ingestion.client.records import identity
from moovitamix_assets.program import PROGRAM


def landing_at(folder: Path) -> Landing:
    """The landing area in a folder."""
    return Landing(folder, PROGRAM, identity)


class LandingIOManager(io_manager.LandingIOManager):
    """Lands the records of users, tracks and listening sessions."""

    def landing_at(self, folder: Path) -> Landing:
        """The landing area in a folder."""
        return landing_at(folder)
