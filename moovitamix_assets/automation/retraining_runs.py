"""From the evidence about the champion to requests for runs.

The decisions themselves are pure functions in `champion_decision.py`; what Dagster's records know about trainings and
users' requests is read in `training_records.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import duckdb
from dagster import (
    DagsterInstance,
    RunRequest,
)

from foundation.models.decisions import POPULARITY, Standing
from foundation.models.promotions import standing
from moovitamix_assets.automation.champion_decision import ChampionDecision
from moovitamix_assets.automation.evidence import Evidence, read_evidence
from moovitamix_assets.automation.jobs import DECIDE_JOB, RECOMMEND_JOB, ROLLBACK_JOB, TRAIN_JOB
from moovitamix_assets.automation.retraining import RetrainingDecision
from moovitamix_assets.automation.rollback import RollbackDecision
from moovitamix_assets.automation.training_records import known_trainings, requested_on
from moovitamix_assets.clock import last_ended_day, now
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.snapshot import nothing_to_learn
from moovitamix_assets.warehouse.connection import read_warehouse

TRIGGER_TAG = "moovitamix/trigger"
REASON_TAG = "moovitamix/reason"


@dataclass(frozen=True)
class Situation:
    """The current knowledge about the champion.

    Attributes:
        evidence: For the decision about it.
        outdated: The request for the newest recommendations again, if another version made them; else empty.
    """

    evidence: Evidence
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
    return Situation(evidence, outdated)


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


def requests_of(decision: ChampionDecision, outdated: Sequence[RunRequest]) -> list[RunRequest]:
    """The runs that a decision leads to; new recommendations wait for a run that changes which version serves."""
    if decision.serving.action:
        return [serving_request(decision)]
    if decision.rollback.roll_back:
        return [rollback_request(decision.rollback)]
    if decision.retraining.retrain:
        return [retraining_request(decision.retraining), *outdated]
    return list(outdated)


def serving_request(decision: ChampionDecision) -> RunRequest:
    """The run that records a decision about the version that serves."""
    serving = decision.serving
    return RunRequest(
        job_name=DECIDE_JOB.name,
        run_key=f"{serving.action}-{serving.model_version}-{serving.day}",
        run_config={"ops": {"decide_about_serving": {"config": {"day": f"{serving.day}"}}}},
        tags={TRIGGER_TAG: str(serving.action), REASON_TAG: decision.summary},
    )


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
    """The run that computes a day's recommendations again, if a version that serves or is in shadow made none.

    Those of a version that left shadow stay: nothing is decided by them.
    """
    versions = standing(connection, day)
    if versions.champion is None and versions.challenger is None:
        return ()
    in_shadow = _made_by(connection, "shadow_recommendations", day)
    if _served_by(versions, _made_by(connection, "recommendations", day)) and in_shadow.issuperset(
        versions.shadows
    ):
        return ()
    shadows = ", ".join(versions.shadows)
    return (
        RunRequest(
            job_name=RECOMMEND_JOB.name,
            run_key="-".join(["recommend", f"{day}", versions.serving, *versions.shadows]),
            partition_key=day.isoformat(),
            tags={
                TRIGGER_TAG: "other versions",
                REASON_TAG: f"{versions.serving} serves{f'; in shadow: {shadows}' if shadows else ''}.",
            },
        ),
    )


def _served_by(versions: Standing, made_by: set[str]) -> bool:
    """Return whether recommendations were made by the version that serves; popular tracks complement any model's."""
    return made_by <= {POPULARITY} if versions.serving == POPULARITY else versions.serving in made_by


def _made_by(connection: duckdb.DuckDBPyConnection, table: str, day: date) -> set[str]:
    rows = connection.execute(
        f"SELECT DISTINCT model_version FROM {table} WHERE generated_for = ?", [day]
    ).fetchall()
    return {row[0] for row in rows}
