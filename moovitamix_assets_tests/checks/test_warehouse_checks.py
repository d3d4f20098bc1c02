from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from dagster import (
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    AssetSelection,
    MaterializeResult,
    asset,
)

from moovitamix_assets.partitions import DAILY, RANGE_IN_ONE_RUN
from moovitamix_assets.warehouse.checks import listens_checks, tracks_checks, users_checks
from moovitamix_assets_tests.checks.conftest import FIRST, LAST, TABLES, good_records, session, track, user
from moovitamix_assets_tests.checks.small_pipeline import SmallPipeline, dagster_records

ERROR, WARN = AssetCheckSeverity.ERROR, AssetCheckSeverity.WARN
BLOCKING = {"nothing_lost", "fits_schema", "rejected_share"}
WARNING = {
    "users": {"nulled_fields", "usual_volume", "updated_before_created", "repeated_emails"},
    "tracks": {"nulled_fields", "usual_volume", "updated_before_created"},
    "listens": {"nulled_fields", "usual_volume", "orphan_listens"},
}
FIRST_OF = "(SELECT min(rowid) FROM {0})"


def figures(evaluation: Any) -> dict[str, Any]:
    return {name: value.value for name, value in evaluation.metadata.items()}


def test_each_table_has_its_checks_and_only_what_loses_data_stops_a_run() -> None:
    for table, checks in zip(TABLES, (users_checks, tracks_checks, listens_checks), strict=True):
        specs = {spec.name: spec for spec in checks.check_specs}
        assert specs.keys() == BLOCKING | WARNING[table]
        assert {name for name, spec in specs.items() if spec.blocking} == BLOCKING
        assert all(spec.description and spec.description[0].isupper() for spec in specs.values())


def test_all_is_well_in_a_house_in_good_order(pipeline: SmallPipeline) -> None:
    result = pipeline.execute(AssetSelection.checks_for_assets(*TABLES), FIRST, LAST)

    evaluations = {
        (one.asset_key.to_user_string(), one.check_name): one for one in result.get_asset_check_evaluations()
    }
    assert evaluations.keys() == {(table, name) for table in TABLES for name in BLOCKING | WARNING[table]}
    assert [key for key, evaluation in evaluations.items() if not evaluation.passed] == []
    assert all(evaluation.description for evaluation in evaluations.values())


# nothing_lost


def one_row_of(table: str) -> str:
    return (
        f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table} WHERE changed_on = '2026-09-02')"
    )


@pytest.mark.parametrize(
    "statement",
    [
        one_row_of("users"),
        one_row_of("tracks"),
        one_row_of("listens"),
        "DELETE FROM listens WHERE user_id = 1 AND changed_on = '2026-09-02'",
        "DELETE FROM partition_loads WHERE changed_on = '2026-09-02'",
        "UPDATE partition_loads SET received = received + 1, duplicates = 1 WHERE changed_on = '2026-09-02'",
        "INSERT INTO rejected_users VALUES ('{}', ['x'], '2026-09-02', now()::TIMESTAMP)",
    ],
)
def test_one_row_deleted_by_hand_is_missed(pipeline: SmallPipeline, statement: str) -> None:
    table = next((table for table in TABLES if table in statement), "users")
    pipeline.damage(statement)

    evaluation = pipeline.check(table, "nothing_lost")

    assert not evaluation.passed
    assert evaluation.severity == ERROR
    assert f"1 days of {table} do not add up, the first 2026-09-02" in evaluation.description
    assert f"Materialize {table} for these days again" in evaluation.description
    assert figures(evaluation)["days"] == ["2026-09-02"]
    # The days of a run are judged by themselves.
    assert pipeline.check(table, "nothing_lost", FIRST).passed


def test_what_was_lost_comes_back_from_the_landing_files(pipeline: SmallPipeline) -> None:
    pipeline.damage(one_row_of("listens"))
    pipeline.source.records = {}

    assert pipeline.execute(["listens"], date(2026, 9, 2)).success

    assert pipeline.check("listens", "nothing_lost").passed
    assert pipeline.source.asked == []


