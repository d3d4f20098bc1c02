"""The settings of serving: what is published, and how the API hands it out.

The settings of all other stages are in `setting_groups.py`.
"""

from pydantic import Field

from moovitamix_assets.setting_sources import Variables


class ServingSettings(Variables):
    """Publishing recommendations for readers."""

    published_kept: int = Field(
        3, ge=2, description="Published generations kept, the current one included, so that one can return."
    )
