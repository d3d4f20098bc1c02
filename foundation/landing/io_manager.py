"""The IO manager of landing: appends what a raw asset read, and reads it back for one partition or a range.

See https://docs.dagster.io/guides/build/io-managers.
"""

from abc import abstractmethod
from datetime import date
from pathlib import Path

import pandas as pd
from dagster import ConfigurableIOManager, InputContext, OutputContext

from foundation.landing.area import Landing
from foundation.landing.first_partition import record_first_partition
from foundation.landing.partitions import append_landing, named_days, read_landing


class RecordsOutsidePartition(ValueError):
    """Records that belong to no partition of the run; landing the rest would lose them."""


class LandingIOManager(ConfigurableIOManager):
    """Lands the frame of a raw asset by partition, and reads it back for one partition or a range.

    The asset names its endpoint in the metadata `endpoint`; its frame has `LANDING_SCHEMA`'s columns, a column
    `changed_on`, and only rows of the run's partitions. The product says which landing area a folder is.
    """

    data_dir: str
    start_date: str

    @abstractmethod
    def landing_at(self, folder: Path) -> Landing:
        """The product's landing area in a folder."""

    def handle_output(self, context: OutputContext, obj: pd.DataFrame) -> None:
        """Append one file per partition of the run."""
        landing = self._landing()
        endpoint = str((context.definition_metadata or {})["endpoint"])
        keys = list(context.asset_partition_keys)
        by_day = {f"{day:%Y-%m-%d}": records for day, records in obj.groupby("changed_on")}
        outside = sorted(by_day.keys() - set(keys))
        if outside:
            raise RecordsOutsidePartition(
                f"{sum(len(by_day[key]) for key in outside)} records of {endpoint} belong to {named_days(outside)}, "
                "which the run does not cover. Nothing was landed."
            )
        written = 0
        for key in keys:
            day_records = by_day.get(key, obj.iloc[:0])
            day_records.attrs = dict(obj.attrs)
            written += append_landing(landing, endpoint, date.fromisoformat(key), day_records)
        context.add_output_metadata(
            {"records_new_in_landing": written, "folder": str(landing.folder / endpoint)}
        )

    def load_input(self, context: InputContext) -> pd.DataFrame:
        """Every record landed for the partitions asked for."""
        upstream = context.upstream_output
        endpoint = str(((upstream and upstream.definition_metadata) or {})["endpoint"])
        days = [date.fromisoformat(key) for key in context.asset_partition_keys]
        return read_landing(self._landing(), endpoint, days)

    def _landing(self) -> Landing:
        """The landing area, once its first partition is known to be the configured one."""
        landing = self.landing_at(Path(self.data_dir) / "landing")
        record_first_partition(landing, date.fromisoformat(self.start_date))
        return landing
