"""raw_users, raw_tracks and raw_listens, with a source that is a plain object."""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from dagster import AssetCheckEvaluation, AssetCheckSeverity, ExecuteInProcessResult

from foundation.landing.partitions import count_landed, read_landing
from foundation.operations.run_failures import failure_causes
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets_tests.checks.conftest import FIRST, LAST, good_records, session, track, user
from moovitamix_assets_tests.checks.small_pipeline import SmallPipeline
from moovitamix_assets_tests.integration import fingerprints

SECOND = date(2026, 9, 2)


def metadata_of(result: ExecuteInProcessResult, day: date) -> dict[str, Any]:
    (event,) = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.partition == day.isoformat()
    ]
    return {name: value.value for name, value in event.metadata.items()}


def checked(result: ExecuteInProcessResult) -> dict[str, AssetCheckEvaluation]:
    """The checks of the one raw asset that was executed."""
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def why(result: ExecuteInProcessResult) -> str:
    """Why a run failed, as the user reads it."""
    assert not result.success
    return "\n".join(failure_causes(result.all_events))


def landed_ids(pipeline: SmallPipeline, endpoint: str, day: date) -> list[Any]:
    frame = read_landing(landing_at(pipeline.settings.landing_dir), endpoint, [day])
    return [json.loads(record)["id"] for record in frame["record"]]


def test_each_asset_asks_its_endpoint_once_for_the_whole_run(new_house: Callable[..., SmallPipeline]) -> None:
    pipeline = new_house(good_records())

    assert pipeline.execute(["raw_users", "raw_tracks", "raw_listens"], SECOND, LAST).success

    window = (datetime(2026, 9, 2), datetime(2026, 9, 4))
    assert sorted(pipeline.source.asked) == [
        ("listen_history", *window),
        ("tracks", *window),
        ("users", *window),
    ]
    assert [
        count_landed(landing_at(pipeline.settings.landing_dir), "listen_history", day)
        for day in (SECOND, LAST)
    ] == [
        6,
        6,
    ]


def test_the_first_partition_takes_all_that_is_older_or_undated(
    new_house: Callable[..., SmallPipeline],
) -> None:
    records = [
        user(1, "0001-01-01T00:00:00"),
        user(2, "2026-08-31T23:59:59.999999"),
        user(3, "2026-09-01T00:00:00"),
        user(4, "never"),
        user(5, "2026-09-02T00:00:00"),
    ]
    pipeline = new_house({"users": records})

    result = pipeline.execute(["raw_users"], FIRST)

    assert pipeline.source.asked == [("users", None, datetime(2026, 9, 2))]
    assert landed_ids(pipeline, "users", FIRST) == [1, 2, 3, 4]
    metadata = metadata_of(result, FIRST)
    assert metadata["records"] == metadata["run_records"] == 4
    assert metadata["records_pending"] == 1
    assert metadata["records_received"] == 5


def test_each_record_lands_on_the_day_of_its_change(new_house: Callable[..., SmallPipeline]) -> None:
    records = [
        user(1, "2026-09-01T10:00:00", updated_at="2026-09-03T00:00:00"),
        user(2, "2026-09-02T23:59:59"),
    ]
    pipeline = new_house({"users": records})

    result = pipeline.execute(["raw_users"], FIRST, LAST)

    days = (FIRST, SECOND, LAST)
    assert [landed_ids(pipeline, "users", day) for day in days] == [[], [2], [1]]
    assert [metadata_of(result, day)["records"] for day in days] == [0, 1, 1]


def test_records_of_a_day_not_yet_over_are_counted_as_pending_and_land_later(
    new_house: Callable[..., SmallPipeline],
) -> None:
    pipeline = new_house({"tracks": [track(1, "2026-09-02T10:00:00"), track(2, "2026-09-03T10:00:00")]})

    result = pipeline.execute(["raw_tracks"], SECOND)
    assert metadata_of(result, SECOND)["records_pending"] == 1
    assert landed_ids(pipeline, "tracks", SECOND) == [1]

    pipeline.execute(["raw_tracks"], LAST)
    assert landed_ids(pipeline, "tracks", LAST) == [2]


