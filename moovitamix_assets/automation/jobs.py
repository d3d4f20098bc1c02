"""The jobs: which assets are materialized together.

A job never mixes assets whose range is one run with assets that take one partition per run.
See https://docs.dagster.io/guides/build/jobs. When jobs start is in schedules.py and sensors.py.
"""

from dagster import AssetSelection, define_asset_job

INGEST_JOB = define_asset_job(
    "ingest",
    selection=AssetSelection.groups("ingestion", "warehouse"),
    description="Read the source, land what changed, and clean it into the warehouse: a day or a range in one run.",
)
