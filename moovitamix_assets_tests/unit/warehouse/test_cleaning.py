import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from foundation.tables import table_ddl, to_arrow
from foundation.warehouse.cleaned_partitions import CleanedPartitions
from foundation.warehouse.rows import insert
from moovitamix_assets.warehouse.cleaning import clean
from moovitamix_assets.warehouse.schemas import PARTITION_LOADS, REJECTED_TABLES, SOURCE_TABLES, TABLES
from moovitamix_assets_tests.unit.warehouse.landed_records import (
    DAYS,
    FIRST,
    LOADED,
    OBSERVED,
    hours_later,
    landed,
    session,
    track,
    user,
)

TABLE_NAMES = ["users", "tracks", "listens"]
SECOND = pd.Timestamp("2026-09-02")


def cleaned(table: str, *records: Any, observed_at: Any = OBSERVED) -> CleanedPartitions:
    return clean(table, landed(records, observed_at), DAYS, LOADED)


def counts(result: CleanedPartitions, day: pd.Timestamp = SECOND) -> dict[str, int]:
    names = ["received", "accepted", "rejected", "duplicates", "superseded", "stored_rows"]
    line = result.loads[result.loads["changed_on"] == day].iloc[0]
    return {name: int(line[name]) for name in names if line[name]}


def stored(table: str, result: CleanedPartitions) -> tuple[Any, Any, Any]:
    """What reaches the tables: typed, in order."""
    return (
        to_arrow(SOURCE_TABLES[table], result.accepted),
        to_arrow(REJECTED_TABLES[table], result.rejected),
        to_arrow(PARTITION_LOADS, result.loads),
    )


# One record at a time


def test_a_bad_field_becomes_null_and_the_record_stays() -> None:
    result = cleaned(
        "users",
        user(1, email="not-an-email", gender=5, favorite_genres=None, created_at="2026-13-45T25:61:00"),
    )

    (row,) = result.accepted.to_dict("records")
    assert row["user_id"] == 1
    assert pd.isna([row["email"], row["gender"], row["favorite_genres"], row["created_at"]]).all()
    assert row["updated_at"] == pd.Timestamp("2026-09-02 10:00")
    assert counts(result) == {"received": 1, "accepted": 1, "stored_rows": 1}


@pytest.mark.parametrize("duration", ["99:99", "-1:00", "abc", "1:02:03", "00:00", None, 201])
def test_a_track_without_a_readable_duration_stays(duration: object) -> None:
    result = cleaned("tracks", track(1, duration=duration))

    assert result.accepted["duration_seconds"].isna().all()
    assert counts(result)["accepted"] == 1


def test_two_users_with_one_email_are_both_kept() -> None:
    result = cleaned("users", user(1, email="a@b.org"), user(2, email="a@b.org"))

    assert result.accepted["email"].tolist() == ["a@b.org"] * 2


@pytest.mark.parametrize(
    ("table", "record", "reason"),
    [
        ("users", user(None), "no usable id: null"),
        ("tracks", track("nine"), 'no usable id: "nine"'),
        ("listens", session(None, [1]), "no usable user_id: null"),
        ("listens", session(1, None), "not a single usable track in items: null"),
        ("listens", session(1, []), "not a single usable track in items: []"),
        (
            "listens",
            session(1, [1], created_at="never", updated_at="2026-09-02T10:00:00"),
            'no readable created_at: "never"',
        ),
    ],
)
def test_what_cannot_be_used_is_kept_whole_with_its_reason(
    table: str, record: dict[str, Any], reason: str
) -> None:
    result = cleaned(table, record)

    (row,) = result.rejected.to_dict("records")
    assert json.loads(row["record"]) == record
    assert row["reasons"] == [reason]
    assert row["changed_on"] == SECOND
    assert row["loaded_at"] == LOADED
    assert result.accepted.empty
    assert counts(result) == {"received": 1, "rejected": 1}


def test_a_record_without_any_time_belongs_to_the_first_partition() -> None:
    result = cleaned("users", user(1, created_at=None, updated_at="soon"))

    assert result.accepted["changed_on"].tolist() == [pd.Timestamp(FIRST)]


def test_a_session_becomes_a_row_per_track_at_its_place() -> None:
    result = cleaned("listens", session(1, [7, None, "8", 7], updated_at="2026-09-02T11:00:00"))

    assert result.accepted[["user_id", "track_id", "position"]].to_numpy().tolist() == [
        [1, 7, 1],
        [1, 8, 3],
        [1, 7, 4],
    ]
    assert set(result.accepted["listened_at"]) == {pd.Timestamp("2026-09-02 10:00")}
    assert set(result.accepted["session_updated_at"]) == {pd.Timestamp("2026-09-02 11:00")}
    assert counts(result) == {"received": 1, "accepted": 1, "stored_rows": 3}
    assert result.items_left_out == 1


