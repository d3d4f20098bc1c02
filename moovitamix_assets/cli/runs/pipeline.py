"""`moovitamix run`: find what is missing, and run the jobs that materialize it, in this process.

Every table that a nightly run fills, and `promotions`, are asked for what is missing. The jobs are defined in
`automation/jobs.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from dagster import DagsterInstance

from foundation.landing.first_partition import record_first_partition
from foundation.models.promotions import is_decided
from foundation.progress import Progress
from foundation.run_tags import PARTITION_TAG
from foundation.warehouse.errors import WarehouseMissing
from moovitamix_assets.automation.jobs import (
    INGEST_JOB,
    RECOMMEND_AND_MEASURE_JOB,
    RECOMMEND_JOB,
    ROLLBACK_JOB,
    TRAIN_JOB,
)
from moovitamix_assets.cli.runs.bundled_source import source_for
from moovitamix_assets.cli.runs.first_week import run_nightly_days
from moovitamix_assets.cli.runs.job_runs import execute, run_job
from moovitamix_assets.cli.runs.source_inspection import inspect_source
from moovitamix_assets.clock import now
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.partitions import days_between, range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.snapshot import nothing_to_learn
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.training.gate.promotion import plan_rollback
from moovitamix_assets.warehouse.connection import read_warehouse, refuse_held
from moovitamix_assets.warehouse.future import DaysOfTheFuture, find_future_days
from moovitamix_assets.warehouse.loads import loaded_days, made_days
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day


@dataclass(frozen=True)
class Missing:
    """The days and results that are not there yet.

    Attributes:
        days: Partitions of which a table was not loaded, oldest first.
        decision: Whether there is neither a decision nor anything else as of the last day, but something to learn.
        made: Whether recommendations for the last day, their quality or its drift are missing.
    """

    days: list[date]
    decision: bool
    made: bool

    def __bool__(self) -> bool:
        """Return whether anything is missing."""
        return bool(self.days or self.decision or self.made)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command.

    Attributes:
        missing: What was missing at its start.
        seconds: Seconds per stage; empty where nothing was missing.
        nothing_to_learn: Whether no model was trained because there are no plays before the hold-out days.
        source_not_inspected: Where nothing was missing, why the source could not be inspected; empty if it could.
    """

    missing: Missing
    seconds: Mapping[str, float] = field(default_factory=dict)
    nothing_to_learn: bool = False
    source_not_inspected: str = ""


def find_missing(settings: Settings, first: date, last: date) -> Missing:
    """Compare the days wanted with what the warehouse has."""
    try:
        with read_warehouse(settings.warehouse_path) as connection:
            loaded, made = loaded_days(connection), made_days(connection)
            decided = is_decided(connection, last)
            learns = nothing_to_learn(connection, last, settings.training) is None
    except WarehouseMissing:
        return Missing(days_between(first, last), decision=True, made=True)
    return Missing(
        [day for day in days_between(first, last) if day not in loaded],
        # Whoever made a day's recommendations has decided whether to train as of it.
        decision=learns and not decided and last not in made,
        made=last not in made,
    )


def leaves_out_first_partition(settings: Settings, first: date) -> bool:
    """Return whether days from `first` on leave out the first partition, which is not loaded either."""
    return (
        first > settings.start_date
        and settings.start_date in find_missing(settings, settings.start_date, settings.start_date).days
    )