def test_undated_records_are_told_where_the_run_does_not_cover_their_partition(
    new_house: Callable[..., SmallPipeline], capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline = new_house({"users": [user(1, "never"), user(2, "2026-09-02T10:00:00")]})

    result = pipeline.execute(["raw_users"], SECOND, log_level="WARNING")

    assert metadata_of(result, SECOND)["records_undated_left_out"] == 1
    assert "1 records of users have no readable time" in capfd.readouterr().err
    assert landed_ids(pipeline, "users", SECOND) == [2]


def test_reading_a_day_again_lands_only_what_is_new(new_house: Callable[..., SmallPipeline]) -> None:
    pipeline = new_house(good_records())
    pipeline.execute(["raw_users"], FIRST, LAST)
    pipeline.source.records["users"].append(user(99, "2026-09-02T11:00:00"))
    pipeline.source.observed_at = datetime(2026, 9, 7, 1)

    result = pipeline.execute(["raw_users"], SECOND, LAST)

    assert metadata_of(result, SECOND)["records_new_in_landing"] == 1
    assert 99 in landed_ids(pipeline, "users", SECOND)
    assert count_landed(landing_at(pipeline.settings.landing_dir), "users", SECOND) == 3


# source_plausible


def test_an_endpoint_that_gives_nothing_is_refused_unless_that_is_allowed(
    new_house: Callable[..., SmallPipeline],
) -> None:
    pipeline = new_house({})
    message = why(pipeline.execute(["raw_listens", "listens"], FIRST, LAST))
    assert "listen_history: the source holds no record at all" in message
    assert "MOOVITAMIX_ACCEPT_EMPTY_ENDPOINTS" in message
    assert not pipeline.settings.data_dir.exists()

    open_today = new_house({}, accept_empty_endpoints=True)
    assert open_today.execute(["raw_listens", "listens"], FIRST, LAST).success
    assert open_today.query("SELECT count(*), sum(received) FROM partition_loads") == [(3, 0)]


def test_a_filtered_answer_may_be_empty_where_the_source_is_not(pipeline: SmallPipeline) -> None:
    pipeline.source.filtered = True
    assert pipeline.execute(["raw_users"], date(2026, 9, 4)).success
    assert pipeline.source.probed == ["users"]
    pipeline.source.records["users"] = []
    assert "the source holds no record at all" in why(pipeline.execute(["raw_users"], date(2026, 9, 4)))


def dated(undated: int, of: int = 200) -> dict[str, list[Any]]:
    """So many users without a readable time, spread evenly, of so many."""
    spread = {number * of // undated for number in range(undated)} if undated else set()
    return {
        "users": [
            user(number, "1767225600" if number in spread else "2026-09-02T08:00:00") for number in range(of)
        ]
    }


@pytest.mark.parametrize(
    ("undated", "passed", "severity"),
    [(1, True, "ERROR"), (2, False, "WARN"), (19, False, "WARN"), (20, False, "ERROR"), (99, False, "ERROR")],
)
def test_undated_records_warn_then_block(
    undated: int, passed: bool, severity: str, new_house: Callable[..., SmallPipeline]
) -> None:
    pipeline = new_house(dated(undated))
    result = pipeline.execute(["raw_users", "users"], FIRST, LAST)
    evaluation = checked(result)["source_plausible"]
    assert (evaluation.passed, evaluation.severity.value) == (passed, severity)
    assert f"{undated} of 200 records received" in (evaluation.description or "")
    assert result.success == (undated < 20)
    assert count_landed(landing_at(pipeline.settings.landing_dir), "users", FIRST) == undated
    if undated >= 20:
        assert f"raw_users/source_plausible: users: {undated} of 200" in why(result)
        assert not pipeline.settings.warehouse_path.exists()
        assert new_house(dated(undated), undated_blocking_share=0.6).execute(["users"], FIRST, LAST).success


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("first", [FIRST, SECOND])
def test_mostly_undated_records_are_not_even_landed(
    filtered: bool, first: date, new_house: Callable[..., SmallPipeline]
) -> None:
    pipeline = new_house(dated(100), filtered=filtered)
    message = why(pipeline.execute(["raw_users", "users"], first, LAST))
    assert "have no readable created_at or updated_at (50.0%)" in message
    assert "MOOVITAMIX_UNDATED_ERROR_SHARE = 0.5" in message
    assert not pipeline.settings.data_dir.exists()
    raised = new_house(dated(100), filtered, undated_error_share=1.1, undated_blocking_share=1.1)
    assert raised.execute(["raw_users", "users"], first, LAST).success


def test_the_calm_day_of_a_server_that_sends_its_undated_records_with_every_answer(
    new_house: Callable[..., SmallPipeline],
) -> None:
    records = dated(0)["users"] + [user(1000 + number, "never") for number in range(30)]
    pipeline = new_house({"users": records}, filtered=True)
    assert pipeline.execute(["raw_users"], date(2026, 9, 4)).success


# source_not_regenerated


def test_a_first_load_has_nothing_to_compare_with(new_house: Callable[..., SmallPipeline]) -> None:
    evaluation = checked(new_house(good_records()).execute(["raw_users"], FIRST, LAST))[
        "source_not_regenerated"
    ]
    assert evaluation.passed
    assert "Nothing to compare" in (evaluation.description or "")
    assert evaluation.metadata["records_checked"].value == 0


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_known_records_that_are_gone_block_before_most_are(pipeline: SmallPipeline, gone: int) -> None:
    for record in pipeline.source.records["users"][:gone]:
        record["id"] += 1000

    result = pipeline.execute(["raw_users"], LAST)

    evaluation = checked(result)["source_not_regenerated"]
    assert evaluation.passed == result.success == (gone < 2)
    assert evaluation.severity is AssetCheckSeverity.ERROR
    assert f"{gone} of 6 known records are gone" in (evaluation.description or "")
    assert evaluation.metadata["records_wrong"].value == gone


@pytest.mark.parametrize("gone", [3, 6])
def test_a_regenerated_source_is_not_landed(pipeline: SmallPipeline, gone: int) -> None:
    before = fingerprints.everything(pipeline.settings.data_dir)
    for record in pipeline.source.records["users"][:gone]:
        record["id"] += 1000

    message = why(pipeline.execute(["raw_users", "users"], LAST))

    assert f"users: {gone} of 6 known records are gone" in message
    assert "MOOVITAMIX_DATA_DIR" in message
    assert "moovitamix reset" in message
    assert fingerprints.everything(pipeline.settings.data_dir) == before


def test_regenerated_sessions_are_not_landed(pipeline: SmallPipeline) -> None:
    pipeline.source.records["listen_history"] = [
        session(1, [1], f"2026-09-02T01:00:0{second}") for second in range(9)
    ]

    assert "was regenerated" in why(pipeline.execute(["raw_listens"], LAST))


def some_users(first_id: int, number: int = 40) -> list[dict[str, Any]]:
    return [user(first_id + each, f"2026-09-0{1 + each % 3}T08:00:{each:02d}") for each in range(number)]


def test_the_first_page_of_a_server_that_filters_tells_whether_it_was_regenerated(
    new_house: Callable[..., SmallPipeline],
) -> None:
    pipeline = new_house({"users": some_users(100)}, filtered=True)
    assert pipeline.execute(["raw_users"], FIRST, LAST).success
    before = fingerprints.landing(pipeline.settings.data_dir)
    the_next_day = date(2026, 9, 4)
    assert pipeline.execute(["raw_users"], the_next_day).success

    pipeline.source.records["users"] = some_users(500)
    for days in ((the_next_day, the_next_day), (LAST, the_next_day), (FIRST, LAST)):
        message = why(pipeline.execute(["raw_users"], *days))
        assert "records on its first page, of days read before, are unknown (100%)" in message
        assert "moovitamix reset" in message
    assert fingerprints.landing(pipeline.settings.data_dir) == before | {
        "landing/users/2026-09-04": fingerprints.landing(pipeline.settings.data_dir)[
            "landing/users/2026-09-04"
        ]
    }


@pytest.mark.parametrize(
    ("unknown", "passed"),
    [(7, True), (8, False), (19, False)],
)
def test_a_filtering_server_with_some_unknown_records_blocks(
    unknown: int, passed: bool, new_house: Callable[..., SmallPipeline]
) -> None:
    pipeline = new_house({"users": some_users(100)}, filtered=True)
    assert pipeline.execute(["raw_users"], FIRST, LAST).success
    pipeline.source.records["users"] = some_users(100)[unknown:] + some_users(500)[:unknown]
    result = pipeline.execute(["raw_users"], date(2026, 9, 4))
    assert result.success == checked(result)["source_not_regenerated"].passed == passed


def test_too_few_records_on_the_first_page_say_nothing(new_house: Callable[..., SmallPipeline]) -> None:
    pipeline = new_house({"users": some_users(100, 19)}, filtered=True)
    assert pipeline.execute(["raw_users"], FIRST, LAST).success
    pipeline.source.records["users"] = some_users(500, 19)
    assert pipeline.execute(["raw_users"], date(2026, 9, 4)).success


def test_records_of_days_being_read_need_not_be_known(new_house: Callable[..., SmallPipeline]) -> None:
    pipeline = new_house({"users": some_users(100)[::3]}, filtered=True)
    assert pipeline.execute(["raw_users"], FIRST, LAST).success
    pipeline.source.records["users"] = some_users(100)[::3] + some_users(100)[1::3] + some_users(100)[2::3]
    assert pipeline.execute(["raw_users"], SECOND, LAST).success


# Days that have not ended


@pytest.mark.parametrize(
    ("source_time", "refused"),
    [
        (None, False),
        (datetime(2026, 9, 4), False),
        (datetime(2026, 9, 3, 23, 50), False),
        (datetime(2026, 9, 3, 23, 49, 59), True),
        (datetime(2026, 8, 3), True),
    ],
)
def test_a_day_that_has_not_ended_by_the_clock_of_the_source_is_not_read(
    source_time: datetime | None, refused: bool, new_house: Callable[..., SmallPipeline]
) -> None:
    pipeline = new_house(good_records())
    pipeline.source.source_time = source_time
    result = pipeline.execute(["raw_users"], FIRST, LAST)
    assert result.success != refused
    if source_time and refused:
        message = why(result)
        assert "2026-09-03 has not ended" in message
        assert f"{source_time:%Y-%m-%d %H:%M} by the source's" in message
        assert "by the machine's clock" in message
        assert not pipeline.settings.data_dir.exists()


def test_a_day_that_has_not_ended_by_the_clock_of_the_machine_is_not_asked_for(
    new_house: Callable[..., SmallPipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = new_house(good_records())
    monkeypatch.setattr(
        "moovitamix_assets.ingestion.assets.now", lambda settings: datetime(2026, 9, 3, 23, 59)
    )
    assert "2026-09-03 has not ended" in why(pipeline.execute(["raw_users"], FIRST, LAST))
    assert not pipeline.source.asked


def test_landing_read_before_the_end_of_its_day_does_not_make_the_day(
    new_house: Callable[..., SmallPipeline],
) -> None:
    pipeline = new_house(good_records())
    pipeline.source.observed_at = datetime(2026, 9, 3, 12)
    assert pipeline.execute(["raw_users"], FIRST, LAST).success
    assert "users was read for 2026-09-03 only before" in why(pipeline.execute(["users"], FIRST, LAST))
    assert pipeline.execute(["users"], FIRST, SECOND).success
    pipeline.source.observed_at = datetime(2026, 9, 4, 0, 30)
    pipeline.source.records["users"].append(user(99, "2026-09-03T23:00:00"))
    assert pipeline.execute(["raw_users"], LAST).success
    assert pipeline.execute(["users"], LAST).success
