"""raw_users, raw_tracks and raw_listens, with a source that is a plain object."""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from dagster import AssetCheckEvaluation, AssetCheckSeverity, ExecuteInProcessResult

from moovitamix_assets.ingestion.landing import count_landed, read_landing
from moovitamix_assets_tests.checks.conftest import FIRST, LAST, good_records, person, session, track
from moovitamix_assets_tests.checks.house import House

SECOND = date(2026, 9, 2)


def metadata_of(result: ExecuteInProcessResult, day: date) -> dict[str, Any]:
    (event,) = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.partition == day.isoformat()
    ]
    return {name: value.value for name, value in event.metadata.items()}


def regenerated(result: ExecuteInProcessResult) -> AssetCheckEvaluation:
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.check_name == "source_not_regenerated"
    assert evaluation.severity == AssetCheckSeverity.WARN
    return evaluation


def landed_ids(house: House, endpoint: str, day: date) -> list[Any]:
    frame = read_landing(house.settings.landing_dir, endpoint, [day])
    return [json.loads(record)["id"] for record in frame["record"]]


def test_each_asset_asks_its_endpoint_once_for_the_whole_run(new_house: Callable[..., House]) -> None:
    house = new_house(good_records())

    assert house.execute(["raw_users", "raw_tracks", "raw_listens"], SECOND, LAST).success

    window = (datetime(2026, 9, 2), datetime(2026, 9, 4))
    assert sorted(house.source.asked) == [
        ("listen_history", *window),
        ("tracks", *window),
        ("users", *window),
    ]
    assert [count_landed(house.settings.landing_dir, "listen_history", day) for day in (SECOND, LAST)] == [
        6,
        6,
    ]


def test_the_first_partition_takes_all_that_is_older_or_undated(new_house: Callable[..., House]) -> None:
    records = [
        person(1, "0001-01-01T00:00:00"),
        person(2, "2026-08-31T23:59:59.999999"),
        person(3, "2026-09-01T00:00:00"),
        person(4, "never"),
        person(5, "2026-09-02T00:00:00"),
    ]
    house = new_house({"users": records})

    result = house.execute(["raw_users"], FIRST)

    assert house.source.asked == [("users", None, datetime(2026, 9, 2))]
    assert landed_ids(house, "users", FIRST) == [1, 2, 3, 4]
    metadata = metadata_of(result, FIRST)
    assert metadata["records"] == metadata["records_in_run"] == 4
    assert metadata["records_pending"] == 1
    assert metadata["records_received"] == 5


def test_each_record_lands_on_the_day_of_its_change(new_house: Callable[..., House]) -> None:
    records = [
        person(1, "2026-09-01T10:00:00", updated_at="2026-09-03T00:00:00"),
        person(2, "2026-09-02T23:59:59"),
    ]
    house = new_house({"users": records})

    house.execute(["raw_users"], FIRST, LAST)

    assert [landed_ids(house, "users", day) for day in (FIRST, SECOND, LAST)] == [[], [2], [1]]


def test_records_of_a_day_not_yet_over_are_counted_as_pending_and_land_later(
    new_house: Callable[..., House],
) -> None:
    house = new_house({"tracks": [track(1, "2026-09-02T10:00:00"), track(2, "2026-09-03T10:00:00")]})

    result = house.execute(["raw_tracks"], SECOND)
    assert metadata_of(result, SECOND)["records_pending"] == 1
    assert landed_ids(house, "tracks", SECOND) == [1]

    house.execute(["raw_tracks"], LAST)
    assert landed_ids(house, "tracks", LAST) == [2]


def test_undated_records_are_told_where_the_run_does_not_cover_their_partition(
    new_house: Callable[..., House], capfd: pytest.CaptureFixture[str]
) -> None:
    house = new_house({"users": [person(1, "never"), person(2, "2026-09-02T10:00:00")]})

    result = house.execute(["raw_users"], SECOND, log_level="WARNING")

    assert metadata_of(result, SECOND)["records_undated_left_out"] == 1
    assert "1 records of users have no readable time" in capfd.readouterr().err
    assert landed_ids(house, "users", SECOND) == [2]


def test_reading_a_day_again_lands_only_what_is_new(new_house: Callable[..., House]) -> None:
    house = new_house(good_records())
    house.execute(["raw_users"], FIRST, LAST)
    house.source.records["users"].append(person(99, "2026-09-02T11:00:00"))
    house.source.observed_at = datetime(2026, 9, 7, 1)

    result = house.execute(["raw_users"], SECOND, LAST)

    assert metadata_of(result, SECOND)["records_new_in_landing"] == 1
    assert 99 in landed_ids(house, "users", SECOND)
    assert count_landed(house.settings.landing_dir, "users", SECOND) == 3


def test_a_source_that_answers_nothing_marks_its_days_as_read(new_house: Callable[..., House]) -> None:
    house = new_house({})

    assert house.execute(["raw_listens", "listens"], FIRST, LAST).success

    assert house.query("SELECT count(*), sum(received) FROM partition_loads") == [(3, 0)]


# source_not_regenerated


def test_a_first_load_has_nothing_to_compare_with(new_house: Callable[..., House]) -> None:
    evaluation = regenerated(new_house(good_records()).execute(["raw_users"], FIRST, LAST))

    assert evaluation.passed
    assert "Nothing to compare" in evaluation.description
    assert evaluation.metadata["known_records_looked_for"].value == 0


@pytest.mark.parametrize(("gone", "passed"), [(0, True), (2, True), (3, False), (6, False)], ids=str)
def test_a_source_made_anew_is_noticed(house: House, gone: int, passed: bool) -> None:
    for user in house.source.records["users"][:gone]:
        user["id"] += 1000

    evaluation = regenerated(house.execute(["raw_users"], LAST))

    assert evaluation.passed == passed
    assert evaluation.description == f"{gone} of 6 known records are gone."
    assert evaluation.metadata["vanished"].value == gone


def test_sessions_made_anew_are_noticed(house: House) -> None:
    house.source.records["listen_history"] = [
        session(1, [1], f"2026-09-02T01:00:0{second}") for second in range(9)
    ]

    assert not regenerated(house.execute(["raw_listens"], LAST)).passed


@pytest.mark.parametrize("first", [FIRST, LAST])
def test_a_server_that_filters_cannot_tell_and_raises_no_alarm(house: House, first: date) -> None:
    house.source.filtered = True
    house.source.records["users"] = [person(500, "2026-09-03T08:00:00")]

    evaluation = regenerated(house.execute(["raw_users"], first, LAST))

    assert evaluation.passed
    assert "Nothing to compare" in evaluation.description


def test_records_made_anew_are_landed_beside_what_was_known(house: House) -> None:
    house.source.records["users"] = [person(500, "2026-09-03T08:00:00")]

    result = house.execute(["raw_users", "users"], LAST)

    assert result.success
    assert house.query("SELECT count(*) FROM dim_users") == [(7,)]
