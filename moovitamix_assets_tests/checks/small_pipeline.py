"""Landing and warehouse in one folder, filled from a source that is a plain object; no assertion belongs here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    DagsterInstance,
    ExecuteInProcessResult,
    materialize,
)

from foundation.json_records import canonical_json
from foundation.progress import NoProgress
from moovitamix_assets.ingestion.assets import raw_listens, raw_tracks, raw_users
from moovitamix_assets.ingestion.client.pull import Pull, PullStatistics, Sample
from moovitamix_assets.ingestion.client.records import Endpoint, Record, changed_at, identity
from moovitamix_assets.ingestion.landing import LandingIOManager
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.assets import listens, tracks, users
from moovitamix_assets.warehouse.checks import listens_checks, tracks_checks, users_checks
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.io_manager import WarehouseIOManager

ASSETS = (raw_users, raw_tracks, raw_listens, users, tracks, listens)
CHECKS = (users_checks, tracks_checks, listens_checks)


@dataclass
class PlainSource:
    """What the source client does, from lists of records.

    Attributes:
        records: By endpoint.
        filtered: Whether it acts like a server that sends only what changed in the window.
        source_time: What its own clock says, if anything.
        asked: The windows asked for.
        probed: The endpoints whose first page was asked for.
    """

    records: dict[str, list[Any]]
    filtered: bool = False
    observed_at: datetime = datetime(2026, 9, 6, 1)
    source_time: datetime | None = None
    asked: list[tuple[str, datetime | None, datetime]] = field(default_factory=list)
    probed: list[str] = field(default_factory=list)

    def pull(self, endpoint: Endpoint, since: datetime | None, before: datetime, on_page: Any = None) -> Pull:
        self.asked.append((endpoint, since, before))
        records = self.records.get(endpoint, [])
        changed = [(record, changed_at(record)) for record in records]
        undated = [record for record, moment in changed if moment is None]
        dated = [(record, moment) for record, moment in changed if moment is not None]
        within = [record for record, moment in dated if (since or moment) <= moment < before]
        kept = within if since else within + undated
        known = {key for key in (identity(endpoint, record) for record in records) if key is not None}
        return Pull(
            endpoint=endpoint,
            records=[
                Record(canonical_json(record), changed_at(record), identity(endpoint, record))
                for record in kept
            ],
            later=sum(moment >= before for _, moment in dated),
            earlier=sum(moment < since for _, moment in dated) if since else 0,
            undated_left_out=len(undated) if since else 0,
            identities=None if self.filtered and since else known,
            observed_at=self.observed_at,
            statistics=PullStatistics(1, 1, 0, {}, 1, 0.0, 0.0, 0.0, len(records), self.filtered),
            source_time=self.source_time,
        )

    def probe(self, endpoint: Endpoint) -> Sample:
        self.probed.append(endpoint)
        records = [
            Record(canonical_json(record), changed_at(record), identity(endpoint, record))
            for record in self.records.get(endpoint, [])[:100]
        ]
        return Sample(endpoint, len(records), records, self.source_time)


@cache
def dagster_records() -> DagsterInstance:
    """Shared: to make one takes longer than a test."""
    return DagsterInstance.ephemeral()


class SmallPipeline:
    """A data directory and its source."""

    def __init__(self, data_dir: Path, source: PlainSource, **settings: Any) -> None:
        self.settings = Settings(data_dir=data_dir, **settings)
        self.source = source

    def execute(
        self,
        selection: AssetSelection | Sequence[str],
        first: date | None = None,
        last: date | None = None,
        more: Sequence[AssetsDefinition] = (),
        log_level: str = "CRITICAL",
    ) -> ExecuteInProcessResult:
        """Run a selection over a range of partitions, or without any; a failure is in the result."""
        return materialize(
            [*ASSETS, *CHECKS, *more],
            selection=selection,
            instance=dagster_records(),
            raise_on_error=False,
            tags=range_tags(first, last or first) if first else {},
            run_config={"loggers": {"console": {"config": {"log_level": log_level}}}},
            resources={
                "settings": self.settings,
                "progress": NoProgress(),
                "source_api": self.source,
                "landing": LandingIOManager(
                    data_dir=str(self.settings.data_dir), start_date=self.settings.start_date.isoformat()
                ),
                "warehouse": WarehouseIOManager(database=str(self.settings.warehouse_path)),
            },
        )

    def check(
        self, table: str, name: str, first: date | None = None, last: date | None = None
    ) -> AssetCheckEvaluation:
        """Run one check by itself."""
        key = AssetCheckKey(AssetKey(table), name)
        (evaluation,) = self.execute(AssetSelection.checks(key), first, last).get_asset_check_evaluations()
        return evaluation

    def damage(self, *statements: str) -> None:
        """Change the warehouse by hand."""
        with duckdb.connect(str(self.settings.warehouse_path)) as connection:
            for statement in statements:
                connection.execute(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with read_warehouse(self.settings.warehouse_path) as connection:
            return connection.execute(statement).fetchall()
