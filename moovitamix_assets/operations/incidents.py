"""The incidents in Dagster's records of runs and in the decisions of the warehouse.

Finding only; `foundation/operations/alerts.py` composes and sends.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import duckdb
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter

from foundation.models.decisions import Fallback, RecordedDecision, Standing
from foundation.models.promotions import (
    decision_about,
    decisions_after,
    newest_decision_day,
    serving_decision,
    standing,
)
from foundation.operations.alerts import Incident
from foundation.operations.run_failures import FAILURE_EVENTS, failure_causes
from foundation.run_tags import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day

RUN_KEY = "run:"
"""The keys of incidents of runs start with it."""

FALLBACK_KEY = "fallback"
"""The key of the incident that popular tracks serve instead of the champion."""

_BY_HAND = "__ASSET_JOB"
_JOBS = ("nightly", "ingest", "train", "recommend", "recommend_and_measure", "rollback", "decide", _BY_HAND)
_RUNS_READ = 50
# A lost cursor must not lead to alerts about the history of years.
_DAYS_OF_DECISIONS = 7


def run_incidents(instance: DagsterInstance, settings: Settings) -> list[Incident]:
    """The jobs that failed and did not succeed since; a run that a user canceled is no failure."""
    return [incident for job in _JOBS if (incident := _incident_of(job, instance, settings))]


def decision_incidents(connection: duckdb.DuckDBPyConnection, ui_url: str) -> list[Incident]:
    """The fallback while it lasts, then the candidates rejected and the rollbacks of the last days, oldest first.

    A challenger that was promoted or rejected after its days in shadow is no incident: users never saw it.

    Args:
        connection: The warehouse; read-only is enough.
        ui_url: Of the Dagster UI.
    """
    newest = newest_recommended_day(connection) or newest_decision_day(connection)
    if newest is None:
        return []
    decisions = decisions_after(connection, newest - timedelta(days=_DAYS_OF_DECISIONS))
    link = f"{ui_url}/assets/champion_model"
    versions = standing(connection, newest)
    found = [_fallen_back(connection, versions, versions.fallback, link)] if versions.fallback else []
    for decided in decisions:
        if decided.decision == "rolled_back":
            found.append(_rolled_back(decided, link))
        elif decided.decision == "rejected" and not _was_in_shadow(connection, decided):
            found.append(_rejected(decided, versions, link))
    return found


def _was_in_shadow(connection: duckdb.DuckDBPyConnection, decided: RecordedDecision) -> bool:
    first = decision_about(connection, decided.model_version)
    return first is not None and first.decision == "shadow"


def _fallen_back(
    connection: duckdb.DuckDBPyConnection, versions: Standing, fallback: Fallback, link: str
) -> Incident:
    decided = serving_decision(connection, fallback.since)
    return Incident(
        key=FALLBACK_KEY,
        title="Popular tracks serve instead of the champion",
        since=str(fallback.since),
        details=(decided.reason,) if decided else (),
        done=(
            f"users get the popular tracks of the last {fallback.popularity_days} days. {versions.champion} is "
            "measured in shadow and serves again once it is clearly better; candidates learn from the days since."
        ),
        link=link,
    )


def _rejected(decided: RecordedDecision, versions: Standing, link: str) -> Incident:
    return Incident(
        key=f"rejected:{decided.model_version}",
        title=f"The candidate {decided.model_version} was rejected",
        since=str(decided.as_of),
        details=(decided.reason,),
        done=f"{_kept(decided.previous_version, versions)}.",
        link=link,
        lasting=False,
    )


def _rolled_back(decided: RecordedDecision, link: str) -> Incident:
    return Incident(
        key=f"rollback:{decided.model_version}:{decided.as_of}",
        title=f"The champion {decided.previous_version} was rolled back",
        since=str(decided.as_of),
        details=(decided.reason,),
        done=f"{decided.model_version} is the champion again; it makes the next recommendations.",
        link=link,
        lasting=False,
    )


def _kept(champion: str | None, versions: Standing) -> str:
    if champion is None:
        return "users still get popular tracks"
    if versions.fallback:
        return f"{champion} stays the champion, in shadow; users still get popular tracks"
    return f"{champion} stays the champion"


def _incident_of(job: str, instance: DagsterInstance, settings: Settings) -> Incident | None:
    # By their end, not their start: a long run may fail after a short one that started later succeeded.
    finished = instance.get_run_records(
        RunsFilter(job_name=job, statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]),
        limit=_RUNS_READ,
        order_by="end_time",
    )
    failed: list[RunRecord] = []
    for record in finished:
        if record.dagster_run.status is DagsterRunStatus.SUCCESS:
            break
        failed.append(record)
    if not failed:
        return None
    newest = failed[0].dagster_run
    # These are requested once and not repeated: a failure is an event, which no later success would end.
    once = job in ("rollback", "decide")
    return Incident(
        key=f"{RUN_KEY}{job}:{newest.run_id}" if once else f"{RUN_KEY}{job}",
        title=_title(newest),
        since=_moment(failed[-1]),
        details=(*_causes(instance, newest), *_attempts(failed)),
        done=_done(job, settings),
        link=f"{settings.operations.ui_url}/runs/{newest.run_id}",
        lasting=not once,
    )


def _title(run: DagsterRun) -> str:
    first = run.tags.get(PARTITION_TAG) or run.tags.get(RANGE_START_TAG)
    last = run.tags.get(RANGE_END_TAG) or first
    days = "" if first is None else f" for {first}" if first == last else f" for {first} to {last}"
    who = "A run of assets chosen by hand" if run.job_name == _BY_HAND else f"The job {run.job_name}"
    return f"{who} failed{days}"


def _causes(instance: DagsterInstance, run: DagsterRun) -> list[str]:
    entries = instance.all_logs(run.run_id, of_type=FAILURE_EVENTS)
    causes = failure_causes(entry.dagster_event for entry in entries if entry.dagster_event)
    return causes or ["No step gives a cause: the process of the run was ended, or never started."]


def _attempts(failed: Sequence[RunRecord]) -> list[str]:
    if len(failed) == 1:
        return []
    number = f"{len(failed)} or more" if len(failed) == _RUNS_READ else str(len(failed))
    return [f"{number} runs failed since the last success"]


def _moment(record: RunRecord) -> str:
    # Dagster knows when a run ended once the event of its end is stored; a run marked from outside may have none.
    ended = record.end_time or record.update_timestamp.timestamp()
    return f"{datetime.fromtimestamp(ended, UTC):%Y-%m-%d %H:%M} UTC"


def _done(job: str, settings: Settings) -> str:
    if job == "nightly":
        tries = settings.schedule.catch_up_attempts
        return f"yesterday's recommendations stay; after {tries} failed runs, an operator has to act."
    if job in ("train", "rollback", "decide"):
        return "the version that serves users stays: the current champion, or popular tracks."
    return "what was stored before stays; run it again once the cause is gone."
