"""Whether a day was made in time: to the minute, by its own partition, and no day taken for another."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetMaterialization, DagsterInstance

from moovitamix_assets.operations.checks import check_freshness
from moovitamix_assets.operations.freshness import (
    WATCHED,
    expected_day,
    freshness_policy,
    has_just_begun,
    made_in_time,
    newest_listen,
)
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.warehouse.rows import add_session

SETTINGS = Settings(nightly_at="00:30", freshness_hours=3, newest_listen_hours=24)
DAY = date(2026, 9, 6)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 9, 7, 3, 29, 59), date(2026, 9, 5)),
        (datetime(2026, 9, 7, 3, 30), DAY),
        (datetime(2026, 9, 8, 3, 29), DAY),
    ],
)
def test_a_day_must_be_made_so_many_hours_after_its_nightly_run(moment: datetime, day: date) -> None:
    assert expected_day(moment, SETTINGS) == day


@pytest.mark.parametrize(
    ("made", "fresh", "newest"),
    [
        ({"2026-09-05", "2026-09-06"}, True, "2026-09-06"),
        ({"2026-09-06"}, True, "2026-09-06"),
        ({"2026-09-04", "2026-09-05"}, False, "2026-09-05"),
        # A later day does not hide that the expected one is missing, nor does an earlier one made again.
        ({"2026-09-05", "2026-09-07"}, False, "2026-09-07"),
        # What begins with a later day missed nothing.
        ({"2026-09-07", "2026-09-08"}, True, "2026-09-08"),
        (set(), False, "none"),
    ],
)
def test_the_partition_of_the_expected_day_counts_and_no_other(
    made: Collection[str], fresh: bool, newest: str
) -> None:
    found = made_in_time(made, DAY)
    assert (found.fresh, found.expected, found.newest) == (fresh, "2026-09-06", newest)


def test_a_first_load_that_is_young_excuses_nothing_made_and_nothing_else() -> None:
    assert made_in_time((), DAY, just_begun=True).fresh
    assert not made_in_time(("2026-09-05",), DAY, just_begun=True).fresh


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def test_the_first_load_is_young_for_as_long_as_a_day_may_take_and_later_loads_do_not_renew_it(
    warehouse: Path,
) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    with write_warehouse(warehouse) as connection:
        assert not has_just_begun(connection, SETTINGS)
        add_loads(connection, DAY, loaded_at=now - timedelta(hours=2, minutes=59))
        assert has_just_begun(connection, SETTINGS)
        add_loads(connection, DAY, loaded_at=now - timedelta(hours=3, minutes=1))
        assert not has_just_begun(connection, SETTINGS)


@pytest.mark.parametrize(
    ("began", "changed_on", "fresh"),
    [
        # The day ends with its midnight; a listen may be a day older than that.
        (datetime(2026, 9, 6, 0, 0), DAY, True),
        (datetime(2026, 9, 5, 23, 59, 59), DAY, False),
        (datetime(2026, 9, 6, 0, 0), DAY + timedelta(days=1), False),
    ],
)
def test_the_newest_listen_is_measured_from_the_end_of_the_day_as_known_on_it(
    warehouse: Path, began: datetime, changed_on: date, fresh: bool
) -> None:
    with write_warehouse(warehouse) as connection:
        add_session(connection, changed_on, 1, [10], began)
        found = newest_listen(connection, DAY, SETTINGS)
    assert (found.fresh, found.expected) == (fresh, "2026-09-06 00:00")


def test_the_partitions_of_a_week_are_looked_at(warehouse: Path) -> None:
    with write_warehouse(warehouse) as connection:
        assert newest_listen(connection, DAY, SETTINGS).newest == "none"
        add_session(connection, DAY - timedelta(days=8), 1, [10])
        assert newest_listen(connection, DAY, SETTINGS).newest == "none"
        add_session(connection, DAY - timedelta(days=7), 1, [10])
        assert newest_listen(connection, DAY, SETTINGS).newest == "2026-08-30 12:00"


def test_each_watched_asset_is_judged_by_its_own_partitions(tmp_path: Path) -> None:
    settings = SETTINGS.changed(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        add_session(connection, DAY, 1, [10])
    with DagsterInstance.ephemeral() as instance:
        for asset in WATCHED:
            for made in ("2026-09-05", "2026-09-07" if asset == "recommendations" else "2026-09-06"):
                instance.report_runless_asset_event(AssetMaterialization(asset, partition=made))
        found = check_freshness(instance, settings, datetime(2026, 9, 7, 3, 30))
    assert {key: each.fresh for key, each in found.items()} == {
        ("listens", "made_in_time"): True,
        ("listens", "newest_listen"): True,
        ("recommendations", "made_in_time"): False,
        ("recommendation_quality", "made_in_time"): True,
    }


def test_dagsters_own_policy_has_the_same_deadline() -> None:
    policy = freshness_policy(Settings(nightly_at="22:45", freshness_hours=2.5))
    assert policy.deadline_cron == "15 1 * * *"
    assert policy.lower_bound_delta == timedelta(hours=2.5)
    assert policy.timezone == "UTC"
