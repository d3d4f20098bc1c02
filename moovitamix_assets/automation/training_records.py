"""What Dagster's records know about trainings: their runs, and users' requests for one.

A request is an observation in the history of `lightfm_model`; withdrawing it is another. Decisions about candidates are
in `promotions`; decisions whether to train are in `retraining.py`.
"""

from datetime import date, timedelta

from dagster import (
    AssetKey,
    AssetObservation,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunsFilter,
)

from foundation.errors import Explained
from foundation.models.promotions import newest_trained_day
from moovitamix_assets.automation.evidence import Training, TrainingOutcome
from moovitamix_assets.automation.jobs import TRAIN_JOB
from moovitamix_assets.clock import last_ended_day, now
from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day

_REQUESTED_FOR = AssetKey("lightfm_model")
_REQUEST = "retraining_asked_for"
_WITHDRAWAL = "retraining_withdrawn"
_RECORDS_READ = 100


class NothingServed(Explained):
    """There are no recommendations yet; the message names the remedy."""


class NoOpenRequest(Explained):
    """There is no request that could be withdrawn; the message says why."""


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


def withdraw_request(instance: DagsterInstance, settings: Settings, reason: str) -> date:
    """Record that the open request for a retraining is withdrawn.

    Returns:
        The day as of which, or of a later one, the candidate was requested.

    Raises:
        NoOpenRequest: If there is none, or a training answers it already.
        WarehouseMissing: If nothing was ever loaded.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        decided = newest_trained_day(connection, last_ended_day(now(settings)))
    day = requested_on(instance)
    if day is None:
        raise NoOpenRequest("No retraining is requested: there is nothing to withdraw.")
    answers = [run.day for run in known_trainings(instance)] + ([decided] if decided else [])
    answer = min((answer for answer in answers if answer >= day), default=None)
    if answer:
        raise NoOpenRequest(
            f"The retraining requested as of {day} was started as of {answer}: there is nothing to withdraw. "
            "`moovitamix rollback` returns to the previous champion if its candidate is promoted."
        )
    instance.report_runless_asset_event(
        AssetObservation(_REQUESTED_FOR, partition=day.isoformat(), metadata={_WITHDRAWAL: reason})
    )
    return day


def requested_on(instance: DagsterInstance) -> date | None:
    """The newest day for which a user requested a retraining; None if there is none, or it was withdrawn."""
    for record in instance.fetch_observations(_REQUESTED_FOR, limit=_RECORDS_READ).records:
        observation = record.event_log_entry.asset_observation
        if observation is None or observation.partition is None:
            continue
        if _WITHDRAWAL in observation.metadata:
            return None
        if _REQUEST in observation.metadata:
            return date.fromisoformat(observation.partition)
    return None


def known_trainings(instance: DagsterInstance) -> list[Training]:
    """The newest trainings by their runs: under way, failed, or successful (decisions are in `promotions`)."""
    runs = instance.get_runs(RunsFilter(job_name=TRAIN_JOB.name), limit=_RECORDS_READ)
    return [
        Training(days[-1], _outcome(run)) for run in runs if (days := partitions_of_run(run.tags)) is not None
    ]


def _outcome(run: DagsterRun) -> TrainingOutcome:
    if not run.is_finished:
        return "under_way"
    return "promoted" if run.status is DagsterRunStatus.SUCCESS else "failed"
