"""From decisions about the champion to requests for runs, and what Dagster's own records know about past trainings.

Trainings that ran or failed, and users' requests, are in Dagster's records; the decisions themselves are pure functions
in `champion_decision.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

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
from moovitamix_assets.automation.champion_decision import ChampionDecision
from moovitamix_assets.automation.evidence import Evidence, Training, TrainingOutcome, read_evidence
from moovitamix_assets.automation.jobs import RECOMMEND_JOB, ROLLBACK_JOB, TRAIN_JOB
from moovitamix_assets.automation.retraining import RetrainingDecision
from moovitamix_assets.automation.rollback import RollbackDecision
from moovitamix_assets.clock import last_ended_day, now
from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.snapshot import nothing_to_learn
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day

TRIGGER_TAG = "moovitamix/trigger"
REASON_TAG = "moovitamix/reason"

_REQUESTED_FOR = AssetKey("lightfm_model")
_REQUEST = "retraining_asked_for"
_RECORDS_READ = 100


class NothingServed(Explained):
    """There are no recommendations yet; the message names the remedy."""


@dataclass(frozen=True)
class Situation:
    """The current knowledge about the champion.

    Attributes:
        evidence: For the decision about it.
        requested_on: The newest day for which a user requested a retraining; it may come after the evidence's.
        outdated: The request for the newest recommendations again, if another version made them; else empty.
    """

    evidence: Evidence
    requested_on: date | None
    outdated: tuple[RunRequest, ...]


def read_situation(instance: DagsterInstance, settings: Settings) -> Situation | None:
    """Read what is known about the champion; None while there are no recommendations.

    Raises:
        WarehouseMissing: If nothing was ever loaded.
        WarehouseLocked: If a run is writing.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        evidence = current_evidence(connection, instance, settings, now(settings))
        if evidence is None:
            return None
        outdated = outdated_recommendations(connection, evidence.day)
    return Situation(evidence, requested_on(instance), outdated)


def current_evidence(
    connection: duckdb.DuckDBPyConnection, instance: DagsterInstance, settings: Settings, moment: datetime
) -> Evidence | None:
    """Read the evidence from the warehouse and from Dagster's records; None while there are no recommendations.

    Args:
        connection: The warehouse; read-only is enough.
        instance: Dagster's records of runs.
        settings: Of the deployment.
        moment: Now, naive UTC.
    """
    evidence = read_evidence(
        connection, known_trainings(instance), requested_on(instance), last_ended_day(moment)
    )
    if evidence is None:
        return None
    return replace(evidence, nothing_to_learn=nothing_to_learn(connection, evidence.day, settings.training))


def request_retraining(instance: DagsterInstance, settings: Settings, reason: str) -> date:
    """Record, in the history of `lightfm_model`, that a user requests a retraining.

    Returns:
        The day as of which, or of a later one, a candidate is trained: the newest day with recommendations, or the day
        after one that was trained already, since that training does not answer a request made now.

    Raises:
        NothingServed: If there are no recommendations.
        WarehouseMissing: If nothing was ever loaded.
    """
    until = last_ended_day(now(settings))
    with read_warehouse(settings.warehouse_path) as connection:
        newest = newest_recommended_day(connection, until)
        decided = newest_trained_day(connection, until)
    if newest is None:
        raise NothingServed("There are no recommendations yet: `moovitamix run` computes the first ones.")
    trained = [run.day for run in known_trainings(instance) if run.outcome != "under_way"]
    trained += [decided] if decided else []
    day = max([newest, *(past + timedelta(days=1) for past in trained)])
    instance.report_runless_asset_event(
        AssetObservation(_REQUESTED_FOR, partition=day.isoformat(), metadata={_REQUEST: reason})
    )
    return day


def requested_on(instance: DagsterInstance) -> date | None:
    """The newest day for which a user requested a retraining."""
    for record in instance.fetch_observations(_REQUESTED_FOR, limit=_RECORDS_READ).records:
        observation = record.event_log_entry.asset_observation
        if observation and observation.partition and _REQUEST in observation.metadata:
            return date.fromisoformat(observation.partition)
    return None


def known_trainings(instance: DagsterInstance) -> list[Training]:
    """The newest trainings by their runs: under way, failed, or successful (decisions are in `promotions`)."""
    runs = instance.get_runs(RunsFilter(job_name=TRAIN_JOB.name), limit=_RECORDS_READ)
    return [
        Training(days[-1], _outcome(run)) for run in runs if (days := partitions_of_run(run.tags)) is not None
    ]


def requests_of(decision: ChampionDecision, outdated: Sequence[RunRequest]) -> list[RunRequest]:
    """The runs that a decision leads to; after a rollback, new recommendations wait for its run."""
    if decision.rollback.roll_back:
        return [rollback_request(decision.rollback)]
    if decision.retraining.retrain:
        return [retraining_request(decision.retraining), *outdated]
    return list(outdated)


def rollback_request(decision: RollbackDecision) -> RunRequest:
    """The run that makes the previous champion the champion again."""
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


def outdated_recommendations(connection: duckdb.DuckDBPyConnection, day: date) -> tuple[RunRequest, ...]:
    """The run that computes a day's recommendations again, if the champion is not the version that made them."""
    version = champion_version(connection, day)
    made_by = connection.execute(
        "SELECT DISTINCT model_version FROM recommendations WHERE generated_for = ?", [day]
    ).fetchall()
    if version is None or (version,) in made_by:
        return ()
    return (
        RunRequest(
            job_name=RECOMMEND_JOB.name,
            run_key=f"recommend-{day}-{version}",
            partition_key=day.isoformat(),
            tags={TRIGGER_TAG: "new champion", REASON_TAG: f"{version} is the champion."},
        ),
    )


def _outcome(run: DagsterRun) -> TrainingOutcome:
    if not run.is_finished:
        return "under_way"
    return "promoted" if run.status is DagsterRunStatus.SUCCESS else "failed"
