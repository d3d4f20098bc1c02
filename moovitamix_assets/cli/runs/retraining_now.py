"""`moovitamix retrain --now`: train a candidate at once, in this process, and recommend with it if it is promoted.

Whether it is allowed is decided in `automation/retraining.py`; the jobs are those of `automation/jobs.py`.
"""

from dataclasses import dataclass
from datetime import date

from dagster import DagsterInstance

from foundation.errors import Explained
from foundation.models.decisions import RecordedDecision
from foundation.models.promotions import last_decision
from foundation.progress import Progress
from foundation.run_tags import PARTITION_TAG
from moovitamix_assets.automation.jobs import RECOMMEND_JOB, TRAIN_JOB
from moovitamix_assets.automation.nightly_runs import run_under_way
from moovitamix_assets.automation.retraining_runs import (
    REASON_TAG,
    TRIGGER_TAG,
    current_evidence,
    outdated_recommendations,
)
from moovitamix_assets.automation.training_limits import obstacle_to_training_now
from moovitamix_assets.automation.training_records import NothingServed
from moovitamix_assets.cli.runs.job_runs import run_job
from moovitamix_assets.clock import now
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse, refuse_held


class NotTrainedNow(Explained):
    """A training is not allowed at this moment; the message says why."""


@dataclass(frozen=True)
class Retrained:
    """The outcome of a training: its day, the decision about the candidate, whether it made new recommendations."""

    day: date
    decision: RecordedDecision | None
    recommended: bool


def train_now(settings: Settings, instance: DagsterInstance, progress: Progress, reason: str) -> Retrained:
    """Train a candidate as of the newest day with recommendations, which are computed again if it is promoted.

    Raises:
        NotTrainedNow: If the budget, a running training, or the data forbid it; no run is started.
        NothingServed: If there are no recommendations.
        WarehouseMissing: If nothing was ever loaded.
        WarehouseLocked: If another process holds the warehouse; no run is started.
        RunFailed: If a run fails.
    """
    day = _allowed_day(settings, instance)
    refuse_held(settings.warehouse_path)
    tags = {PARTITION_TAG: day.isoformat(), TRIGGER_TAG: "requested", REASON_TAG: reason}
    run_job(TRAIN_JOB.name, settings, tags, instance, progress, {})
    with read_warehouse(settings.warehouse_path) as connection:
        decision = last_decision(connection, day)
        outdated = outdated_recommendations(connection, day)
    for request in outdated:
        as_of = {PARTITION_TAG: day.isoformat(), **request.tags}
        run_job(RECOMMEND_JOB.name, settings, as_of, instance, progress, {})
    return Retrained(day, decision, bool(outdated))


def _allowed_day(settings: Settings, instance: DagsterInstance) -> date:
    running = run_under_way(instance, [TRAIN_JOB.name])
    if running:
        raise NotTrainedNow(f"Nothing was trained: the run {running[1]} of {running[0]} is under way.")
    with read_warehouse(settings.warehouse_path) as connection:
        evidence = current_evidence(connection, instance, settings, now(settings))
    if evidence is None:
        raise NothingServed("There are no recommendations yet: `moovitamix run` computes the first ones.")
    obstacle = obstacle_to_training_now(evidence, settings.retraining)
    if obstacle:
        raise NotTrainedNow(f"Nothing was trained: {obstacle}.")
    return evidence.day
