import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.json_records import canonical_json, parse_timestamp, storable_json, text, texts, whole_number

any_text = st.text(st.characters(exclude_categories=()))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (-7, -7),
        ("7", 7),
        (" 007 ", 7),
        (7.0, 7),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, None),
        (-(2**63) - 1, None),
        (str(2**63), None),
        (1e19, None),
        (7.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (False, None),
        ("7.0", None),
        ("", None),
        ("٧", None),
        ("9" * 5000, None),
        (None, None),
        ([7], None),
        ({}, None),
    ],
)
def test_a_whole_number_is_read_however_it_is_written(value: object, number: int | None) -> None:
    assert whole_number(value) == number
    assert whole_number(value) is None or type(whole_number(value)) is int


def test_texts_come_as_a_list_or_as_one_text() -> None:
    assert texts("Jazz, Folk ,,") == ["Jazz", "Folk"]
    assert texts(["Jazz", " ", 5, None, "Folk"]) == ["Jazz", "Folk"]
    assert texts([]) is None
    assert texts(" , ") is None
    assert texts({"Jazz": 1}) is None


def test_half_a_surrogate_pair_is_replaced_since_no_table_takes_it() -> None:
    assert text("a\ud800b") == "a�b"
    assert text(" \N{GRINNING FACE} ") == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    "value", [{"a": float("nan")}, [float("-inf")], {"a": "\ud800"}, {"\udfff": 1}, "a text"]
)
def test_what_no_json_column_takes_is_stored_within_a_text(value: object) -> None:
    record = canonical_json(value)

    assert json.loads(storable_json(record)) == record


@pytest.mark.parametrize("value", [{"a": "NaN \\ud800 é\0"}, [1e400 > 1, 10**300], None, 5, {}])
def test_strict_json_is_stored_as_it_is(value: object) -> None:
    assert storable_json(canonical_json(value)) == canonical_json(value)


zones = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)


@given(st.datetimes())
def test_naive_times_are_read_as_utc_with_and_without_fraction(moment: datetime) -> None:
    assert parse_timestamp(moment.isoformat()) == moment
    assert parse_timestamp(moment.isoformat(sep=" ")) == moment
    whole = moment.replace(microsecond=0)
    assert parse_timestamp(whole.isoformat()) == whole


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones))
def test_times_with_a_zone_become_naive_utc(moment: datetime) -> None:
    assert parse_timestamp(moment.isoformat()) == moment.astimezone(UTC).replace(tzinfo=None)


@given(st.dates())
def test_dates_are_read_as_their_midnight(day: object) -> None:
    assert parse_timestamp(str(day)) == datetime.fromisoformat(str(day))


@given(
    json_values
    | st.text("0123456789-T:.+Z x", min_size=8)
    | st.text("0123456789-T:.+Z").map("2026-09-27T".__add__)
)
def test_whatever_comes_reading_a_time_never_raises(value: object) -> None:
    moment = parse_timestamp(value)
    assert moment is None or (isinstance(value, str) and moment.tzinfo is None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-27T15:56:26", datetime(2026, 9, 27, 15, 56, 26)),
        ("2026-09-27T15:56:26.123456", datetime(2026, 9, 27, 15, 56, 26, 123456)),
        ("2026-09-27T15:56:26.123456789", datetime(2026, 9, 27, 15, 56, 26, 123456)),
        ("2026-09-27T15:56:26Z", datetime(2026, 9, 27, 15, 56, 26)),
        ("2026-09-27 15:56:26+02:00", datetime(2026, 9, 27, 13, 56, 26)),
        ("20260927T155626Z", datetime(2026, 9, 27, 15, 56, 26)),
        ("0001-01-01T00:00:00+23:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("2026-09-27x15:56:26", None),
        ("2026-13-01T00:00:00", None),
        ("2026-02-30", None),
        (" 2026-09-27", None),
        ("27/09/2026", None),
        ("yesterday", None),
        ("", None),
        (20260927, None),
        (1790000000.5, None),
        (True, None),
        (None, None),
        (datetime(2026, 9, 27), None),
    ],
)
def test_recorded_forms_and_near_misses(text: object, expected: datetime | None) -> None:
    assert parse_timestamp(text) == expected


@given(json_values)
def test_canonical_json_gives_the_value_back_and_can_be_stored(value: object) -> None:
    text = canonical_json(value)
    again = json.loads(text.encode().decode())
    assert canonical_json(again) == text or any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(value))
    assert json.loads(json.dumps(value)) == again


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": [1, {"d": "é", "c": 10**30}], "a": None}) == (
        '{"a":null,"b":[1,{"c":1000000000000000000000000000000,"d":"é"}]}'
    )
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


def test_half_a_surrogate_pair_can_be_stored() -> None:
    text = canonical_json({"name": json.loads(r'"\ud83c no song é"')})
    assert text.encode() == '{"name":"\\ud83c no song é"}'.encode()
