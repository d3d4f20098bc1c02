import json
from datetime import datetime
from typing import Any

import pytest

from foundation.json_records import canonical_json
from foundation.warehouse.cleaning import Unusable
from moovitamix_assets.warehouse.parsing import (
    PARSERS,
    PROFILE_COLUMNS,
    Session,
    duration_seconds,
    email,
)
from moovitamix_assets_tests.unit.warehouse.landed_records import session, track, user


def parsed(table: str, record: object) -> Any:
    return PARSERS[table](json.loads(canonical_json(record)))


def reasons(table: str, record: object) -> list[str]:
    unusable = parsed(table, record)
    assert isinstance(unusable, Unusable)
    return unusable.reasons


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("03:21", 201),
        (" 3:21 ", 201),
        ("120:00", 7200),
        ("00:02", 2),
        ("00:00", None),
        ("99:99", None),
        ("-1:00", None),
        ("1:02:03", None),
        ("abc", None),
        ("", None),
        (201, None),
        (None, None),
        ("٣:٢١", None),
    ],
)
def test_a_duration_is_minutes_and_seconds(value: object, seconds: int | None) -> None:
    assert duration_seconds(value) == seconds


@pytest.mark.parametrize("address", ["a@b.org", " a.b+c@d.e.org ", "ü@ö.de"])
def test_an_address_is_kept(address: str) -> None:
    assert email(address) == address.strip()


@pytest.mark.parametrize(
    "address", ["not-an-email", "a@b", "a@@b.org", "a b@c.org", "a@b..org", "@b.org", "", 5, None]
)
def test_what_is_no_address_is_none(address: object) -> None:
    assert email(address) is None


def test_a_person_is_read_field_by_field() -> None:
    record = user("5", gender="", email="nobody", favorite_genres=["Jazz"], created_at="not-a-date")

    values = dict(zip(PROFILE_COLUMNS["users"], parsed("users", record), strict=True))

    assert values == {
        "user_id": 5,
        "first_name": "Ada",
        "last_name": "Nolan",
        "email": None,
        "gender": None,
        "favorite_genres": ["Jazz"],
        "created_at": None,
        "updated_at": datetime(2026, 9, 2, 10),
    }


def test_a_track_is_read_field_by_field() -> None:
    values = dict(zip(PROFILE_COLUMNS["tracks"], parsed("tracks", track(9, album=3)), strict=True))

    assert values == {
        "track_id": 9,
        "name": "Blue",
        "artist": "The Quiet",
        "songwriters": "A. Writer",
        "duration_seconds": 201,
        "genres": ["jazz"],
        "album": None,
        "created_at": datetime(2026, 9, 2, 10),
        "updated_at": datetime(2026, 9, 2, 10),
    }


def test_a_session_keeps_the_places_of_its_items() -> None:
    said = parsed("listens", session(1, [None, "8", 9.0, "x"]))

    assert said == Session(1, datetime(2026, 9, 2, 10), datetime(2026, 9, 2, 10), [None, 8, 9, None])


@pytest.mark.parametrize("table", ["users", "tracks"])
@pytest.mark.parametrize("bad", [None, True, "x", 7.5, 2**63, [], {"id": 1}])
def test_a_profile_without_a_usable_id_is_refused(table: str, bad: object) -> None:
    assert reasons(table, {"id": bad}) == [f"no usable id: {canonical_json(bad)}"]


@pytest.mark.parametrize("table", ["users", "tracks", "listens"])
@pytest.mark.parametrize("junk", [None, 5, "text", [], [{"id": 1}], float("nan")])
def test_anything_but_an_object_is_refused(table: str, junk: object) -> None:
    assert reasons(table, junk) == [f"not an object: {canonical_json(junk)}"]


def test_a_session_names_each_of_its_faults() -> None:
    assert reasons("listens", session(None, [], at="never")) == [
        "no usable user_id: null",
        'no readable created_at: "never"',
        "not a single usable track in items: []",
    ]
    assert reasons("listens", session(1, None)) == ["not a single usable track in items: null"]
    assert reasons("listens", session(1, "1,2")) == ['not a single usable track in items: "1,2"']
    assert reasons("listens", session(1, [None, True])) == ["not a single usable track in items: [null,true]"]


def test_a_session_may_be_as_long_as_positions_reach() -> None:
    assert len(parsed("listens", session(1, [5] * 32767)).track_ids) == 32767
    assert reasons("listens", session(1, [5] * 32768)) == [
        "more than the 32767 items that a session can hold: 32768"
    ]


def test_a_quoted_value_is_cut() -> None:
    (reason,) = reasons("users", {"id": "x" * 500})

    assert len(reason) < 100
    assert reason.endswith("xxx...")