def test_records_that_were_landed_and_not_loaded_are_missed(pipeline: SmallPipeline) -> None:
    pipeline.source.records["users"].append(user(99, "2026-09-02T09:00:00"))
    assert pipeline.execute(["raw_users"], date(2026, 9, 2)).success

    evaluation = pipeline.check("users", "nothing_lost")

    assert not evaluation.passed
    assert evaluation.severity == WARN
    assert "1 records of users were landed since" in evaluation.description
    assert figures(evaluation)["received"] == figures(evaluation)["accepted"] == 6
    assert pipeline.execute(["users"], date(2026, 9, 2)).success
    assert pipeline.check("users", "nothing_lost").passed


def test_a_landing_file_that_is_gone_is_missed(pipeline: SmallPipeline) -> None:
    (file,) = (pipeline.settings.landing_dir / "users" / "2026-09-02").glob("*.parquet")
    file.unlink()

    evaluation = pipeline.check("users", "nothing_lost")

    assert not evaluation.passed
    assert evaluation.severity == ERROR
    assert figures(evaluation)["days"] == ["2026-09-02"]


def test_a_partition_that_a_blocking_check_refuses_no_longer_counts_as_loaded(
    pipeline: SmallPipeline,
) -> None:
    def lines() -> int:
        return pipeline.query("SELECT count(*) FROM partition_loads WHERE table_name = 'users'")[0][0]

    before = lines()
    pipeline.damage(one_row_of("users"))
    assert not pipeline.check("users", "nothing_lost", date(2026, 9, 2)).passed
    assert lines() == before - 1

    assert pipeline.execute(["users"], date(2026, 9, 2)).success
    assert pipeline.check("users", "nothing_lost").passed
    assert lines() == before


def test_a_day_without_records_that_was_never_loaded_is_missed(
    new_house: Callable[..., SmallPipeline],
) -> None:
    pipeline = new_house({}, accept_empty_endpoints=True)
    pipeline.execute(["raw_users", "users"], FIRST, LAST)
    assert pipeline.check("users", "nothing_lost", FIRST, LAST).passed
    pipeline.damage("DELETE FROM partition_loads WHERE changed_on = '2026-09-02'")

    evaluation = pipeline.check("users", "nothing_lost", FIRST, LAST)

    assert not evaluation.passed
    assert "no row in partition_loads" in evaluation.description


def test_every_fate_of_a_record_is_counted(new_house: Callable[..., SmallPipeline]) -> None:
    records = [user(1), user(1), user(1, gender="Other"), user(None), user(None), user("x")]
    pipeline = new_house({"users": records})
    pipeline.execute(["raw_users", "users"], FIRST)

    evaluation = pipeline.check("users", "nothing_lost")

    assert evaluation.passed
    counted = {"received": 6, "accepted": 1, "rejected": 2, "duplicates": 2, "superseded": 1, "row_count": 1}
    assert figures(evaluation) == counted | {"landed_since": 0}


def test_with_nothing_loaded_at_all_every_check_passes(new_house: Callable[..., SmallPipeline]) -> None:
    pipeline = new_house({}, accept_empty_endpoints=True)
    assert pipeline.execute(["raw_users", "users", "raw_tracks", "tracks"], FIRST).success

    result = pipeline.execute(AssetSelection.checks_for_assets(*TABLES))

    assert len(result.get_asset_check_evaluations()) == 19
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())


# fits_schema


