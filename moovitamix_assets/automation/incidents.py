"""All incidents that operators should know: failed runs, decisions, missed days, late data, degraded recommendations.

Those of runs and decisions are found in `operations/incidents.py`; here they are combined with those that need
the evidence or the plan of the nightly run.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dagster import DagsterInstance

from foundation.counting import counted
from foundation.operations.alerts import Incident
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from moovitamix_assets.automation.evidence import Evidence
from moovitamix_assets.automation.missed_partitions import read_stored_days
from moovitamix_assets.automation.retraining import decide_retraining, degradation
from moovitamix_assets.automation.retraining_runs import current_evidence
from moovitamix_assets.clock import due_day
from moovitamix_assets.operations.checks import check_freshness
from moovitamix_assets.operations.freshness import Freshness
from moovitamix_assets.operations.incidents import (
    FALLBACK_KEY,
    RUN_KEY,
    decision_incidents,
    run_incidents,
)
from moovitamix_assets.partitions import days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.future import FutureDays, find_future_days


@dataclass(frozen=True)
class Incidents:
    """The incidents found.

    Attributes:
        found: All of them.
        obstacle: Why only the incidents of runs could be checked; empty if all could.
    """

    found: tuple[Incident, ...]
    obstacle: str = ""

    def was_checked(self, key: str) -> bool:
        """Return whether the incident of a key could be checked."""
        return not self.obstacle or key.startswith(RUN_KEY)


def find_incidents(instance: DagsterInstance, settings: Settings, moment: datetime) -> Incidents:
    """Find every incident.

    While another process holds the warehouse, only Dagster's records are checked: whoever holds it for good makes runs
    fail, and that is reported.

    Args:
        instance: Dagster's records.
        settings: Of the deployment.
        moment: Now, naive UTC.
    """
    of_runs = run_incidents(instance, settings)
    try:
        return Incidents((*of_runs, *_data_incidents(instance, settings, moment)))
    except WarehouseLocked as error:
        return Incidents(tuple(of_runs), obstacle=str(error))


def _data_incidents(instance: DagsterInstance, settings: Settings, moment: datetime) -> list[Incident]:
    incidents: list[Incident] = []
    ui_url = settings.operations.ui_url
    try:
        future = find_future_days(settings, moment)
        incidents += [_future_days(future, ui_url)] if future else []
        incidents += _lateness(check_freshness(instance, settings, moment), ui_url)
        loaded = read_stored_days(settings.warehouse_path).loaded
        last = due_day(moment, settings.schedule)
        incidents += _days_given_up(loaded, last, settings.schedule.catch_up_days, ui_url)
        with read_warehouse(settings.warehouse_path) as connection:
            incidents += decision_incidents(connection, ui_url)
            evidence = current_evidence(connection, instance, settings, moment)
    except WarehouseMissing:
        # Nothing was loaded yet: a new deployment, not an outage.
        return incidents
    return incidents + (_degraded(evidence, settings) if evidence else [])


def _degraded(evidence: Evidence, settings: Settings) -> list[Incident]:
    found = degradation(evidence, settings.retraining, settings.monitoring)
    if not found:
        return []
    return [
        Incident(
            key="degraded",
            title="The quality of the recommendations has dropped",
            since=found.since.isoformat(),
            details=found.findings,
            done=decide_retraining(evidence, settings.retraining, settings.monitoring).reason,
            link=f"{settings.operations.ui_url}/assets/recommendation_quality",
            explained_by=(FALLBACK_KEY,),
        )
    ]


def _lateness(found: Mapping[tuple[str, str], Freshness], ui_url: str) -> list[Incident]:
    late = {f"{asset}/{name}": freshness for (asset, name), freshness in found.items() if not freshness.fresh}
    if not late:
        return []
    return [
        Incident(
            key="freshness",
            title=f"{', '.join(sorted({name.partition('/')[0] for name in late}))}: not up to date",
            since=min(freshness.expected for freshness in late.values()),
            details=tuple(f"{name}: {freshness.finding}" for name, freshness in late.items()),
            done="missed days are filled automatically; check the runs and the source if this stays.",
            link=f"{ui_url}/runs",
            explained_by=(f"{RUN_KEY}nightly",),
        )
    ]


def _future_days(found: FutureDays, ui_url: str) -> Incident:
    """Days that count as loaded although they have not ended: nothing is read until they are deleted."""
    return Incident(
        key="future",
        title="Days that have not ended count as loaded",
        since=found.first.isoformat(),
        details=(found.finding,),
        done=f"no nightly run is started. {found.remedy}",
        link=f"{ui_url}/assets/listens",
    )


def _days_given_up(loaded: Collection[date], last: date, catch_up_days: int, ui_url: str) -> list[Incident]:
    """Days missed further back than the catch-up reaches."""
    bound = last - timedelta(days=catch_up_days)
    missing: list[date] = []
    if loaded and min(loaded) < bound:
        missing = [day for day in days_between(min(loaded), bound) if day not in loaded]
    if not missing:
        return []
    return [
        Incident(
            key="missed",
            title=f"{counted(len(missing), 'day')} missed, not to be filled automatically",
            since=missing[0].isoformat(),
            details=(f"{missing[0]} to {missing[-1]}: further back than catch_up_days = {catch_up_days}",),
            done=f"run `moovitamix run --from {missing[0]} --to {missing[-1]}`.",
            link=f"{ui_url}/assets/listens",
        )
    ]