def test_the_longest_session_is_stored_and_a_longer_one_kept_apart() -> None:
    result = cleaned("listens", session(1, [5] * 32767), session(2, [5] * 32768))

    assert result.accepted["position"].tolist() == list(range(1, 32768))
    assert result.rejected["reasons"].tolist() == [
        ["more than the 32767 items that a session can hold: 32768"]
    ]


def test_the_first_and_the_last_moment_of_the_calendar_are_stored() -> None:
    frame = landed([user(1, created_at="0001-01-01", updated_at="9999-12-31T23:59:59.999999")])
    result = clean("users", frame, [date(9999, 12, 31)], LOADED)

    table, _, loads = stored("users", result)
    assert table["created_at"].to_pylist() == [datetime(1, 1, 1)]
    assert table["updated_at"].to_pylist() == [datetime(9999, 12, 31, 23, 59, 59, 999999)]
    assert table["changed_on"].to_pylist() == loads["changed_on"].to_pylist() == [date(9999, 12, 31)]


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_no_record_at_all_still_leaves_a_line_per_partition(table: str) -> None:
    result = cleaned(table)

    assert result.accepted.empty
    assert result.rejected.empty
    assert [day.date() for day in result.loads["changed_on"]] == DAYS
    assert set(result.loads["table_name"]) == {table}
    assert counts(result) == {}
    for table_rows in stored(table, result)[:2]:
        assert table_rows.num_rows == 0


# Versions of one record


def test_equal_records_count_once_and_the_others_as_duplicates() -> None:
    result = cleaned("tracks", track(1), track(2), track(1), track(1))

    assert result.accepted["track_id"].tolist() == [1, 2]
    assert counts(result) == {"received": 4, "accepted": 2, "duplicates": 2, "stored_rows": 2}


def test_equal_records_that_are_unusable_count_once_as_rejected() -> None:
    result = cleaned("users", user(None), user(None))

    assert counts(result) == {"received": 2, "rejected": 1, "duplicates": 1}


@pytest.mark.parametrize("reverse", [False, True])
def test_the_latest_change_counts_even_if_an_earlier_one_was_observed_later(reverse: bool) -> None:
    versions = [
        (user(1, gender="late change", updated_at="2026-09-02T12:00:00"), hours_later(0)),
        (user(1, gender="zz", updated_at="2026-09-02T11:00:00"), hours_later(9)),
    ][:: -1 if reverse else 1]

    result = cleaned(
        "users", *(record for record, _ in versions), observed_at=[moment for _, moment in versions]
    )

    assert result.accepted["gender"].tolist() == ["late change"]
    assert counts(result) == {"received": 2, "accepted": 1, "superseded": 1, "stored_rows": 1}


@pytest.mark.parametrize("reverse", [False, True])
def test_of_one_change_time_the_latest_observation_counts(reverse: bool) -> None:
    versions = [
        (user(1, gender="a, seen last"), hours_later(3)),
        (user(1, gender="z, seen first"), hours_later(2)),
    ][:: -1 if reverse else 1]

    result = cleaned(
        "users", *(record for record, _ in versions), observed_at=[moment for _, moment in versions]
    )

    assert result.accepted["gender"].tolist() == ["a, seen last"]


@pytest.mark.parametrize("reverse", [False, True])
def test_of_one_observation_the_greatest_text_counts(reverse: bool) -> None:
    result = cleaned("users", *[user(1, gender="a"), user(1, gender="b")][:: -1 if reverse else 1])

    assert result.accepted["gender"].tolist() == ["b"]


def test_a_record_that_went_back_to_what_it_was_counts_as_observed_last() -> None:
    before, between = user(1, gender="a"), user(1, gender="b")

    result = cleaned(
        "users", before, between, before, observed_at=[hours_later(0), hours_later(1), hours_later(2)]
    )

    assert result.accepted["gender"].tolist() == ["a"]
    assert counts(result) == {
        "received": 3,
        "accepted": 1,
        "duplicates": 1,
        "superseded": 1,
        "stored_rows": 1,
    }


def test_an_id_counts_as_one_however_it_is_written() -> None:
    result = cleaned(
        "users", user(1), user("1"), user(1.0), observed_at=[hours_later(0), hours_later(1), hours_later(2)]
    )

    assert result.accepted["user_id"].tolist() == [1]
    assert counts(result)["superseded"] == 2


def test_a_rejected_newer_version_does_not_supersede_an_accepted_one() -> None:
    result = cleaned(
        "listens", session(1, [7]), session(1, [], updated_at="2026-09-02T12:00:00"), session(1, [8])
    )

    assert result.accepted["track_id"].tolist() == [8]
    assert counts(result) == {
        "received": 3,
        "accepted": 1,
        "rejected": 1,
        "superseded": 1,
        "stored_rows": 1,
    }


