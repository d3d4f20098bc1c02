"""The jobs: which assets are materialized together.

A job never mixes assets whose range is one run with assets that take one partition per run.
See https://docs.dagster.io/guides/build/jobs. When jobs start is for schedules and sensors to say.
"""

from dagster import AssetSelection, define_asset_job

INGEST_JOB = define_asset_job(
    "ingest",
    selection=AssetSelection.groups("ingestion", "warehouse"),
    description="Read the source, land what changed, and clean it into the warehouse: a day or a range in one run.",
)

TRAIN_JOB = define_asset_job(
    "train",
    selection=AssetSelection.groups("training"),
    description="Snapshot what was known on a day, train and measure a candidate, and decide whether it serves.",
)

RECOMMEND_JOB = define_asset_job(
    "recommend",
    selection=AssetSelection.groups("recommendations"),
    description="Make everyone's lists as of a day, or of each day of a range in one run.",
)

JOBS = [INGEST_JOB, TRAIN_JOB, RECOMMEND_JOB]
