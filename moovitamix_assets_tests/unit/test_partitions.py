from datetime import UTC, date, datetime, timedelta

import pytest
from dagster import PartitionKeyRange
from hypothesis import given
from hypothesis import strategies as st

from foundation.run_tags import PARTITION_TAG
from moovitamix_assets.partitions import (
    DAILY,
    NIGHTLY_FROM_TAG,
    OF_THE_DAY_BEFORE,
    day_start,
    days_between,
    days_to_make,
    partition_of,
    partitions_of_run,
    range_tags,
)
from moovitamix_assets.settings import Settings

FIRST = date(2026, 9, 1)


def test_partitions_are_the_days_in_utc_from_the_start_date() -> None:
    assert DAILY.start.date() == Settings().start_date
    keys = DAILY.get_partition_keys_in_range(PartitionKeyRange("2026-10-24", "2026-10-26"))
    # The nights on which clocks are set elsewhere are days like any other.
    assert keys == ["2026-10-24", "2026-10-25", "2026-10-26"]
    window = DAILY.time_window_for_partition_key("2026-10-25")
    assert window.start == datetime(2026, 10, 25, tzinfo=UTC)
    assert window.end - window.start == timedelta(days=1)


@given(st.dates(date(1, 1, 1), date(9999, 12, 30)), st.integers(0, 40))
def test_days_between_are_all_of_them_with_both_ends(first: date, length: int) -> None:
    last = min(date.max.toordinal(), first.toordinal() + length)
    days = days_between(first, date.fromordinal(last))
    assert [day.toordinal() for day in days] == list(range(first.toordinal(), last + 1))


def test_there_is_no_day_from_a_day_to_the_one_before() -> None:
    assert days_between(FIRST, FIRST - timedelta(days=1)) == []


@given(st.datetimes())
def test_a_record_belongs_to_the_day_of_its_change_and_nothing_is_older_than_the_first(
    moment: datetime,
) -> None:
    day = partition_of(moment, FIRST)
    assert day >= FIRST
    assert day == FIRST or day_start(day) <= moment
    assert day == date.max or moment < day_start(day + timedelta(days=1))


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (None, FIRST),
        (datetime(1, 1, 1), FIRST),
        (datetime(2026, 8, 31, 23, 59, 59, 999999), FIRST),
        (datetime(2026, 9, 1, 23, 59, 59, 999999), FIRST),
        (datetime(2026, 9, 2), date(2026, 9, 2)),
        (datetime.max, date.max),
    ],
)
def test_the_edges_of_partitions(moment: datetime | None, day: date) -> None:
    assert partition_of(moment, FIRST) == day


def test_a_run_tells_its_partitions_by_its_tags() -> None:
    last = date(2026, 9, 3)
    assert partitions_of_run(range_tags(FIRST, last)) == [FIRST, date(2026, 9, 2), last]
    assert partitions_of_run(range_tags(FIRST, FIRST)) == [FIRST]
    assert partitions_of_run({PARTITION_TAG: "2026-09-02", "other": "tag"}) == [date(2026, 9, 2)]
    assert partitions_of_run({"other": "tag"}) is None


def test_a_nightly_run_computes_its_days_from_the_first_that_is_not_only_read_again() -> None:
    days = days_between(FIRST, date(2026, 9, 4))
    assert days_to_make(days, {}) == days
    assert days_to_make(days, {NIGHTLY_FROM_TAG: "2026-09-03"}) == days[2:]


def test_a_day_looks_back_at_the_day_before_and_the_first_at_nothing() -> None:
    def looked_at(first: str, last: str) -> list[str]:
        asked = DAILY.subset_with_partition_keys(
            DAILY.get_partition_keys_in_range(PartitionKeyRange(first, last))
        )
        found = OF_THE_DAY_BEFORE.get_upstream_mapped_partitions_result_for_partitions(asked, DAILY, DAILY)
        return sorted(found.partitions_subset.get_partition_keys())

    assert looked_at("2026-09-03", "2026-09-03") == ["2026-09-02"]
    assert looked_at("2026-09-01", "2026-09-03") == ["2026-09-01", "2026-09-02"]
    assert looked_at("2026-09-01", "2026-09-01") == []
