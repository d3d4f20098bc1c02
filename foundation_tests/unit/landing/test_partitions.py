import json
import random
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.json_records import canonical_json
from foundation.landing.files import (
    landing_files,
)
from foundation.landing.known_records import newest_keys
from foundation.landing.partitions import (
    LANDING_SCHEMA,
    NotLanded,
    append_landing,
    count_landed,
    read_landing,
)
from foundation_tests.unit.landing.areas import (
    DAY,
    NEXT_DAY,
    NOON,
    landed,
    landing_at,
    observed,
    session,
    user,
)


def test_records_come_back_as_they_were_landed(tmp_path: Path) -> None:
    records = [user(1, "é 😀 \0"), user(2, "\ud800"), {"id": float("nan")}, None, 10**400]
    frame = observed(records)

    assert append_landing(landing_at(tmp_path), "users", DAY, frame) == 5

    back = read_landing(landing_at(tmp_path), "users", [DAY])
    assert back["record"].tolist() == frame["record"].tolist()
    assert back["changed_at"].tolist()[:2] == [pd.Timestamp("2026-09-02 10:00")] * 2
    assert back["changed_at"].isna().tolist() == [False, False, True, True, True]
    assert set(back["observed_at"]) == {pd.Timestamp(NOON)}
    assert set(back["run_id"]) == {"run-0"}
    assert set(back["changed_on"]) == {pd.Timestamp(DAY)}
    assert back["changed_on"].dtype == "datetime64[s]"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"])
def test_times_at_the_ends_of_the_calendar_come_back(tmp_path: Path, moment: str) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([{"id": 1, "created_at": moment}]))

    (back,) = read_landing(landing_at(tmp_path), "users", [DAY])["changed_at"]
    assert back.to_pydatetime() == datetime.fromisoformat(moment)


def test_several_partitions_are_read_at_once_each_with_its_day(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", NEXT_DAY, observed([user(3)]))
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1), user(2)]))
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(4)], hour=1))

    frame = read_landing(landing_at(tmp_path), "users", [DAY, NEXT_DAY])

    days = {
        json.loads(record)["id"]: day.date()
        for record, day in zip(frame["record"], frame["changed_on"], strict=True)
    }
    assert days == {1: DAY, 2: DAY, 4: DAY, 3: NEXT_DAY}
    assert count_landed(landing_at(tmp_path), "users", DAY) == 3
    assert count_landed(landing_at(tmp_path), "users", NEXT_DAY) == 1


def test_endpoints_lie_apart(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1)]))
    append_landing(landing_at(tmp_path), "tracks", DAY, observed([user(2)]))

    assert landed(landing_at(tmp_path), "users") == [user(1)]
    assert landed(landing_at(tmp_path), "tracks") == [user(2)]


def test_a_partition_read_and_found_empty_is_not_one_never_read(tmp_path: Path) -> None:
    assert append_landing(landing_at(tmp_path), "users", DAY, observed([])) == 0

    frame = read_landing(landing_at(tmp_path), "users", [DAY])
    assert frame.empty
    assert frame.dtypes[["changed_at", "observed_at", "changed_on"]].astype(str).tolist() == [
        "datetime64[us]", "datetime64[us]", "datetime64[s]",
    ]  # fmt: skip
    with pytest.raises(NotLanded, match=r"users was never read for 2026-09-03: .* Materialize the raw asset"):
        read_landing(landing_at(tmp_path), "users", [DAY, NEXT_DAY])


def test_many_partitions_never_read_are_named_as_a_range(tmp_path: Path) -> None:
    days = [DAY + timedelta(days=offset) for offset in range(5)]

    with pytest.raises(NotLanded, match=r"2026-09-02 to 2026-09-06 \(5 partitions\)"):
        read_landing(landing_at(tmp_path), "users", days)


def test_files_are_only_ever_added(tmp_path: Path) -> None:
    before: dict[Path, bytes] = {}
    for hour, records in enumerate([[user(1)], [user(1), user(2)], [], [user(2, "changed")]]):
        append_landing(landing_at(tmp_path), "users", DAY, observed(records, hour))
        now = {file: file.read_bytes() for file in landing_files(tmp_path, "users", DAY)}
        assert len(now) == hour + 1
        assert before.items() <= now.items()
        before = now


def test_a_step_tried_again_in_its_run_keeps_what_the_first_try_saw(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1)], run_id="run"))
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1, "changed")], hour=1, run_id="run"))
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1, "again")], hour=2, run_id="run"))

    assert [record["gender"] for record in landed(landing_at(tmp_path))] == ["", "changed", "again"]