def run_pipeline(
    settings: Settings,
    first: date,
    last: date,
    instance: DagsterInstance,
    progress: Progress,
    *,
    again: bool = False,
    nightly_days: int = 0,
) -> Outcome:
    """Materialize what is missing: ingest `first` to `last` in one run; train, recommend and measure as of `last`.

    With `again`, all these days are read from the source, whether they were read before or not. With `nightly_days`, a
    first load trains so many days before `last`, and the days since are made as nightly runs would have made them.

    Where there are no plays before the hold-out days, no model is trained: users get popular tracks, or the
    recommendations of the current champion.

    Raises:
        RunFailed: If a run fails; what was stored before it stays.
        DaysOfTheFuture: If the warehouse holds days that have not ended.
        WarehouseLocked: If another process holds the warehouse; no run is started.
        ImplausibleSource: If nothing is missing, but the next day could not be read from the source named.
        StartDateMoved: If the data directory was first loaded with another first partition.
    """
    if settings.warehouse_path.exists():
        record_first_partition(landing_at(settings.landing_dir), settings.start_date)
    _refuse_future_days(settings)
    missing = find_missing(settings, first, last)
    seconds: dict[str, float] = {}
    to_read = days_between(first, last) if again else missing.days
    if to_read or missing:
        refuse_held(settings.warehouse_path)
    source_not_inspected = "" if to_read else inspect_source(settings)
    if to_read:
        # The last days are read again: a record may have arrived late, with a time already read.
        late = last - timedelta(days=settings.schedule.lookback_days - 1)
        from_day = max(first, min(to_read[0], late))
        with source_for(settings) as sourced:
            run_job(
                INGEST_JOB.name,
                sourced,
                range_tags(from_day, to_read[-1]),
                instance,
                progress,
                seconds,
            )
    if again and not missing.days:
        # Days that were loaded, perhaps long ago, were read again: nothing is decided as of them.
        return Outcome(missing, seconds)
    with read_warehouse(settings.warehouse_path) as connection:
        learns = nothing_to_learn(connection, last, settings.training) is None
        trained = last - timedelta(days=nightly_days)
        week = (
            nightly_days > 0
            and trained >= first
            and newest_recommended_day(connection) is None
            and nothing_to_learn(connection, trained, settings.training) is None
        )
    if week:
        as_of = {PARTITION_TAG: trained.isoformat()}
        run_job(TRAIN_JOB.name, settings, as_of, instance, progress, seconds)
        run_job(RECOMMEND_JOB.name, settings, as_of, instance, progress, seconds)
        days = days_between(trained + timedelta(days=1), last)
        run_nightly_days(settings, days, instance, progress, seconds)
        return Outcome(missing, seconds)
    as_of = {PARTITION_TAG: last.isoformat()}
    if learns and (missing.days or missing.decision):
        run_job(TRAIN_JOB.name, settings, as_of, instance, progress, seconds)
    if missing:
        run_job(RECOMMEND_AND_MEASURE_JOB.name, settings, as_of, instance, progress, seconds)
    return Outcome(missing, seconds, nothing_to_learn=not learns, source_not_inspected=source_not_inspected)


def _refuse_future_days(settings: Settings) -> None:
    try:
        found = find_future_days(settings, now(settings))
    except WarehouseMissing:
        return
    if found:
        raise DaysOfTheFuture(f"{found.finding} {found.remedy}")


def run_rollback(
    settings: Settings, instance: DagsterInstance, reason: str, to: str | None = None
) -> tuple[str, str]:
    """Run the rollback job, which waits for the warehouse pool like every other step.

    Args:
        settings: Of the deployment.
        instance: Dagster's records.
        reason: One sentence for the record.
        to: The version to return to; None for the one before the champion.

    Returns:
        The current champion, and the one before.

    Raises:
        WarehouseMissing: If there is no warehouse.
        WarehouseLocked: If another process holds it; no run is started.
        NothingToRollBack: If there is nothing to return to; no run is started.
        ModelMissing or ModelDamaged: If the model of `to` cannot be loaded; no run is started.
        RunFailed: If the run fails.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        plan_rollback(connection, to)
    if to is not None:
        model_store(settings.models_dir).verify(to)
    refuse_held(settings.warehouse_path)
    result = execute(
        build_definitions(settings),
        ROLLBACK_JOB.name,
        instance,
        run_config={"ops": {"roll_back_champion": {"config": {"reason": reason, "to": to or ""}}}},
    )
    now, before = result.output_for_node("roll_back_champion")
    return now, before
