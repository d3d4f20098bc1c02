"""The jobs: which assets are materialized together.

A job never mixes assets whose range is one run with assets that take one partition per run.
See https://docs.dagster.io/guides/build/jobs. Schedules and sensors decide when jobs start.
"""

from datetime import date

from dagster import (
    MAX_RUNTIME_SECONDS_TAG,
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    Config,
    OpExecutionContext,
    ResourceParam,
    define_asset_job,
    job,
    op,
)
from pydantic import Field

from foundation.operations.run_processes import THIS_HOST
from moovitamix_assets.operations.freshness import FRESHNESS_CHECK, NEWEST_LISTEN_CHECK, WATCHED
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, write_warehouse

HOST_TAG = "moovitamix/host"
"""The run tag with the name of the machine whose code server, or command, executes the run."""

# They check the day that is due, whatever the partitions of a run: no job of the pipeline includes them.
FRESHNESS_CHECKS = [
    AssetCheckKey(AssetKey("listens"), NEWEST_LISTEN_CHECK),
    *(AssetCheckKey(AssetKey(asset), FRESHNESS_CHECK) for asset in WATCHED),
]

# Like the first partition, fixed per deployment: jobs are defined when the process starts.
_SETTINGS = Settings()


def _run_tags(maximum_hours: float = _SETTINGS.schedule.run_maximum_hours) -> dict[str, str]:
    """The machine that executes the runs, and the time after which Dagster's run monitoring ends one."""
    return {HOST_TAG: THIS_HOST, MAX_RUNTIME_SECONDS_TAG: str(round(maximum_hours * 3600))}


INGEST_JOB = define_asset_job(
    "ingest",
    run_tags=_run_tags(),
    selection=AssetSelection.groups("ingestion", "warehouse") - AssetSelection.checks(*FRESHNESS_CHECKS),
    description="Read the source, land what changed, and clean it into the warehouse: a day or a range in one run.",
)

TRAIN_JOB = define_asset_job(
    "train",
    run_tags=_run_tags(),
    selection=AssetSelection.groups("training"),
    description="Snapshot what was known on a day, train and measure a candidate, and decide whether it serves.",
)

RECOMMEND_JOB = define_asset_job(
    "recommend",
    run_tags=_run_tags(),
    selection=AssetSelection.groups("recommendations") - AssetSelection.checks(*FRESHNESS_CHECKS),
    description="Compute every user's recommendations as of a day, or of each day of a range in one run.",
)


NIGHTLY_JOB = define_asset_job(
    "nightly",
    run_tags=_run_tags(_SETTINGS.schedule.nightly_maximum_hours),
    selection=AssetSelection.groups("ingestion", "warehouse", "recommendations", "monitoring")
    - AssetSelection.checks(*FRESHNESS_CHECKS),
    description=(
        "Everything for the day that ended: read, clean, recommend, and measure the quality of yesterday's "
        "recommendations. Missed days are filled as a range in one run."
    ),
)

RECOMMEND_AND_MEASURE_JOB = define_asset_job(
    "recommend_and_measure",
    run_tags=_run_tags(),
    selection=AssetSelection.groups("recommendations", "monitoring")
    - AssetSelection.checks(*FRESHNESS_CHECKS),
    description=(
        "A nightly run of a day that is loaded already: recommend, and measure the quality of the day before's "
        "recommendations and how far the day has drifted."
    ),
)


class Rollback(Config):
    """Why the champion is rolled back, and which one."""

    reason: str = Field("requested by a user", description="One sentence for the record.")
    model_version: str = Field(
        "",
        description="The version to roll back; nothing is done if another one is the champion. Empty: the champion.",
    )
    to: str = Field(
        "", description="The version to return to, once a champion. Empty: the one before the champion."
    )


class DecisionDay(Config):
    """The day whose evidence decides which version serves."""

    day: str = Field(description="The newest day with recommendations, such as 2026-09-30.")


@op(pool=WAREHOUSE_POOL)
def decide_about_serving(
    context: OpExecutionContext, config: DecisionDay, settings: ResourceParam[Settings]
) -> str | None:
    """Promote or reject the challenger in shadow, fall back to popular tracks, or return to the champion."""
    from moovitamix_assets.automation.evidence import read_evidence
    from moovitamix_assets.automation.serving_decision import apply, decide_serving

    with write_warehouse(settings.warehouse_path) as connection:
        evidence = read_evidence(connection, until=date.fromisoformat(config.day))
        if evidence is None:
            return None
        decision = decide_serving(evidence, settings.promotion, settings.retraining, settings.monitoring)
        if decision.action:
            apply(connection, decision)
    context.log.info(decision.reason)
    context.add_output_metadata({"action": decision.action or "none", "reason": decision.reason})
    return decision.action


@op(pool=WAREHOUSE_POOL)
def roll_back_champion(
    context: OpExecutionContext, config: Rollback, settings: ResourceParam[Settings]
) -> tuple[str, str] | None:
    """Make an earlier champion the champion again; nothing is trained."""
    from moovitamix_assets.training.gate.models import model_store
    from moovitamix_assets.training.gate.promotion import roll_back

    if config.to:
        model_store(settings.models_dir).verify(config.to)
    with write_warehouse(settings.warehouse_path) as connection:
        outcome = roll_back(connection, config.reason, config.model_version or None, config.to or None)
    if outcome is None:
        context.log.info(f"{config.model_version} is not the champion: there is nothing to do.")
        return None
    now, before = outcome
    context.log.info(f"{now} is the champion again, in place of {before}: {config.reason}")
    context.add_output_metadata({"champion": now, "rolled_back": before})
    return outcome


@job(
    name="rollback",
    run_tags=_run_tags(),
    description="Make the previous champion the champion again, within seconds. It makes the next recommendations.",
)
def ROLLBACK_JOB() -> None:  # noqa: N802 - a job is a constant, though it is declared as a function
    """See `roll_back_champion`."""
    roll_back_champion()


@job(
    name="decide",
    run_tags=_run_tags(),
    description=(
        "Decide which version serves: the challenger in shadow once it is clearly better, popular tracks while they "
        "are, the champion again."
    ),
)
def DECIDE_JOB() -> None:  # noqa: N802 - a job is a constant, though it is declared as a function
    """See `decide_about_serving`."""
    decide_about_serving()


JOBS = [INGEST_JOB, TRAIN_JOB, RECOMMEND_JOB, NIGHTLY_JOB, RECOMMEND_AND_MEASURE_JOB]