def test_an_unfinished_file_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1)]))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            append_landing(landing_at(tmp_path), "users", DAY, observed([user(2)], hour=1))

    left = sorted(path.name for path in (tmp_path / "users" / DAY.isoformat()).iterdir())
    assert len(left) == 2, "the unfinished file lies there"
    assert landed(landing_at(tmp_path)) == [user(1)]
    assert count_landed(landing_at(tmp_path), "users", DAY) == 1
    assert newest_keys(landing_at(tmp_path), "users", 10) == {(1,)}
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(2)], hour=1))
    assert landed(landing_at(tmp_path)) == [user(1), user(2)]


def test_a_file_is_whole_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    rename = Path.rename

    def look_and_rename(path: Path, target: Path) -> Path:
        seen.append(parquet.read_metadata(path).num_rows)
        assert not target.exists()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", look_and_rename)
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1), user(2)]))

    assert seen == [2]


def test_files_of_two_landings_are_equal_byte_for_byte(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        append_landing(landing_at(tmp_path / folder), "users", DAY, observed([user(1), user(2)]))

    one, other = (
        landing_files(tmp_path / folder, "users", DAY)[0].read_bytes() for folder in ("one", "other")
    )
    assert one == other


def test_reading_again_adds_nothing_but_the_mark_of_having_read(tmp_path: Path) -> None:
    records = [user(1), user(2), user(2), user(None), "junk", user("7")]
    append_landing(landing_at(tmp_path), "users", DAY, observed(records))

    random.Random(1).shuffle(records)
    assert append_landing(landing_at(tmp_path), "users", DAY, observed(records, hour=1)) == 0

    assert len(landing_files(tmp_path, "users", DAY)) == 2
    assert count_landed(landing_at(tmp_path), "users", DAY) == 6


def test_only_what_is_new_or_changed_is_written(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1), user(2)]))

    assert (
        append_landing(landing_at(tmp_path), "users", DAY, observed([user(1), user(2, "b"), user(3)], hour=1))
        == 2
    )

    assert [(record["id"], record["gender"]) for record in landed(landing_at(tmp_path))[2:]] == [
        (3, ""),
        (2, "b"),
    ]


@pytest.mark.parametrize("number", [1, "1", " 1 ", 1.0], ids=repr)
def test_a_record_that_returns_to_an_earlier_version_is_written_again(tmp_path: Path, number: object) -> None:
    said = ["a", "b", "a", "a", "b"]
    written = [
        append_landing(landing_at(tmp_path), "users", DAY, observed([user(number, word)], hour))
        for hour, word in enumerate(said)
    ]

    assert written == [1, 1, 1, 0, 1]


def test_a_record_whose_id_changes_its_form_and_back_is_written_again(tmp_path: Path) -> None:
    written = [
        append_landing(landing_at(tmp_path), "users", DAY, observed([user(number)], hour))
        for hour, number in enumerate([1, "1", 1])
    ]

    assert written == [1, 1, 1]


@pytest.mark.parametrize(
    "number", [None, True, "x", [], "nan", float("inf"), "9" * 5000], ids=lambda value: str(value)[:5]
)
def test_a_record_without_identity_is_only_ever_itself(tmp_path: Path, number: object) -> None:
    first, second = session(number, [1]), session(number, [2])
    append_landing(landing_at(tmp_path), "sessions", DAY, observed([first]))

    assert append_landing(landing_at(tmp_path), "sessions", DAY, observed([first, second], hour=1)) == 1
    assert append_landing(landing_at(tmp_path), "sessions", DAY, observed([second], hour=2)) == 0


def current(landing_dir: Path, day: date = DAY) -> list[Any]:
    """The ids of the landed users that were not withdrawn."""
    frame = read_landing(landing_at(landing_dir), "users", [day])
    return sorted(json.loads(record)["id"] or 0 for record in frame["record"][~frame["withdrawn"]])


def test_a_record_without_identity_is_withdrawn_once_a_reading_no_longer_returns_it(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1), user(None)]))
    assert current(tmp_path) == [0, 1]

    assert append_landing(landing_at(tmp_path), "users", DAY, observed([user(1), user(2)], hour=1)) == 1
    assert current(tmp_path) == [1, 2]
    assert len(read_landing(landing_at(tmp_path), "users", [DAY])) == 3

    assert append_landing(landing_at(tmp_path), "users", DAY, observed([user(1), user(2)], hour=2)) == 0
    assert current(tmp_path) == [1, 2]


