import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.json_records import canonical_json, parse_timestamp, whole_number
from moovitamix_assets.ingestion.client.records import changed_at, identity

any_text = st.text(st.characters(exclude_categories=()))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
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


@given(st.none() | st.datetimes(), st.none() | st.datetimes())
def test_changed_at_is_the_greatest_readable_time(created: datetime | None, updated: datetime | None) -> None:
    record = {
        "created_at": created.isoformat() if created else "long ago",
        "updated_at": updated.isoformat() if updated else 7,
    }
    assert changed_at(record) == max((t for t in (created, updated) if t), default=None)


@given(
    json_values
    | st.dictionaries(st.sampled_from(["id", "user_id", "created_at", "updated_at"]), json_values, min_size=1)
)
def test_whatever_comes_records_are_judged_without_raising(value: object) -> None:
    assert changed_at(value) is None
    assert identity("listen_history", value) is None
    numbered = isinstance(value, dict) and whole_number(value.get("id")) is not None
    assert (identity("users", value) is not None) == numbered


def test_identities() -> None:
    session = {"user_id": 7, "items": [1], "created_at": "2026-09-27T15:56:26", "updated_at": "x"}
    same = {"user_id": 7, "items": [], "created_at": "2026-09-27T15:56:26.000000"}
    assert identity("listen_history", session) == (7, datetime(2026, 9, 27, 15, 56, 26))
    assert identity("listen_history", session) == identity("listen_history", same)
    assert identity("users", {"id": 7}) == identity("tracks", {"id": 7}) == (7,)
    for nobody in ({}, {"id": None}, {"id": "x"}, {"id": True}, {"id": 7.5}, {"id": 2**63}, [], "7", None):
        assert identity("users", nobody) is None
    for number in ("7", " 7 ", 7.0):
        assert identity("users", {"id": number}) == (7,)
        assert identity("listen_history", {**session, "user_id": number}) == identity(
            "listen_history", session
        )
    assert identity("listen_history", {**session, "user_id": None}) is None
    assert identity("listen_history", {**session, "created_at": "soon"}) is None


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
