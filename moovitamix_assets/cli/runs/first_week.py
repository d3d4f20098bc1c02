"""Nightly runs of days that are loaded already, one after the other in this process.

After a first load they make the last week what it would have been in service: recommendations, quality, drift and
decisions. What a night computes and who decides is in `automation/`.
"""

from datetime import date, datetime, time, timedelta

from dagster import DagsterInstance, RunRequest

from foundation.progress import NoProgress, Progress
from foundation.run_tags import PARTITION_TAG
from moovitamix_assets.automation.champion_decision import decide_about_champion
from moovitamix_assets.automation.jobs import RECOMMEND_AND_MEASURE_JOB
from moovitamix_assets.automation.retraining_runs import (
    current_evidence,
    outdated_recommendations,
    requests_of,
)
from moovitamix_assets.cli.runs.job_runs import run_job
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse

_NEXT_MORNING = timedelta(days=1, hours=1)


def run_nightly_days(
    settings: Settings,
    days: list[date],
    instance: DagsterInstance,
    progress: Progress,
    seconds: dict[str, float],
) -> None:
    """Recommend, measure and decide as of each day, oldest first; the decision as of the last is left to the sensor.

    Args:
        settings: Of the deployment.
        days: Days that are loaded; on the day before the first there are recommendations.
        instance: Dagster's records.
        progress: Shows the days.
        seconds: Per stage; those of these runs are added.

    Raises:
        RunFailed: If a run fails; what was stored before it stays.
    """
    with progress.track("last week as nightly runs") as on_progress:
        for done, day in enumerate(days, start=1):
            tags = {PARTITION_TAG: day.isoformat()}
            run_job(RECOMMEND_AND_MEASURE_JOB.name, settings, tags, instance, NoProgress(), seconds)
            if day != days[-1]:
                _follow_decisions(settings, day, instance, seconds)
            on_progress(done, len(days))


def _follow_decisions(
    settings: Settings, day: date, instance: DagsterInstance, seconds: dict[str, float]
) -> None:
    started: set[str | None] = set()
    while requests := [each for each in _requests(settings, day, instance) if each.run_key not in started]:
        for request in requests:
            started.add(request.run_key)
            as_of = {PARTITION_TAG: request.partition_key} if request.partition_key else {}
            run_job(
                str(request.job_name),
                settings,
                {**request.tags, **as_of},
                instance,
                NoProgress(),
                seconds,
                run_config=request.run_config,
            )


def _requests(settings: Settings, day: date, instance: DagsterInstance) -> list[RunRequest]:
    """The runs that the sensor would request on the morning after a day."""
    with read_warehouse(settings.warehouse_path) as connection:
        evidence = current_evidence(
            connection, instance, settings, datetime.combine(day, time.min) + _NEXT_MORNING
        )
        outdated = outdated_recommendations(connection, day)
    if evidence is None:
        return list(outdated)
    return requests_of(decide_about_champion(evidence, settings), outdated)