@pytest.mark.parametrize(
    ("table", "statement", "expected"),
    [
        ("users", "INSERT INTO users SELECT * FROM users WHERE user_id = 1", "1 rows of users repeat a key"),
        ("tracks", "INSERT INTO tracks SELECT * FROM tracks WHERE track_id = 1", "1 rows of tracks repeat a key"),
        ("listens", "UPDATE listens SET position = 1 WHERE position = 2", "18 rows of listens repeat a key"),
        ("listens", "UPDATE listens SET position = 0 WHERE position = 2", "on position"),
        ("tracks", "UPDATE tracks SET duration_seconds = 0 WHERE track_id = 1", "greater_than(0) on duration_seconds"),
        ("tracks", "ALTER TABLE tracks DROP COLUMN album", "on"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_the_schema_are_an_error(
    pipeline: SmallPipeline, table: str, statement: str, expected: str
) -> None:
    if statement.startswith("ALTER"):
        pipeline.damage("DROP VIEW dim_tracks")
    pipeline.damage(statement)

    evaluation = pipeline.check(table, "fits_schema")

    assert not evaluation.passed
    assert evaluation.severity == ERROR
    assert expected in evaluation.description


# rejected_share


def house_with_rejected(new_house: Callable[..., SmallPipeline], rejected: int, of: int) -> SmallPipeline:
    records = [user(None, gender=str(number)) for number in range(rejected)]
    records += [user(number) for number in range(1, of - rejected + 1)]
    return new_house({"users": records}, rejected_error_minimum=5)


@pytest.mark.parametrize(
    ("rejected", "of", "passed", "severity"),
    [
        (0, 10, True, None),
        (1, 200, True, None),
        (2, 200, False, WARN),
        (4, 8, False, WARN),
        (5, 51, False, WARN),
    ],
)
def test_a_share_rejected_warns(
    new_house: Callable[..., SmallPipeline],
    rejected: int,
    of: int,
    passed: bool,
    severity: AssetCheckSeverity | None,
) -> None:
    pipeline = house_with_rejected(new_house, rejected, of)
    pipeline.execute(["raw_users", "users"], FIRST)

    evaluation = pipeline.check("users", "rejected_share")

    assert evaluation.passed == passed
    assert severity in (None, evaluation.severity)
    assert figures(evaluation)["rejected"] == rejected
    assert figures(evaluation)["worst_share"] == rejected / of


@asset(partitions_def=DAILY, backfill_policy=RANGE_IN_ONE_RUN, deps=["users"])
def after_users() -> MaterializeResult[Any]:
    return MaterializeResult()


@pytest.mark.parametrize(("rejected", "stopped"), [(4, False), (5, True)])
def test_an_error_stops_what_comes_after_and_a_warning_does_not(
    new_house: Callable[..., SmallPipeline], rejected: int, stopped: bool
) -> None:
    pipeline = house_with_rejected(new_house, rejected, 50)

    result = pipeline.execute(["raw_users", "users", "after_users"], FIRST, more=[after_users])

    assert result.success is not stopped
    reached = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert reached == {"raw_users"} | (set() if stopped else {"users", "after_users"})
    # What was rejected is there to be read, whether the run was stopped or not.
    assert pipeline.query("SELECT count(*) FROM rejected_users") == [(rejected,)]
    assert pipeline.query("SELECT count(*) FROM partition_loads") == [(0 if stopped else 1,)]


def rejected_share_of(pipeline: SmallPipeline) -> Any:
    key = AssetCheckKey(AssetKey("users"), "rejected_share")
    (record,) = dagster_records().event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.event.dagster_event.asset_check_evaluation_data


def test_a_refused_partition_is_refused_again_and_loaded_once_the_source_is_well(
    new_house: Callable[..., SmallPipeline],
) -> None:
    pipeline = house_with_rejected(new_house, 5, 50)
    for _ in range(2):
        result = pipeline.execute(["raw_users", "users"], FIRST)
        assert not result.success
        refused = rejected_share_of(pipeline)
        assert not refused.passed
        assert refused.severity == ERROR
        assert "5 of 50 records of users were rejected: no usable id (5)" in refused.description
        assert pipeline.query("SELECT count(*) FROM users") == [(0,)]

    pipeline.source.records["users"] = [user(number) for number in range(1, 51)]
    pipeline.source.observed_at += timedelta(hours=1)
    assert pipeline.execute(
        [
            "raw_users",
            "users",
        ],
        FIRST,
    ).success
    assert pipeline.query("SELECT accepted, rejected, duplicates, superseded FROM partition_loads") == [
        (50, 0, 0, 5)
    ]
    assert pipeline.query("SELECT count(*) FROM rejected_users") == [(0,)]


def test_of_a_range_only_the_bad_days_are_refused_and_an_earlier_load_stays(
    new_house: Callable[..., SmallPipeline],
) -> None:
    # Days that no other test makes: Dagster's records are shared.
    second, third = date(2026, 9, 20), date(2026, 9, 21)
    well = [user(number, f"{second} 10:00:00") for number in range(1, 11)]
    bad = [user(None, f"{third} 10:00:00", gender=f"{number}") for number in range(5)]
    pipeline = new_house({"users": [*well, *bad]}, rejected_error_minimum=5)
    pipeline.source.observed_at = datetime(2026, 9, 22)

    result = pipeline.execute(["raw_users", "users"], second, third)

    assert not result.success
    assert pipeline.query("SELECT changed_on, accepted FROM partition_loads") == [(second, 10)]
    made = dagster_records().get_materialized_partitions(AssetKey("users"))
    assert f"{second}" in made
    assert f"{third}" not in made

    pipeline.source.records["users"] = [user(None, f"{second} 10:00:00", gender=f"{n}") for n in range(5)]
    pipeline.source.observed_at += timedelta(hours=1)
    assert not pipeline.execute(["raw_users", "users"], second).success
    assert pipeline.query("SELECT changed_on, accepted FROM partition_loads") == [(second, 10)]
    assert pipeline.query("SELECT count(*) FROM users") == [(10,)]
    assert pipeline.query("SELECT DISTINCT changed_on FROM rejected_users") == [(third,)]


# What only warns


@pytest.mark.parametrize(
    ("table", "name", "statements", "expected"),
    [
        ("users", "nulled_fields", ["UPDATE users SET email = NULL WHERE user_id < 3"], "NULL in users: email 2."),
        ("tracks", "nulled_fields", ["UPDATE tracks SET album = NULL WHERE track_id = 3"], "NULL in tracks: album 1."),
        (
            "listens", "nulled_fields",
            ["UPDATE listens SET session_updated_at = NULL WHERE user_id = 1"],
            "NULL in listens: session_updated_at 9.",
        ),
        (
            "users", "updated_before_created",
            ["UPDATE users SET created_at = updated_at + INTERVAL 1 HOUR"],
            "6 of 6 records of users were updated before they were created.",
        ),
        (
            "tracks", "updated_before_created",
            ["UPDATE tracks SET created_at = updated_at + INTERVAL 1 HOUR"],
            "9 of 9 records of tracks were updated before they were created.",
        ),
        (
            "users", "repeated_emails", ["UPDATE users SET email = 'a@b.org' WHERE user_id < 6"],
            "5 of 6 users have an email that others have too (1 email); all are kept.",
        ),
        (
            "listens", "orphan_listens",
            ["DELETE FROM users WHERE user_id = 1", "DELETE FROM tracks WHERE track_id < 3"],
            "9 listens of unknown users and 36 of unknown tracks, of 54, are kept until those arrive.",
        ),
    ],
)  # fmt: skip
def test_unusual_findings_warn_and_never_stops_a_run(
    pipeline: SmallPipeline, table: str, name: str, statements: list[str], expected: str
) -> None:
    pipeline.settings = pipeline.settings.changed(unusual_minimum=5)
    pipeline.damage(*statements)

    evaluation = pipeline.check(table, name)

    assert not evaluation.passed
    assert evaluation.severity == WARN
    assert evaluation.description == expected


MORE_USERS = """
    INSERT INTO users SELECT users.* REPLACE (user_id + 6 * number AS user_id, number::VARCHAR || email AS email,
        CASE WHEN number <= {early} THEN updated_at + INTERVAL 1 HOUR ELSE created_at END AS created_at)
    FROM users, range(1, 11) AS times(number)"""


MORE_LISTENS = """
    INSERT INTO listens SELECT listens.* REPLACE (listened_at + INTERVAL 1 MINUTE * number AS listened_at)
    FROM listens, range(1, 10) AS times(number)"""


def updated_early(tenths: int) -> list[str]:
    """Statements for 60 users, so many tenths of them updated before they were created."""
    return [MORE_USERS.format(early=tenths), "DELETE FROM users WHERE user_id <= 6"]


@pytest.mark.parametrize(
    ("table", "name", "statements", "passed", "expected"),
    [
        # The source's contract: a quarter of the records, or a third by chance.
        (
            "users", "updated_before_created", updated_early(3), True, {"records": 18, "of": 60, "share": 0.3},
        ),
        (
            "users", "updated_before_created", updated_early(5), True, {"records": 30, "of": 60, "share": 0.5},
        ),
        (
            "users", "updated_before_created", updated_early(6), False, {"records": 36, "of": 60, "share": 0.6},
        ),
        # Few records: chance.
        (
            "users", "updated_before_created", ["UPDATE users SET created_at = updated_at + INTERVAL 1 HOUR"],
            True, {"records": 6, "of": 6, "share": 1.0},
        ),
        (
            "users", "repeated_emails", ["UPDATE users SET email = 'a@b.org'"],
            True, {"emails": 1, "users": 6, "of": 6, "share": 1.0},
        ),
        (
            "users", "repeated_emails", [*updated_early(3), "UPDATE users SET email = NULL WHERE user_id > 50"],
            True, {"emails": 0, "users": 0, "of": 60, "share": 0.0},
        ),
        (
            "users", "repeated_emails", [*updated_early(3), "UPDATE users SET email = 'a@b.org' WHERE user_id > 40"],
            False, {"emails": 1, "users": 26, "of": 60, "share": 26 / 60},
        ),
        (
            "listens", "orphan_listens",
            ["UPDATE listens SET track_id = 99 WHERE track_id = 1 AND user_id = 1"],
            True, {"of_unknown_users": 0, "of_unknown_tracks": 3, "of": 54, "worst_share": 3 / 54},
        ),
        (
            "listens", "orphan_listens", ["DELETE FROM users WHERE user_id < 3"],
            True, {"of_unknown_users": 18, "of_unknown_tracks": 0, "of": 54, "worst_share": 18 / 54},
        ),
        (
            "listens", "orphan_listens", [MORE_LISTENS, "DELETE FROM users WHERE user_id = 1"],
            True, {"of_unknown_users": 90, "of_unknown_tracks": 0, "of": 540, "worst_share": 90 / 540},
        ),
        (
            "listens", "orphan_listens", [MORE_LISTENS, "DELETE FROM users WHERE user_id < 3"],
            False, {"of_unknown_users": 180, "of_unknown_tracks": 0, "of": 540, "worst_share": 180 / 540},
        ),
    ],
)  # fmt: skip
def test_the_usual_share_of_odd_records_passes_and_an_unusual_one_warns(
    pipeline: SmallPipeline,
    table: str,
    name: str,
    statements: list[str],
    passed: bool,
    expected: dict[str, Any],
) -> None:
    pipeline.damage(*statements)

    evaluation = pipeline.check(table, name)

    assert evaluation.passed == passed
    assert figures(evaluation) == expected


def weeks_of(table: str, usual: int, last: int) -> str:
    """A statement that makes four Wednesdays of `usual` records and a fifth of `last`."""
    return f"""
        INSERT INTO partition_loads BY NAME
        SELECT '{table}' AS table_name, DATE '2026-09-09' + (7 * week)::INTEGER AS changed_on, records AS received,
               records AS accepted, 0 AS rejected, 0 AS duplicates, 0 AS superseded, 0 AS stored_rows,
               TIMESTAMP '2026-09-01' AS loaded_at
        FROM (SELECT week, CASE WHEN week = 4 THEN {last} ELSE {usual} END AS records FROM range(5) AS weeks(week))"""


@pytest.mark.parametrize(
    ("table", "usual", "last", "passed"),
    [
        ("users", 100, 100, True),
        ("users", 100, 150, True),
        ("users", 100, 49, False),
        ("tracks", 100, 0, False),
        ("listens", 100, 201, False),
        # A small number halves and doubles by chance.
        ("users", 4, 1, True),
        ("users", 0, 1, True),
        ("users", 0, 50, False),
    ],
)
def test_a_day_far_from_its_weekdays_mean_is_told(
    pipeline: SmallPipeline, table: str, usual: int, last: int, passed: bool
) -> None:
    pipeline.damage("DELETE FROM partition_loads", weeks_of(table, usual, last))

    evaluation = pipeline.check(table, "usual_volume")

    assert evaluation.passed == passed
    assert passed or (evaluation.severity == WARN and "2026-10-07" in evaluation.description)


def test_the_volume_of_earlier_days_is_no_matter_of_a_later_run(pipeline: SmallPipeline) -> None:
    pipeline.damage(weeks_of("users", 100, 0))

    assert not pipeline.check("users", "usual_volume", date(2026, 10, 7)).passed
    assert pipeline.check("users", "usual_volume", date(2026, 9, 30)).passed


# By the run


def test_the_checks_run_with_the_tables_and_judge_the_days_of_the_run(pipeline: SmallPipeline) -> None:
    pipeline.damage("UPDATE users SET email = NULL WHERE changed_on = '2026-09-01'")

    result = pipeline.execute(["users"], LAST)

    assert result.success
    evaluations = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert evaluations.keys() == BLOCKING | WARNING["users"]
    assert evaluations["nulled_fields"].passed
    assert not pipeline.check("users", "nulled_fields").passed


def test_a_missing_warehouse_is_an_error_that_names_the_remedy(
    new_house: Callable[..., SmallPipeline],
) -> None:
    result = new_house({}).execute(AssetSelection.checks_for_assets("users"))

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "moovitamix run" in str(failure.step_failure_data.error.cause)


# Personal data


def test_no_name_and_no_address_leaves_its_table(
    new_house: Callable[..., SmallPipeline],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from moovitamix_assets_tests.checks.small_pipeline import dagster_records

    personal = ("Zebulon", "Quillfeather", "quillfeather")
    records = good_records()
    records["users"] += [
        user(None),
        user("Zebulon"),
        {"id": {"email": "zebulon@quillfeather.example"}},
        ["Zebulon Quillfeather"],
        "Zebulon: Quillfeather",
        user(7, email="not an address of Quillfeather", gender="\ud800"),
        user(None, gender="\ud800"),
        user(None, gender=float("nan")),
        user(8, created_at="Zebulon", updated_at="Quillfeather"),
    ]
    records["listen_history"] += [
        session("Zebulon", "Quillfeather", "2026-09-02T01:00:00"),
        session(1, ["Zebulon"], "Quillfeather", updated_at="2026-09-02T01:00:00"),
    ]
    pipeline = new_house(records, rejected_error_minimum=1)
    caplog.set_level("DEBUG")

    results = [
        pipeline.execute([*TABLES, *(f"raw_{table}" for table in TABLES)], FIRST, LAST, log_level="DEBUG"),
        pipeline.execute(AssetSelection.checks_for_assets(*TABLES), log_level="DEBUG"),
    ]
    pipeline.damage("ALTER TABLE rejected_users DROP COLUMN reasons")
    results.append(pipeline.execute(["users"], FIRST, log_level="DEBUG"))

    assert [result.success for result in results] == [False, False, False]
    written = capfd.readouterr()
    everything = [written.out, written.err, caplog.text]
    for result in results:
        everything += [str(record) for record in dagster_records().all_logs(result.run_id)]
    assert "rejected_share" in "".join(everything), "the log is looked at"
    assert [word for word in personal for text in everything if word in text] == []
    assert pipeline.query("SELECT count(*) FROM rejected_users WHERE record::VARCHAR LIKE '%Zebulon%'") != [
        (0,)
    ]


def test_the_sample_of_a_table_leaves_personal_columns_out(pipeline: SmallPipeline) -> None:
    result = pipeline.execute(["users"], FIRST, LAST)

    (event,) = {
        event.materialization.metadata["sample"].value for event in result.get_asset_materialization_events()
    }
    assert (
        event.splitlines()[0]
        == "| user_id | gender | favorite_genres | created_at | updated_at | changed_on |"
    )
    assert track(1)["name"] not in event


# What the UI plots


def test_each_partition_has_its_own_counts_and_the_totals_of_the_run_are_named_so(
    pipeline: SmallPipeline,
) -> None:
    result = pipeline.execute(list(TABLES), FIRST, LAST)

    counted: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in TABLES}
    for event in result.get_asset_materialization_events():
        made = event.materialization
        counted[made.asset_key.to_user_string()][str(made.partition)] = {
            name: value.value for name, value in made.metadata.items() if isinstance(value.value, int)
        }
    rows = {"users": 2, "tracks": 3, "listens": 18}
    records = {"users": 2, "tracks": 3, "listens": 6}
    for table, partitions in counted.items():
        assert partitions.keys() == {"2026-09-01", "2026-09-02", "2026-09-03"}
        for figures_of_day in partitions.values():
            assert figures_of_day == {
                "received": records[table],
                "accepted": records[table],
                "rejected": 0,
                "duplicates": 0,
                "superseded": 0,
                "dagster/partition_row_count": rows[table],
                "run_received": 3 * records[table],
                "run_rejected": 0,
                "run_items_left_out": 0,
                "run_rows_written": 3 * rows[table],
            }