def test_an_unusable_session_is_superseded_by_a_newer_observation_of_it() -> None:
    frame = landed([session(1, None), session(1, [5])], [OBSERVED, hours_later(1)])
    result = clean("listens", frame, DAYS, LOADED)

    assert result.rejected.empty
    assert result.accepted["track_id"].to_list() == [5]
    assert counts(result) == {"received": 2, "accepted": 1, "superseded": 1, "stored_rows": 1}


def test_an_unusable_session_stays_rejected_beside_other_sessions_and_older_observations() -> None:
    others = [
        session(2, [5]),
        session(1, [5], "2026-09-02T11:00:00"),
        session(1, None, "2026-09-02T12:00:00"),
    ]
    frame = landed([*others, session(1, None)], hours_later(2))
    frame = pd.concat([frame, landed([session(1, [7])], OBSERVED)], ignore_index=True)
    result = clean("listens", frame, DAYS, LOADED)

    assert counts(result) == {"received": 5, "accepted": 3, "rejected": 2, "stored_rows": 3}


@pytest.mark.parametrize("record", [user(None), user(1, at="never")], ids=["no id", "no time"])
def test_a_withdrawn_record_counts_as_superseded(record: dict[str, Any]) -> None:
    frame = landed([record, user(2)]).assign(withdrawn=[True, False])
    result = clean("users", frame, DAYS, LOADED)

    assert result.rejected.empty
    assert result.accepted["user_id"].to_list() == [2]
    assert int(result.loads["superseded"].sum()) == 1


def test_a_session_that_shrank_leaves_no_row_of_its_older_version() -> None:
    result = cleaned("listens", session(1, [7, 8, 9]), session(1, [5], updated_at="2026-09-02T12:00:00"))

    assert result.accepted[["track_id", "position"]].to_numpy().tolist() == [[5, 1]]


def test_each_partition_keeps_a_version_of_its_own() -> None:
    result = cleaned("listens", session(1, [7]), session(1, [7, 8], updated_at="2026-09-03T12:00:00"))

    assert result.accepted["changed_on"].dt.day.tolist() == [2, 3, 3]
    assert counts(result)["accepted"] == counts(result, pd.Timestamp("2026-09-03"))["accepted"] == 1


def test_a_change_of_the_written_time_does_not_make_another_session() -> None:
    result = cleaned("listens", session(1, [7]), session(1, [8], created_at="2026-09-02T12:00:00+02:00"))

    assert counts(result)["accepted"] == 1


# Whatever the source sends

_ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.sampled_from([2**63, 2**63 - 1, -(2**63), 0])
    | st.floats(allow_nan=False)
    | st.just(float("nan"))
    | _ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
_IDS = st.sampled_from([1, 2, "1", 2.0, True, None, 2**63, 2**63 - 1, "x\ud800"])
_TIMES = st.sampled_from(
    [
        "2026-09-01T00:00:00",
        "2026-09-02T10:00:00.000001",
        "2026-09-02T12:00:00+02:00",
        "2026-09-03T23:59:59.999999",
        "0001-01-01T00:00:00",
        "0001-01-01",
        "1677-09-21",
        "9999-12-31T23:59:59.999999",
        "0001-01-01T00:00:00+14:00",
        "never",
        None,
    ]
)


def _record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional={name: known | _JUNK for name, known in fields.items()})


_PROFILE = {"created_at": _TIMES, "updated_at": _TIMES, "id": _IDS}
_RECORDS = {
    "users": _record(
        **_PROFILE, first_name=_ANY_TEXT, last_name=_ANY_TEXT, email=st.just("a@b.org"), gender=_ANY_TEXT,
        favorite_genres=st.lists(_ANY_TEXT, max_size=2),
    ),
    "tracks": _record(
        **_PROFILE, name=_ANY_TEXT, artist=_ANY_TEXT, songwriters=_ANY_TEXT, album=_ANY_TEXT,
        duration=st.sampled_from(["03:21", "00:00", "1:2:3"]), genres=_ANY_TEXT,
    ),
    "listens": _record(
        created_at=_TIMES, updated_at=_TIMES, user_id=_IDS, items=st.lists(_IDS | st.integers(1, 9), max_size=4)
    ),
}  # fmt: skip


@st.composite
def landed_of_any_kind(draw: st.DrawFn, table: str) -> pd.DataFrame:
    kinds = draw(st.lists(_RECORDS[table] | _JUNK, max_size=8))
    # Some are sent again, so that duplicates and versions are as usual as records.
    records = kinds + (draw(st.lists(st.sampled_from(kinds), max_size=3)) if kinds else [])
    hours = draw(st.lists(st.integers(0, 2), min_size=len(records), max_size=len(records)))
    return landed(records, [hours_later(hour) for hour in hours])


