"""The checks of recommendations, executed by Dagster: each broken promise is counted, and stops what is downstream."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import duckdb
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    DagsterInstance,
    ExecuteInProcessResult,
    asset,
    materialize,
)

from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN, range_tags
from moovitamix_assets.recommendations.checks import recommendations_checks
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_session, add_tracks, add_users

BEFORE, DAY = date(2026, 9, 1), date(2026, 9, 2)
PLAYER, OTHER = 1, 2
SOUND = {"incomplete", "repeated", "unknown_users", "unknown_tracks", "seen_before", "scores_not_numbers"}

Spoil = Callable[[duckdb.DuckDBPyConnection], object]


@asset(partitions_def=DAILY, backfill_policy=RANGE_IN_ONE_RUN)
def recommendations() -> None:
    """Made before the run: only their checks matter here."""


@asset(partitions_def=DAILY, backfill_policy=RANGE_IN_ONE_RUN, deps=[recommendations])
def downstream() -> None:
    pass


def executed(
    tmp_path: Path,
    ranked: dict[int, Sequence[int]],
    spoil: Spoil = lambda connection: None,
    version: str = "2026-09-01-aaaaaaaa",
    days: tuple[date, date] = (DAY, DAY),
    **settings: object,
) -> ExecuteInProcessResult:
    """A run over recommendations as of DAY, of two users and five tracks, of which one user played the first."""
    deployment = Settings(**{"data_dir": tmp_path, "recommendations_per_user": 3} | settings)
    with write_warehouse(deployment.warehouse_path) as connection:
        add_users(connection, BEFORE, PLAYER, OTHER)
        add_tracks(connection, BEFORE, 10, 11, 12, 13, 14)
        add_session(connection, DAY, PLAYER, [10])
        for user, tracks in ranked.items():
            add_list(connection, DAY, user, tracks, version)
        spoil(connection)
    return materialize(
        [recommendations, downstream, recommendations_checks],
        instance=DagsterInstance.ephemeral(),
        tags=range_tags(*days),
        resources={"settings": deployment},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def evaluation(result: ExecuteInProcessResult, name: str) -> AssetCheckEvaluation:
    (found,) = (each for each in result.get_asset_check_evaluations() if each.check_name == name)
    return found


def faults(result: ExecuteInProcessResult) -> dict[str, int]:
    """What `everyone_served` counted, without what it found in order; what follows ran or did not, as it says."""
    found = evaluation(result, "everyone_served")
    counted = {name: value.value for name, value in found.metadata.items()}
    assert counted.keys() == SOUND
    ran = {event.step_key for event in result.all_events if event.is_step_success}
    assert found.passed == result.success == ("downstream" in ran) == (not any(counted.values()))
    return {name: count for name, count in counted.items() if count}


FULL = {PLAYER: [11, 12, 13], OTHER: [10, 11, 12]}


def test_full_lists_of_distinct_known_unplayed_tracks_pass(tmp_path: Path) -> None:
    result = executed(tmp_path, FULL)
    assert faults(result) == {}
    assert evaluation(result, "everyone_served").blocking
    assert evaluation(result, "everyone_served").description.startswith(f"As of {DAY}: incomplete 0")


@pytest.mark.parametrize(
    ("ranked", "counted"),
    [
        (FULL | {PLAYER: [10, 12, 13]}, {"seen_before": 1}),
        (FULL | {PLAYER: [11, 12]}, {"incomplete": 1}),
        ({OTHER: [10, 11, 12]}, {"incomplete": 1}),
        ({}, {"incomplete": 2}),
        (FULL | {OTHER: [10, 10, 11]}, {"repeated": 1}),
        (FULL | {OTHER: [10, 11, 99]}, {"unknown_tracks": 1}),
        (FULL | {3: [10, 11, 12]}, {"unknown_users": 3}),
    ],
)
def test_each_broken_promise_is_counted_and_stops_what_is_downstream(
    tmp_path: Path, ranked: dict[int, Sequence[int]], counted: dict[str, int]
) -> None:
    assert faults(executed(tmp_path, ranked)) == counted


def test_a_score_that_is_no_number_stops_what_is_downstream(tmp_path: Path) -> None:
    result = executed(
        tmp_path, FULL, lambda warehouse: warehouse.execute("UPDATE recommendations SET score = 'nan'")
    )
    assert faults(result) == {"scores_not_numbers": 6}


@pytest.mark.parametrize(("length", "tracks", "counted"), [(4, 4, {}), (5, 4, {}), (4, 3, {"incomplete": 1})])
def test_a_list_may_be_as_short_as_what_is_left_to_recommend(
    tmp_path: Path, length: int, tracks: int, counted: dict[str, int]
) -> None:
    ranked = {PLAYER: [11, 12, 13, 14][:tracks], OTHER: [10, 11, 12, 13, 14][:length]}
    assert faults(executed(tmp_path, ranked, recommendations_per_user=length)) == counted


def test_played_tracks_may_be_recommended_where_the_setting_says_so_and_lists_are_full_length_then(
    tmp_path: Path,
) -> None:
    seen = {"recommend_heard_tracks": True, "recommendations_per_user": 5}
    everything = [10, 11, 12, 13, 14]
    assert faults(executed(tmp_path / "full", {PLAYER: everything, OTHER: everything}, **seen)) == {}
    short = {PLAYER: everything[1:], OTHER: everything}
    assert faults(executed(tmp_path / "short", short, **seen)) == {"incomplete": 1}


def test_a_range_is_judged_by_its_last_day_and_on_what_was_known_then(tmp_path: Path) -> None:
    def later(connection: duckdb.DuckDBPyConnection) -> None:
        after = date(2026, 9, 3)
        add_users(connection, after, 3)
        add_session(connection, after, OTHER, [10])
        add_list(connection, after, OTHER, [10], "popularity")

    assert faults(executed(tmp_path, FULL, later, days=(BEFORE, DAY))) == {}


def test_lists_that_no_model_made_are_a_warning_and_stop_nothing(tmp_path: Path) -> None:
    def popular(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("UPDATE recommendations SET source = 'popular' WHERE user_id = 2")

    some = executed(tmp_path / "some", FULL, popular)
    assert evaluation(some, "made_by_a_model").passed
    assert evaluation(some, "made_by_a_model").metadata["by_model"].value == 1

    none = executed(
        tmp_path / "none",
        FULL,
        lambda warehouse: warehouse.execute("UPDATE recommendations SET source = 'popular'"),
    )
    found = evaluation(none, "made_by_a_model")
    assert (found.passed, found.severity, found.blocking) == (False, AssetCheckSeverity.WARN, False)
    assert faults(none) == {}
