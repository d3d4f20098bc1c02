"""The schedule: the nightly run, for the day that ended and the days that were missed before it.

What is due is planned in `missed_partitions.py`; what a run contains is in `jobs.py`.
See https://docs.dagster.io/guides/automate/schedules.
"""

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from moovitamix_assets.automation.jobs import NIGHTLY_JOB
from moovitamix_assets.automation.nightly_runs import nightly_request
from moovitamix_assets.clock import due_day, now
from moovitamix_assets.settings import Settings


def build_nightly_schedule(settings: Settings) -> ScheduleDefinition:
    """The schedule of one deployment, running unless a user stops it in the UI."""
    hours, minutes = settings.schedule.nightly_at.split(":")

    @schedule(
        name="nightly",
        job=NIGHTLY_JOB,
        cron_schedule=f"{int(minutes)} {int(hours)} * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
        description="Starts one run for the day that ended and the days that were missed before it.",
    )
    def nightly(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        planned = context.scheduled_execution_time.replace(tzinfo=None)
        day = due_day(now(settings), settings.schedule)
        if due_day(planned, settings.schedule) < day:
            # After a standstill Dagster requests every run that it missed: one run covers them all.
            return SkipReason(
                f"The nightly run of {planned:%Y-%m-%d} was missed; the run for {day} covers it."
            )
        return nightly_request(context.instance, settings, day)

    return nightly