def partitions_of(frame: pd.DataFrame) -> list[date]:
    return sorted({*DAYS, *(day.date() for day in frame["changed_on"])})


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for schema in TABLES.values():
            connection.execute(table_ddl(schema))
        yield connection


_EXAMPLES = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_REASONS = {
    "not readable as JSON",
    "not an object",
    "no usable id",
    "no usable user_id",
    "no readable created_at",
    "not a single usable track in items",
    "more than the 32767 items that a session can hold",
}


@pytest.mark.parametrize("table", TABLE_NAMES)
@_EXAMPLES
@given(data=st.data())
def test_every_record_is_accounted_for_and_survives_the_database(
    table: str, tables: duckdb.DuckDBPyConnection, data: st.DataObject
) -> None:
    frame = data.draw(landed_of_any_kind(table))

    result = clean(table, frame, partitions_of(frame), LOADED)

    loads = result.loads
    assert [day.date() for day in loads["changed_on"]] == partitions_of(frame)
    assert loads["received"].sum() == len(frame)
    assert (
        loads["received"] == loads[["accepted", "rejected", "duplicates", "superseded"]].sum(axis=1)
    ).all()
    tables.execute("BEGIN")
    try:
        accepted_rows = insert(tables, SOURCE_TABLES[table], result.accepted)
        rejected_rows = insert(tables, REJECTED_TABLES[table], result.rejected)
        insert(tables, PARTITION_LOADS, result.loads)
        read_back = tables.execute(f"SELECT record, reasons FROM rejected_{table}").fetchall()
        keys = "(user_id, listened_at)" if table == "listens" else f"({table[:-1]}_id)"
        records = tables.execute(
            f"SELECT coalesce(sum(n), 0) FROM (SELECT count(DISTINCT {keys}) AS n FROM {table} GROUP BY changed_on)"
        ).fetchall()[0][0]
    finally:
        tables.execute("ROLLBACK")
    assert accepted_rows == loads["stored_rows"].sum()
    assert rejected_rows == loads["rejected"].sum()
    assert records == loads["accepted"].sum()
    originals = set(frame["record"])
    assert all(whole(record) in originals for record, _ in read_back)
    assert all(reasons for _, reasons in read_back)
    # Metadata counts reasons up to the colon, where a value of the record must never stand.
    assert {reason.split(":")[0] for _, reasons in read_back for reason in reasons} <= _REASONS


def whole(record: str) -> str:
    """A rejected record as it was received."""
    value = json.loads(record)
    return value if isinstance(value, str) else record


@pytest.mark.parametrize("table", TABLE_NAMES)
@_EXAMPLES
@given(data=st.data())
def test_the_order_in_which_records_come_means_nothing(table: str, data: st.DataObject) -> None:
    frame = data.draw(landed_of_any_kind(table))
    order = data.draw(st.permutations(range(len(frame))))

    straight = clean(table, frame, partitions_of(frame), LOADED)
    shuffled = clean(table, frame.iloc[list(order)], partitions_of(frame), LOADED)

    pd.testing.assert_frame_equal(straight.accepted, shuffled.accepted)
    pd.testing.assert_frame_equal(straight.rejected, shuffled.rejected)
    pd.testing.assert_frame_equal(straight.loads, shuffled.loads)


@_EXAMPLES
@given(
    versions=st.lists(
        st.tuples(
            st.integers(1, 2), st.integers(0, 30), st.integers(0, 2), st.sampled_from([[], [1], [2], [3, 4]])
        ),
        max_size=12,
    )
)
@example(versions=[(1, 0, 0, [1]), (1, 0, 1, []), (1, 20, 0, [2])])
def test_the_version_that_counts_is_the_one_the_rule_names(
    versions: list[tuple[int, int, int, list[int]]],
) -> None:
    created = datetime(2026, 9, 2)
    records = [
        session(
            user_id,
            items,
            at=created.isoformat(),
            updated_at=(created + timedelta(hours=changed)).isoformat(),
        )
        for user_id, changed, _, items in versions
    ]
    frame = landed(records, [hours_later(observed) for _, _, observed, _ in versions])

    result = clean("listens", frame, DAYS, LOADED)

    winners: dict[tuple[date, int], tuple[Any, ...]] = {}
    for row, (user_id, _, _, items) in zip(frame.itertuples(), versions, strict=True):
        key = (row.changed_on.date(), user_id)
        rank = (row.changed_at, row.observed_at, row.record, items)
        if items and (key not in winners or winners[key] < rank):
            winners[key] = rank
    played = result.accepted.groupby(["changed_on", "user_id"])["track_id"].apply(list)
    assert {(day.date(), user_id): items for (day, user_id), items in played.items()} == {
        key: rank[3] for key, rank in winners.items()
    }
