"""Everything people should know of: failed runs, decisions, days that are missing, lists that have become worse.

Single problems are found in `operations/problems.py`; here they are put together with what only decisions know.
"""

from datetime import date, datetime, timedelta

from dagster import DagsterInstance

from foundation.warehouse.errors import WarehouseMissing
from moovitamix_assets.automation.evidence import read_evidence
from moovitamix_assets.automation.missed_partitions import read_made
from moovitamix_assets.automation.retraining import decide_retraining, degradation
from moovitamix_assets.automation.retraining_runs import asked_on, known_trainings
from moovitamix_assets.clock import due_day, last_ended_day
from moovitamix_assets.operations.alerts import Problem
from moovitamix_assets.operations.checks import look_at_freshness
from moovitamix_assets.operations.problems import decision_problems, run_problems
from moovitamix_assets.partitions import days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.future import find_future_days


def all_problems(instance: DagsterInstance, settings: Settings, moment: datetime) -> list[Problem]:
    """Look everywhere.

    Args:
        instance: Dagster's records.
        settings: Of the deployment.
        moment: Now, naive UTC.

    Raises:
        WarehouseLocked: If a run is writing.
    """
    problems = run_problems(instance, settings)
    try:
        problems += _future_days(settings, moment)
        problems += [*_lateness(instance, settings, moment), *_days_given_up(settings, moment)]
        with read_warehouse(settings.warehouse_path) as connection:
            problems += decision_problems(connection, settings)
            evidence = read_evidence(
                connection, known_trainings(instance), asked_on(instance), last_ended_day(moment)
            )
    except WarehouseMissing:
        # Nothing was loaded yet: that is a beginning, not an outage.
        return problems
    worse = degradation(evidence, settings) if evidence else None
    if evidence and worse:
        problems.append(
            Problem(
                key="degraded",
                title="The recommendations are no longer what they were",
                since=worse.since.isoformat(),
                details=worse.findings,
                done=decide_retraining(evidence, settings).reason,
                link=f"{settings.operations.ui_url}/assets/recommendation_quality",
            )
        )
    return problems


def _lateness(instance: DagsterInstance, settings: Settings, moment: datetime) -> list[Problem]:
    late = {
        f"{asset}/{name}": found
        for (asset, name), found in look_at_freshness(instance, settings, moment).items()
        if not found.fresh
    }
    if not late:
        return []
    return [
        Problem(
            key="freshness",
            title=f"{', '.join(sorted({name.partition('/')[0] for name in late}))}: not up to date",
            since=min(found.expected for found in late.values()),
            details=tuple(f"{name}: {found.finding}" for name, found in late.items()),
            done="missed days are filled by themselves; look at the runs and at the source if this stays.",
            link=f"{settings.operations.ui_url}/runs",
            explained_by=("run:nightly",),
        )
    ]


def _future_days(settings: Settings, moment: datetime) -> list[Problem]:
    """Days that count as made though they have not ended: nothing is read until they are forgotten."""
    found = find_future_days(settings, moment)
    if not found:
        return []
    return [
        Problem(
            key="future",
            title="Days that have not ended count as made",
            since=found.first.isoformat(),
            details=(found.finding,),
            done=f"no nightly run is started. {found.remedy}",
            link=f"{settings.operations.ui_url}/assets/listens",
        )
    ]


def _days_given_up(settings: Settings, moment: datetime) -> list[Problem]:
    """Days missed further back than the catch-up reaches."""
    last = due_day(moment, settings)
    loaded = read_made(settings).loaded
    bound = last - timedelta(days=settings.schedule.catch_up_days)
    missing: list[date] = []
    if loaded and min(loaded) < bound:
        missing = [day for day in days_between(min(loaded), bound) if day not in loaded]
    if not missing:
        return []
    return [
        Problem(
            key="missed",
            title=f"{len(missing)} days were missed that nothing fills by itself",
            since=missing[0].isoformat(),
            details=(
                f"{missing[0]} to {missing[-1]}: further back than catch_up_days = {settings.schedule.catch_up_days}",
            ),
            done=f"run `moovitamix run --from {missing[0]} --to {missing[-1]}`.",
            link=f"{settings.operations.ui_url}/assets/listens",
        )
    ]
