"""The schedule: the nightly run, for the day that ended and whatever was missed before it.

What is due is planned in `missed_partitions.py`; what a run contains is in `jobs.py`.
See https://docs.dagster.io/guides/automate/schedules.
"""

from collections.abc import Iterator

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from moovitamix_assets.automation.jobs import NIGHTLY_JOB
from moovitamix_assets.automation.nightly_runs import night_requests
from moovitamix_assets.clock import due_day, now
from moovitamix_assets.settings import Settings


def build_nightly_schedule(settings: Settings) -> ScheduleDefinition:
    """The schedule of one deployment, running unless somebody stops it in the UI."""
    hours, minutes = settings.schedule.nightly_at.split(":")

    @schedule(
        name="nightly",
        job=NIGHTLY_JOB,
        cron_schedule=f"{int(minutes)} {int(hours)} * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
        description="Runs the day that ended, with the days that were missed before it, in one run.",
    )
    def nightly(context: ScheduleEvaluationContext) -> Iterator[RunRequest | SkipReason]:
        planned = context.scheduled_execution_time.replace(tzinfo=None)
        day = due_day(now(settings), settings)
        if due_day(planned, settings) < day:
            # After a standstill Dagster asks for every night it missed: one run makes them all.
            yield SkipReason(f"The night of {planned:%Y-%m-%d} was missed; the run for {day} fills it.")
            return
        yield from night_requests(context.instance, settings, day)

    return nightly
