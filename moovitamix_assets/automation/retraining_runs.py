"""From decisions about the champion to requests for runs, and what of the decisions Dagster's own records know.

Trainings that ran or failed, and what people asked for, are in Dagster's records; the decisions themselves are
pure functions in `retraining.py` and `rollback.py`.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
from dagster import (
    AssetKey,
    AssetObservation,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunRequest,
    RunsFilter,
)

from foundation.errors import Explained
from foundation.models.promotions import champion_version, newest_trained_day
from foundation.warehouse.rows import first_row
from moovitamix_assets.automation.evidence import Training, TrainingOutcome
from moovitamix_assets.automation.jobs import RECOMMEND_JOB, ROLLBACK_JOB, TRAIN_JOB
from moovitamix_assets.automation.retraining import RetrainingDecision
from moovitamix_assets.automation.rollback import RollbackDecision
from moovitamix_assets.clock import last_ended_day, now
from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse

TRIGGER_TAG = "moovitamix/trigger"
REASON_TAG = "moovitamix/reason"

_ASKED_ABOUT = AssetKey("lightfm_model")
_ASKED_FOR = "retraining_asked_for"
_LOOKED_AT = 100


class NothingServed(Explained):
    """There are no recommendations yet; the message names the remedy."""


def request_retraining(instance: DagsterInstance, settings: Settings, reason: str) -> date:
    """Put down, in the history of `lightfm_model`, that a person wants a retraining.

    Returns:
        The newest day for which there are recommendations, or the day after one that was trained already, since that
        answers nobody who asks now: as of it, or of a later one, a candidate is trained.

    Raises:
        NothingServed: If there are none.
        WarehouseMissing: If nothing was ever loaded.
    """
    until = last_ended_day(now(settings))
    with read_warehouse(settings.warehouse_path) as connection:
        newest = first_row(
            connection, "SELECT max(generated_for) FROM recommendations WHERE generated_for <= ?", [until]
        )
        decided = newest_trained_day(connection, until)
    if not newest or newest[0] is None:
        raise NothingServed("There are no recommendations yet: `moovitamix run` makes the first ones.")
    trained = [run.day for run in known_trainings(instance) if run.outcome != "under_way"]
    trained += [decided] if decided else []
    day: date = max([newest[0], *(past + timedelta(days=1) for past in trained)])
    instance.report_runless_asset_event(
        AssetObservation(_ASKED_ABOUT, partition=day.isoformat(), metadata={_ASKED_FOR: reason})
    )
    return day


def asked_on(instance: DagsterInstance) -> date | None:
    """The newest day for which a person asked."""
    for record in instance.fetch_observations(_ASKED_ABOUT, limit=_LOOKED_AT).records:
        observation = record.event_log_entry.asset_observation
        if observation and observation.partition and _ASKED_FOR in observation.metadata:
            return date.fromisoformat(observation.partition)
    return None


def known_trainings(instance: DagsterInstance) -> list[Training]:
    """The newest trainings by their runs: under way, failed, or ended well (what was decided is in `promotions`)."""
    runs = instance.get_runs(RunsFilter(job_name=TRAIN_JOB.name), limit=_LOOKED_AT)
    return [
        Training(days[-1], _outcome(run)) for run in runs if (days := partitions_of_run(run.tags)) is not None
    ]


def rollback_request(decision: RollbackDecision) -> RunRequest:
    """The run that puts the previous champion in force again."""
    config = {"reason": decision.reason, "model_version": decision.model_version}
    return RunRequest(
        job_name=ROLLBACK_JOB.name,
        run_key=f"rollback-{decision.model_version}-{decision.day}",
        run_config={"ops": {"roll_back_champion": {"config": config}}},
        tags={TRIGGER_TAG: "worse", REASON_TAG: decision.reason},
    )


def retraining_request(decision: RetrainingDecision) -> RunRequest:
    """The run that trains a candidate as of the decision's day."""
    return RunRequest(
        job_name=TRAIN_JOB.name,
        run_key=f"retrain-{decision.day}",
        partition_key=decision.day.isoformat(),
        tags={TRIGGER_TAG: decision.trigger or "", REASON_TAG: decision.reason},
    )


def lists_to_remake(connection: duckdb.DuckDBPyConnection, day: date) -> Iterator[RunRequest]:
    """The run that makes the newest lists again, if another version is in force than the one that made them."""
    version = champion_version(connection, day)
    made_by = connection.execute(
        "SELECT DISTINCT model_version FROM recommendations WHERE generated_for = ?", [day]
    ).fetchall()
    if version is not None and (version,) not in made_by:
        yield RunRequest(
            job_name=RECOMMEND_JOB.name,
            run_key=f"recommend-{day}-{version}",
            partition_key=day.isoformat(),
            tags={TRIGGER_TAG: "new champion", REASON_TAG: f"{version} is in force."},
        )


def _outcome(run: DagsterRun) -> TrainingOutcome:
    if not run.is_finished:
        return "under_way"
    return "promoted" if run.status is DagsterRunStatus.SUCCESS else "failed"
