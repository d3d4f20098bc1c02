import json
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dagster import (
    DagsterInstance,
    DailyPartitionsDefinition,
    PartitionKeyRange,
    build_input_context,
    build_output_context,
)

from foundation.landing.area import Landing
from foundation.landing.files import (
    landing_files,
)
from foundation.landing.first_partition import StartDateMoved
from foundation.landing.io_manager import LandingIOManager, RecordsOutsidePartition
from foundation.landing.partitions import (
    NotLanded,
    count_landed,
)
from foundation_tests.unit.landing.areas import DAY, NEXT_DAY, landing_at, observed, user

DAILY = DailyPartitionsDefinition(start_date="2026-09-01")


@cache
def dagster_records() -> DagsterInstance:
    """Shared: to make one takes longer than a test."""
    return DagsterInstance.ephemeral()


class FilmLandingIOManager(LandingIOManager):
    def landing_at(self, folder: Path) -> Landing:
        return landing_at(folder)


def manager_of(data_dir: Path, start_date: str = "2026-09-01") -> LandingIOManager:
    return FilmLandingIOManager(data_dir=str(data_dir), start_date=start_date)


def land(data_dir: Path, frame: pd.DataFrame, first: date, last: date, start_date: str = "2026-09-01") -> Any:
    context = build_output_context(
        asset_key="raw_users",
        definition_metadata={"endpoint": "users"},
        asset_partition_key_range=PartitionKeyRange(first.isoformat(), last.isoformat()),
        asset_partitions_def=DAILY,
        instance=dagster_records(),
    )
    manager_of(data_dir, start_date).handle_output(context, frame)
    return context.get_logged_metadata()


def load(data_dir: Path, first: date, last: date, start_date: str = "2026-09-01") -> pd.DataFrame:
    upstream = build_output_context(
        asset_key="raw_users", definition_metadata={"endpoint": "users"}, instance=dagster_records()
    )
    with build_input_context(
        asset_key="raw_users",
        upstream_output=upstream,
        asset_partition_key_range=PartitionKeyRange(first.isoformat(), last.isoformat()),
        asset_partitions_def=DAILY,
        instance=dagster_records(),
    ) as context:
        return manager_of(data_dir, start_date).load_input(context)


def dated(records: Sequence[Any], days: Sequence[date]) -> pd.DataFrame:
    frame = observed(records)
    run_id = frame.attrs["run_id"]
    frame = frame.assign(changed_on=pd.Series([pd.Timestamp(day) for day in days], dtype="datetime64[s]"))
    frame.attrs["run_id"] = run_id
    return frame


def test_a_range_lands_a_file_for_each_of_its_partitions(tmp_path: Path) -> None:
    last = date(2026, 9, 4)

    metadata = land(tmp_path, dated([user(1), user(2), user(3)], [DAY, last, DAY]), DAY, last)

    assert metadata["records_new_in_landing"].value == 3
    assert [
        count_landed(landing_at(tmp_path / "landing"), "users", day) for day in (DAY, NEXT_DAY, last)
    ] == [2, 0, 1]
    frame = load(tmp_path, DAY, last)
    assert sorted(json.loads(record)["id"] for record in frame["record"]) == [1, 2, 3]
    assert load(tmp_path, NEXT_DAY, NEXT_DAY).empty


def test_no_record_at_all_still_marks_each_partition_as_read(tmp_path: Path) -> None:
    land(tmp_path, dated([], []), DAY, NEXT_DAY)

    assert load(tmp_path, DAY, NEXT_DAY).empty
    with pytest.raises(NotLanded):
        load(tmp_path, DAY, date(2026, 9, 4))


def test_records_of_other_partitions_are_refused_rather_than_lost(tmp_path: Path) -> None:
    with pytest.raises(
        RecordsOutsidePartition, match=r"^1 records of users belong to 2026-09-03, .* Nothing"
    ):
        land(tmp_path, dated([user(1), user(2)], [DAY, NEXT_DAY]), DAY, DAY)

    assert landing_files(tmp_path / "landing", "users", DAY) == []


def test_a_start_that_moved_is_refused_before_anything_is_landed_or_read(tmp_path: Path) -> None:
    land(tmp_path, dated([user(1)], [DAY]), DAY, DAY)

    with pytest.raises(StartDateMoved):
        land(tmp_path, dated([user(2)], [DAY]), DAY, DAY, start_date="2026-09-02")
    with pytest.raises(StartDateMoved):
        load(tmp_path, DAY, DAY, start_date="2026-09-02")
    assert count_landed(landing_at(tmp_path / "landing"), "users", DAY) == 1
