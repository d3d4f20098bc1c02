"""A deployment that is operated automatically: tests play the daemon, one tick at a time, on a clock that they move.

Like the daemon, it remembers cursors, records the events of sensors, and starts no run key of one sensor or of the
schedule twice. No assertion belongs here.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import requests
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    EventRecordsFilter,
    ExecuteInProcessResult,
    GraphDefinition,
    RunRequest,
    ScheduleEvaluationContext,
    build_sensor_context,
)
from dagster._core.definitions.schedule_definition import ScheduleExecutionData
from dagster._core.definitions.sensor_definition import SensorExecutionData

from foundation.warehouse.rows import insert
from moovitamix_assets.automation.jobs import NIGHTLY_JOB
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import RECOMMENDATION_QUALITY
from moovitamix_assets_tests.integration.deployment import Deployment

_PRIORITY = "dagster/priority"


class _Planned(ScheduleEvaluationContext):
    """`build_schedule_context` takes no instance that is kept in memory."""

    def __init__(self, instance: DagsterInstance, moment: datetime, definitions: Definitions) -> None:
        super().__init__(None, moment, None, None, repository_def=definitions.get_repository_def())
        self._in_memory = instance

    @property
    def instance(self) -> DagsterInstance:
        return self._in_memory


class AutomatedDeployment(Deployment):
    """A deployment, and the looks that its schedule and its sensors take."""

    def __init__(
        self, data_dir: Path, source_url: str, instance: DagsterInstance | None = None, **settings: Any
    ) -> None:
        """Make nothing yet; the records of runs may be those of another deployment on the same directory."""
        super().__init__(
            data_dir, source_url, **{"clock_url": source_url, "catch_up_wait_minutes": 0} | settings
        )
        if instance is not None:
            self.instance = instance
        self.cursors: dict[str, str | None] = {}
        self._started: set[tuple[str, str | None]] = set()

    @cached_property
    def definitions(self) -> Definitions:
        return build_definitions(self.settings)

    def at(self, moment: str) -> None:
        """Move the clock: 2026-09-07T00:30."""
        answer = requests.post(f"{self.settings.clock_url}/_clock", json={"now": moment}, timeout=10)
        answer.raise_for_status()

    def tick(self, planned: str) -> ScheduleExecutionData:
        """The schedule's answer for a moment it planned."""
        moment = datetime.fromisoformat(planned).replace(tzinfo=UTC)
        schedule = self.definitions.resolve_schedule_def("nightly")
        return schedule.evaluate_tick(_Planned(self.instance, moment, self.definitions))

    def look(self, sensor: str) -> SensorExecutionData:
        """The sensor's answer; its cursor and its events are kept."""
        context = build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor),
            repository_def=self.definitions.get_repository_def(),
        )
        found = self.definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        self.cursors[sensor] = found.cursor
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        return found

    def start(self, asker: str, asked: Sequence[RunRequest]) -> list[ExecuteInProcessResult]:
        """Execute what was asked for, by priority; a key that the same asker used before is passed over."""
        new = [request for request in asked if (asker, request.run_key) not in self._started]
        self._started |= {(asker, request.run_key) for request in new}
        return [
            self.carry_out(each) for each in sorted(new, key=lambda each: -int(each.tags.get(_PRIORITY, 0)))
        ]

    def carry_out(self, request: RunRequest) -> ExecuteInProcessResult:
        """One run, as requested; a failure is in the result."""
        job = self.definitions.resolve_job_def(request.job_name or NIGHTLY_JOB.name)
        return job.execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, **request.run_config},
            instance=self.instance,
            tags=dict(request.tags),
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection) if request.asset_selection else None,
            raise_on_error=False,
        )

    def run_under_way(self, job_name: str, status: DagsterRunStatus = DagsterRunStatus.STARTED) -> None:
        """Let Dagster's records tell of a run that has not ended."""
        job = GraphDefinition(name=job_name).to_job(name=job_name)
        self.instance.create_run_for_job(job, status=status)

    def history(self, asset: str, *days: date) -> None:
        """Let Dagster's records tell that an asset's partitions were made."""
        for day in days:
            self.instance.report_runless_asset_event(AssetMaterialization(asset, partition=day.isoformat()))

    def made(self, asset: str) -> list[str]:
        """The partitions of an asset in the order in which they were made, as often as they were."""
        records = self.instance.get_event_records(
            EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION, asset_key=AssetKey(asset)),
            ascending=True,
        )
        return [str(record.partition_key) for record in records]

    def runs(self) -> Counter[str]:
        """How many runs there were of each job."""
        return Counter(run.job_name for run in self.instance.get_runs())

    def lists(self, day: date) -> list[tuple[Any, ...]]:
        """Every row of a day's recommendations."""
        return self.query("SELECT * FROM recommendations WHERE generated_for = ? ORDER BY ALL", day)

    def measured(
        self, version: str, ndcg_by_day: dict[date, float], popularity: float = 0.03, **others: object
    ) -> None:
        """Put down what a version's lists were worth, whatever they were; others are columns by name."""
        rows = pd.DataFrame({name: [0.1] * len(ndcg_by_day) for name in RECOMMENDATION_QUALITY.columns})
        rows = rows.assign(
            day=pd.to_datetime(list(ndcg_by_day)),
            model_version=version,
            role="champion",
            segment="all",
            users=60,
            ndcg_at_10=list(ndcg_by_day.values()),
            popularity_ndcg_at_10=popularity,
        ).assign(**others)
        with write_warehouse(self.settings.warehouse_path) as connection:
            insert(connection, RECOMMENDATION_QUALITY, rows)


def copy_of(original: Deployment, data_dir: Path, source_url: str, **settings: Any) -> AutomatedDeployment:
    """The same data in a directory of its own, with no runs recorded."""
    shutil.copytree(original.data_dir, data_dir)
    return AutomatedDeployment(data_dir, source_url, **settings)
