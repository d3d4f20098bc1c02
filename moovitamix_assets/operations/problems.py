"""Which problems there are, by Dagster's records of runs and by the decisions in the warehouse.

Only looking: whether somebody was told already, and telling, is in `alerts.py`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import duckdb
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter

from foundation.models.decisions import RecordedDecision
from foundation.models.promotions import decisions_after, newest_decision_day
from foundation.operations.run_failures import FAILURE_EVENTS, failure_causes
from foundation.warehouse.rows import first_row
from moovitamix_assets.operations.alerts import Problem
from moovitamix_assets.partitions import (
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
)
from moovitamix_assets.settings import Settings

_BY_HAND = "__ASSET_JOB"
_JOBS = ("nightly", "ingest", "train", "recommend", "monitor", "rollback", _BY_HAND)
_RUNS_LOOKED_AT = 50
# A cursor that is lost must not tell the history of years.
_DAYS_OF_DECISIONS = 7


def run_problems(instance: DagsterInstance, settings: Settings) -> list[Problem]:
    """The jobs that failed and did not succeed since; a run that somebody canceled is no failure."""
    return [problem for job in _JOBS if (problem := _problem_of(job, instance, settings))]


def decision_problems(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Problem]:
    """The candidates rejected and the rollbacks of the last days, oldest first.

    Args:
        connection: The warehouse, to be read.
        settings: Where the UI is.
    """
    row = first_row(connection, "SELECT max(generated_for) FROM recommendations")
    newest = (row[0] if row else None) or newest_decision_day(connection)
    if newest is None:
        return []
    decisions = decisions_after(connection, newest - timedelta(days=_DAYS_OF_DECISIONS))
    link = f"{settings.operations.ui_url}/assets/champion_model"
    return [
        _rejected(decided, link) if decided.decision == "rejected" else _rolled_back(decided, link)
        for decided in decisions
        if decided.decision != "promoted"
    ]


def _rejected(decided: RecordedDecision, link: str) -> Problem:
    return Problem(
        key=f"rejected:{decided.model_version}",
        title=f"The candidate {decided.model_version} was rejected",
        since=str(decided.as_of),
        details=(decided.reason,),
        done=f"{_in_force(decided.previous_version)}.",
        link=link,
        lasting=False,
    )


def _rolled_back(decided: RecordedDecision, link: str) -> Problem:
    return Problem(
        key=f"rollback:{decided.model_version}:{decided.as_of}",
        title=f"The champion {decided.previous_version} was rolled back",
        since=str(decided.as_of),
        details=(decided.reason,),
        done=f"{decided.model_version} is in force again; the next recommendations are its.",
        link=link,
        lasting=False,
    )


def _in_force(champion: str | None) -> str:
    return f"the champion {champion} stays in force" if champion else "popular tracks stay in force"


def _problem_of(job: str, instance: DagsterInstance, settings: Settings) -> Problem | None:
    # By their end, not their beginning: a long run may fail after a short one that began later succeeded.
    finished = instance.get_run_records(
        RunsFilter(job_name=job, statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]),
        limit=_RUNS_LOOKED_AT,
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
    return Problem(
        key=f"run:{job}",
        title=_title(newest),
        since=_moment(failed[-1]),
        details=(*_causes(instance, newest), *_attempts(failed)),
        done=_done(job, settings),
        link=f"{settings.operations.ui_url}/runs/{newest.run_id}",
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
    return causes or ["No step says why: the process of the run was ended, or never began."]


def _attempts(failed: Sequence[RunRecord]) -> list[str]:
    if len(failed) == 1:
        return []
    number = f"{len(failed)} or more" if len(failed) == _RUNS_LOOKED_AT else str(len(failed))
    return [f"{number} runs failed since the last success"]


def _moment(record: RunRecord) -> str:
    # Dagster knows when a run ended once the event of its end is stored; a run marked from outside may have none.
    ended = record.end_time or record.update_timestamp.timestamp()
    return f"{datetime.fromtimestamp(ended, UTC):%Y-%m-%d %H:%M} UTC"


def _done(job: str, settings: Settings) -> str:
    if job == "nightly":
        tries = settings.schedule.catch_up_attempts
        return f"yesterday's lists stay; the night is run {tries} times at most, after that a person has to look."
    if job in ("train", "rollback"):
        return "the champion stays in force."
    return "what was made before stays; run it again once the cause is gone."