def test_a_withdrawn_record_that_is_returned_again_counts_again(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(None)]))
    append_landing(landing_at(tmp_path), "users", DAY, observed([], hour=1))
    assert current(tmp_path) == []

    assert append_landing(landing_at(tmp_path), "users", DAY, observed([user(None)], hour=2)) == 1
    assert current(tmp_path) == [0]


def test_a_record_without_time_is_withdrawn_too_and_one_with_both_never_is(tmp_path: Path) -> None:
    undated = user(1) | {"created_at": 1788343200}
    append_landing(landing_at(tmp_path), "users", DAY, observed([undated, user(2)]))
    append_landing(landing_at(tmp_path), "users", DAY, observed([], hour=1))

    assert current(tmp_path) == [2]


def test_a_partition_names_the_files_that_were_read(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1)]))
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(2)], hour=1))
    append_landing(landing_at(tmp_path), "users", NEXT_DAY, observed([]))

    named = read_landing(landing_at(tmp_path), "users", [DAY, NEXT_DAY]).attrs["landing_files"]
    assert {day: len(names) for day, names in named.items()} == {f"{DAY}": 2, f"{NEXT_DAY}": 1}
    assert named[f"{DAY}"] == [file.name for file in landing_files(tmp_path, "users", DAY)]


def test_sessions_of_one_user_differ_by_their_beginning(tmp_path: Path) -> None:
    early, late = session(1, [1]), session(1, [2], "2026-09-02T11:00:00")
    append_landing(landing_at(tmp_path), "sessions", DAY, observed([early, late]))

    grown = session(1, [2, 3], "2026-09-02T11:00:00")
    assert append_landing(landing_at(tmp_path), "sessions", DAY, observed([early, grown], hour=1)) == 1


def test_a_second_version_that_comes_or_goes_is_written_with_the_first(tmp_path: Path) -> None:
    one, other = user(1, "a"), user(1, "b")

    assert append_landing(landing_at(tmp_path), "users", DAY, observed([one])) == 1
    assert append_landing(landing_at(tmp_path), "users", DAY, observed([one, other], hour=1)) == 2
    assert append_landing(landing_at(tmp_path), "users", DAY, observed([other, one], hour=2)) == 0
    assert append_landing(landing_at(tmp_path), "users", DAY, observed([one], hour=3)) == 1


_SEEN = st.lists(
    st.lists(st.tuples(st.sampled_from([1, 2, "2", None]), st.sampled_from(["a", "b"])), max_size=4).map(
        lambda pairs: [user(number, said) for number, said in pairs]
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=25, deadline=None)
@given(seen=_SEEN)
def test_what_was_seen_last_of_each_record_can_always_be_read_back(
    seen: list[list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    landing_dir = tmp_path_factory.mktemp("landing")
    state: dict[Any, tuple[int, list[str]]] = {}
    for hour, records in enumerate(seen):
        written = append_landing(landing_at(landing_dir), "users", DAY, observed(records, hour))
        assert (
            append_landing(landing_at(landing_dir), "users", DAY, observed(records, hour, f"again-{hour}"))
            == 0
        )
        now: dict[Any, list[str]] = {}
        for record in records:
            key = None if record["id"] is None else int(record["id"])
            now.setdefault(key if key is not None else canonical_json(record), []).append(
                canonical_json(record)
            )
        # A record without key is withdrawn by a reading that does not return it, and written again by one that does.
        state = {key: seen for key, seen in state.items() if isinstance(key, int) or key in now}
        news = {key for key, texts in now.items() if key not in state or state[key][1] != sorted(texts)}
        assert written == sum(len(now[key]) for key in news)
        state |= {key: (hour, sorted(now[key])) for key in news}

    frame = read_landing(landing_at(landing_dir), "users", [DAY])
    for key, (hour, texts) in state.items():
        at = frame[frame["observed_at"] == NOON + timedelta(hours=hour)]
        landed = [text for text in at["record"] if text == key or _number(text) == key]
        assert sorted(landed) == texts


def _number(text: str) -> int | None:
    number = json.loads(text)["id"]
    return None if number is None else int(number)


def test_the_landing_schema_is_that_of_the_files(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1)]))

    (file,) = landing_files(tmp_path, "users", DAY)
    assert parquet.read_schema(file).equals(LANDING_SCHEMA, check_metadata=True)
