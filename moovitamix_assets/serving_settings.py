"""The settings of serving: what is published, and how the API hands it out.

The settings of all other stages are in `setting_groups.py`.
"""

from pathlib import Path

from pydantic import Field

from moovitamix_assets.setting_sources import Variables


class ServingSettings(Variables):
    """Publishing recommendations for readers, and the API that hands them out."""

    published_kept: int = Field(
        3, ge=2, description="Published generations kept, the current one included, so that one can return."
    )
    serving_host: str = Field(
        "127.0.0.1", description="Address that the API listens on; others than 127.0.0.1 need API keys."
    )
    serving_port: int = Field(8080, ge=0, le=65535, description="Its port; 0 takes a free one.")
    api_keys_file: Path | None = Field(
        None, description="File with the hashes of API keys, as `moovitamix api-key` writes it."
    )
    serving_maximum_length: int = Field(
        100,
        ge=1,
        le=1000,
        description="Tracks in an answer, at most; no more than `recommendations_per_user` of a user.",
    )
    serving_maximum_batch: int = Field(
        100, ge=1, le=10_000, description="Users, or tracks of a session, in one request, at most."
    )
    serving_maximum_body_bytes: int = Field(
        65_536, ge=1024, le=100_000_000, description="A longer body is refused with 413."
    )
    serving_watch_seconds: float = Field(
        1.0, gt=0, le=3600, description="Seconds between two looks for a new generation."
    )
