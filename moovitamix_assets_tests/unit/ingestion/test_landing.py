import json
import os
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as parquet
import pytest
from dagster import (
    DagsterInstance,
    DailyPartitionsDefinition,
    PartitionKeyRange,
    build_input_context,
    build_output_context,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from moovitamix_assets.ingestion.client.records import Endpoint, canonical_json, changed_at
from moovitamix_assets.ingestion.landing import (
    LANDING_SCHEMA,
    LandingIOManager,
    NotLanded,
    RecordsOutsidePartition,
    StartDateMoved,
    append_landing,
    count_landed,
    landing_files,
    newest_identities,
    read_landing,
    record_first_partition,
)

DAY, NEXT_DAY = date(2026, 9, 2), date(2026, 9, 3)
NOON = datetime(2026, 9, 5, 12)
DAILY = DailyPartitionsDefinition(start_date="2026-09-01")


def observed(records: Sequence[Any], hour: int = 0, run_id: str | None = None) -> pd.DataFrame:
    """What a run that asks at noon and `hour` hours would land."""
    frame = pd.DataFrame(
        {
            "record": pd.Series([canonical_json(record) for record in records], dtype=object),
            "changed_at": pd.Series([changed_at(record) for record in records], dtype="datetime64[us]"),
            "observed_at": pd.Series([NOON + timedelta(hours=hour)] * len(records), dtype="datetime64[us]"),
            "run_id": run_id or f"run-{hour}",
        }
    )
    frame.attrs = {"run_id": run_id or f"run-{hour}", "read_at": (NOON + timedelta(hours=hour)).isoformat()}
    return frame


def person(number: Any, said: str = "") -> dict[str, Any]:
    return {"id": number, "gender": said, "created_at": "2026-09-02T10:00:00"}


def session(number: Any, items: Any, created_at: str = "2026-09-02T10:00:00") -> dict[str, Any]:
    return {"user_id": number, "items": items, "created_at": created_at}


def told(landing_dir: Path, endpoint: Endpoint = "users", day: date = DAY) -> list[Any]:
    """The landed records by the time they were seen."""
    frame = read_landing(landing_dir, endpoint, [day]).sort_values(["observed_at", "record"])
    return [json.loads(record) for record in frame["record"]]


# Reading and writing


def test_records_come_back_as_they_were_landed(tmp_path: Path) -> None:
    records = [person(1, "é 😀 \0"), person(2, "\ud800"), {"id": float("nan")}, None, 10**400]
    frame = observed(records)

    assert append_landing(tmp_path, "users", DAY, frame) == 5

    back = read_landing(tmp_path, "users", [DAY])
    assert back["record"].tolist() == frame["record"].tolist()
    assert back["changed_at"].tolist()[:2] == [pd.Timestamp("2026-09-02 10:00")] * 2
    assert back["changed_at"].isna().tolist() == [False, False, True, True, True]
    assert set(back["observed_at"]) == {pd.Timestamp(NOON)}
    assert set(back["run_id"]) == {"run-0"}
    assert set(back["changed_on"]) == {pd.Timestamp(DAY)}
    assert back["changed_on"].dtype == "datetime64[s]"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"])
def test_times_at_the_ends_of_the_calendar_come_back(tmp_path: Path, moment: str) -> None:
    append_landing(tmp_path, "users", DAY, observed([{"id": 1, "created_at": moment}]))

    (back,) = read_landing(tmp_path, "users", [DAY])["changed_at"]
    assert back.to_pydatetime() == datetime.fromisoformat(moment)


def test_several_partitions_are_read_at_once_each_with_its_day(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", NEXT_DAY, observed([person(3)]))
    append_landing(tmp_path, "users", DAY, observed([person(1), person(2)]))
    append_landing(tmp_path, "users", DAY, observed([person(4)], hour=1))

    frame = read_landing(tmp_path, "users", [DAY, NEXT_DAY])

    days = {
        json.loads(record)["id"]: day.date()
        for record, day in zip(frame["record"], frame["changed_on"], strict=True)
    }
    assert days == {1: DAY, 2: DAY, 4: DAY, 3: NEXT_DAY}
    assert count_landed(tmp_path, "users", DAY) == 3
    assert count_landed(tmp_path, "users", NEXT_DAY) == 1


def test_endpoints_lie_apart(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(1)]))
    append_landing(tmp_path, "tracks", DAY, observed([person(2)]))

    assert told(tmp_path, "users") == [person(1)]
    assert told(tmp_path, "tracks") == [person(2)]


def test_a_partition_read_and_found_empty_is_told_from_one_never_read(tmp_path: Path) -> None:
    assert append_landing(tmp_path, "users", DAY, observed([])) == 0

    frame = read_landing(tmp_path, "users", [DAY])
    assert frame.empty
    assert frame.dtypes[["changed_at", "observed_at", "changed_on"]].astype(str).tolist() == [
        "datetime64[us]", "datetime64[us]", "datetime64[s]",
    ]  # fmt: skip
    with pytest.raises(NotLanded, match=r"users was never read for 2026-09-03: .* Materialize the raw asset"):
        read_landing(tmp_path, "users", [DAY, NEXT_DAY])


def test_many_partitions_never_read_are_told_as_a_range(tmp_path: Path) -> None:
    days = [DAY + timedelta(days=offset) for offset in range(5)]

    with pytest.raises(NotLanded, match=r"2026-09-02 to 2026-09-06 \(5 partitions\)"):
        read_landing(tmp_path, "users", days)


def test_files_are_only_ever_added(tmp_path: Path) -> None:
    before: dict[Path, bytes] = {}
    for hour, records in enumerate([[person(1)], [person(1), person(2)], [], [person(2, "changed")]]):
        append_landing(tmp_path, "users", DAY, observed(records, hour))
        now = {file: file.read_bytes() for file in landing_files(tmp_path, "users", DAY)}
        assert len(now) == hour + 1
        assert before.items() <= now.items()
        before = now


def test_a_step_tried_again_in_its_run_keeps_what_the_first_try_saw(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(1)], run_id="run"))
    append_landing(tmp_path, "users", DAY, observed([person(1, "changed")], hour=1, run_id="run"))
    append_landing(tmp_path, "users", DAY, observed([person(1, "again")], hour=2, run_id="run"))

    assert [record["gender"] for record in told(tmp_path)] == ["", "changed", "again"]


def test_an_unfinished_file_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(1)]))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            append_landing(tmp_path, "users", DAY, observed([person(2)], hour=1))

    left = sorted(path.name for path in (tmp_path / "users" / DAY.isoformat()).iterdir())
    assert len(left) == 2, "the unfinished file lies there"
    assert told(tmp_path) == [person(1)]
    assert count_landed(tmp_path, "users", DAY) == 1
    assert newest_identities(tmp_path, "users", 10) == {(1,)}
    append_landing(tmp_path, "users", DAY, observed([person(2)], hour=1))
    assert told(tmp_path) == [person(1), person(2)]


def test_a_file_is_whole_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    rename = Path.rename

    def look_and_rename(path: Path, target: Path) -> Path:
        seen.append(parquet.read_metadata(path).num_rows)
        assert not target.exists()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", look_and_rename)
    append_landing(tmp_path, "users", DAY, observed([person(1), person(2)]))

    assert seen == [2]


def test_files_of_two_landings_are_equal_byte_for_byte(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        append_landing(tmp_path / folder, "users", DAY, observed([person(1), person(2)]))

    one, other = (
        landing_files(tmp_path / folder, "users", DAY)[0].read_bytes() for folder in ("one", "other")
    )
    assert one == other


# What is told again


def test_reading_again_adds_nothing_but_the_mark_of_having_read(tmp_path: Path) -> None:
    records = [person(1), person(2), person(2), person(None), "junk", person("7")]
    append_landing(tmp_path, "users", DAY, observed(records))

    random.Random(1).shuffle(records)
    assert append_landing(tmp_path, "users", DAY, observed(records, hour=1)) == 0

    assert len(landing_files(tmp_path, "users", DAY)) == 2
    assert count_landed(tmp_path, "users", DAY) == 6


def test_only_what_is_new_or_changed_is_told(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(1), person(2)]))

    assert (
        append_landing(tmp_path, "users", DAY, observed([person(1), person(2, "b"), person(3)], hour=1)) == 2
    )

    assert [(record["id"], record["gender"]) for record in told(tmp_path)[2:]] == [(3, ""), (2, "b")]


@pytest.mark.parametrize("number", [1, "1", " 1 ", 1.0], ids=repr)
def test_a_record_that_goes_back_to_what_it_was_is_told_again(tmp_path: Path, number: object) -> None:
    said = ["a", "b", "a", "a", "b"]
    written = [
        append_landing(tmp_path, "users", DAY, observed([person(number, word)], hour))
        for hour, word in enumerate(said)
    ]

    assert written == [1, 1, 1, 0, 1]


def test_a_record_whose_id_changes_its_form_and_back_is_told_again(tmp_path: Path) -> None:
    written = [
        append_landing(tmp_path, "users", DAY, observed([person(number)], hour))
        for hour, number in enumerate([1, "1", 1])
    ]

    assert written == [1, 1, 1]


@pytest.mark.parametrize(
    "number", [None, True, "x", [], "nan", float("inf"), "9" * 5000], ids=lambda value: str(value)[:5]
)
def test_a_record_without_identity_is_only_ever_itself(tmp_path: Path, number: object) -> None:
    first, second = session(number, [1]), session(number, [2])
    append_landing(tmp_path, "listen_history", DAY, observed([first]))

    assert append_landing(tmp_path, "listen_history", DAY, observed([first, second], hour=1)) == 1
    assert append_landing(tmp_path, "listen_history", DAY, observed([second], hour=2)) == 0


def current(landing_dir: Path, day: date = DAY) -> list[Any]:
    """The ids of the landed users that were not withdrawn."""
    frame = read_landing(landing_dir, "users", [day])
    return sorted(json.loads(record)["id"] or 0 for record in frame["record"][~frame["withdrawn"]])


def test_a_record_without_identity_is_withdrawn_once_a_reading_no_longer_brings_it(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(1), person(None)]))
    assert current(tmp_path) == [0, 1]

    assert append_landing(tmp_path, "users", DAY, observed([person(1), person(2)], hour=1)) == 1
    assert current(tmp_path) == [1, 2]
    assert len(read_landing(tmp_path, "users", [DAY])) == 3

    assert append_landing(tmp_path, "users", DAY, observed([person(1), person(2)], hour=2)) == 0
    assert current(tmp_path) == [1, 2]


def test_a_withdrawn_record_that_is_brought_again_counts_again(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(None)]))
    append_landing(tmp_path, "users", DAY, observed([], hour=1))
    assert current(tmp_path) == []

    assert append_landing(tmp_path, "users", DAY, observed([person(None)], hour=2)) == 1
    assert current(tmp_path) == [0]


def test_a_record_without_time_is_withdrawn_too_and_one_with_both_never_is(tmp_path: Path) -> None:
    undated = person(1) | {"created_at": 1788343200}
    append_landing(tmp_path, "users", DAY, observed([undated, person(2)]))
    append_landing(tmp_path, "users", DAY, observed([], hour=1))

    assert current(tmp_path) == [2]


def test_a_partition_names_the_files_that_were_read(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(1)]))
    append_landing(tmp_path, "users", DAY, observed([person(2)], hour=1))
    append_landing(tmp_path, "users", NEXT_DAY, observed([]))

    named = read_landing(tmp_path, "users", [DAY, NEXT_DAY]).attrs["landing_files"]
    assert {day: len(names) for day, names in named.items()} == {f"{DAY}": 2, f"{NEXT_DAY}": 1}
    assert named[f"{DAY}"] == [file.name for file in landing_files(tmp_path, "users", DAY)]


def test_sessions_of_one_person_are_told_apart_by_their_beginning(tmp_path: Path) -> None:
    early, late = session(1, [1]), session(1, [2], "2026-09-02T11:00:00")
    append_landing(tmp_path, "listen_history", DAY, observed([early, late]))

    grown = session(1, [2, 3], "2026-09-02T11:00:00")
    assert append_landing(tmp_path, "listen_history", DAY, observed([early, grown], hour=1)) == 1


def test_a_second_version_that_comes_or_goes_is_told_with_the_first(tmp_path: Path) -> None:
    one, other = person(1, "a"), person(1, "b")

    assert append_landing(tmp_path, "users", DAY, observed([one])) == 1
    assert append_landing(tmp_path, "users", DAY, observed([one, other], hour=1)) == 2
    assert append_landing(tmp_path, "users", DAY, observed([other, one], hour=2)) == 0
    assert append_landing(tmp_path, "users", DAY, observed([one], hour=3)) == 1


_SEEN = st.lists(
    st.lists(st.tuples(st.sampled_from([1, 2, "2", None]), st.sampled_from(["a", "b"])), max_size=4).map(
        lambda pairs: [person(number, said) for number, said in pairs]
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
        written = append_landing(landing_dir, "users", DAY, observed(records, hour))
        assert append_landing(landing_dir, "users", DAY, observed(records, hour, f"again-{hour}")) == 0
        now: dict[Any, list[str]] = {}
        for record in records:
            key = None if record["id"] is None else int(record["id"])
            now.setdefault(key if key is not None else canonical_json(record), []).append(
                canonical_json(record)
            )
        # What has no identity is withdrawn by a reading that does not bring it, and told again once it is back.
        state = {key: seen for key, seen in state.items() if isinstance(key, int) or key in now}
        news = {key for key, texts in now.items() if key not in state or state[key][1] != sorted(texts)}
        assert written == sum(len(now[key]) for key in news)
        state |= {key: (hour, sorted(now[key])) for key in news}

    frame = read_landing(landing_dir, "users", [DAY])
    for key, (hour, texts) in state.items():
        at = frame[frame["observed_at"] == NOON + timedelta(hours=hour)]
        landed = [text for text in at["record"] if text == key or _number(text) == key]
        assert sorted(landed) == texts


def _number(text: str) -> int | None:
    number = json.loads(text)["id"]
    return None if number is None else int(number)


# A sample of what is known


def test_the_newest_identities_come_from_the_newest_partitions(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(1), person(2)]))
    append_landing(
        tmp_path, "users", NEXT_DAY, observed([person(3), person(None), person("4"), person(3, "b")])
    )

    assert newest_identities(tmp_path, "users", 1) == {(3,)}
    assert len(newest_identities(tmp_path, "users", 2)) == 2
    assert (3,) in newest_identities(tmp_path, "users", 2)
    assert newest_identities(tmp_path, "users", 3) == {(1,), (2,), (3,)}
    assert newest_identities(tmp_path, "users", 1000) == {(1,), (2,), (3,)}


def test_nothing_landed_is_nothing_known(tmp_path: Path) -> None:
    assert newest_identities(tmp_path / "absent", "users", 10) == set()


def test_sessions_are_known_by_person_and_beginning(tmp_path: Path) -> None:
    append_landing(tmp_path, "listen_history", DAY, observed([session(1, []), session(1, [5], "never")]))

    assert newest_identities(tmp_path, "listen_history", 10) == {(1, datetime(2026, 9, 2, 10))}


# The first partition


def test_the_first_partition_is_recorded_once_and_another_one_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    record_first_partition(data_dir, DAY)
    record_first_partition(data_dir, DAY)

    with pytest.raises(StartDateMoved, match=r"is 2026-09-03, .* loaded with 2026-09-02\. Set it back"):
        record_first_partition(data_dir, NEXT_DAY)

    assert sorted(os.listdir(data_dir)) == ["landing", "start_date"]


# Through Dagster


@cache
def dagster_records() -> DagsterInstance:
    """Shared: to make one takes longer than a test."""
    return DagsterInstance.ephemeral()


def manager_of(data_dir: Path, start_date: str = "2026-09-01") -> LandingIOManager:
    return LandingIOManager(data_dir=str(data_dir), start_date=start_date)


def land(data_dir: Path, frame: pd.DataFrame, first: date, last: date, start_date: str = "2026-09-01") -> Any:
    context = build_output_context(
        asset_key="raw_users",
        definition_metadata={"endpoint": "users"},
        asset_partition_key_range=PartitionKeyRange(first.isoformat(), last.isoformat()),
        asset_partitions_def=DAILY,
        instance=dagster_records(),
    )
    manager_of(data_dir, start_date).handle_output(context, frame)
    return context.get_logged_metadata()


def load(data_dir: Path, first: date, last: date, start_date: str = "2026-09-01") -> pd.DataFrame:
    upstream = build_output_context(
        asset_key="raw_users", definition_metadata={"endpoint": "users"}, instance=dagster_records()
    )
    with build_input_context(
        asset_key="raw_users",
        upstream_output=upstream,
        asset_partition_key_range=PartitionKeyRange(first.isoformat(), last.isoformat()),
        asset_partitions_def=DAILY,
        instance=dagster_records(),
    ) as context:
        return manager_of(data_dir, start_date).load_input(context)


def dated(records: Sequence[Any], days: Sequence[date]) -> pd.DataFrame:
    frame = observed(records)
    run_id = frame.attrs["run_id"]
    frame = frame.assign(changed_on=pd.Series([pd.Timestamp(day) for day in days], dtype="datetime64[s]"))
    frame.attrs["run_id"] = run_id
    return frame


def test_a_range_lands_a_file_for_each_of_its_partitions(tmp_path: Path) -> None:
    last = date(2026, 9, 4)

    metadata = land(tmp_path, dated([person(1), person(2), person(3)], [DAY, last, DAY]), DAY, last)

    assert metadata["records_new_in_landing"].value == 3
    assert [count_landed(tmp_path / "landing", "users", day) for day in (DAY, NEXT_DAY, last)] == [2, 0, 1]
    frame = load(tmp_path, DAY, last)
    assert sorted(json.loads(record)["id"] for record in frame["record"]) == [1, 2, 3]
    assert load(tmp_path, NEXT_DAY, NEXT_DAY).empty


def test_no_record_at_all_still_marks_each_partition_as_read(tmp_path: Path) -> None:
    land(tmp_path, dated([], []), DAY, NEXT_DAY)

    assert load(tmp_path, DAY, NEXT_DAY).empty
    with pytest.raises(NotLanded):
        load(tmp_path, DAY, date(2026, 9, 4))


def test_records_of_other_partitions_are_refused_rather_than_lost(tmp_path: Path) -> None:
    with pytest.raises(
        RecordsOutsidePartition, match=r"^1 records of users belong to 2026-09-03, .* Nothing"
    ):
        land(tmp_path, dated([person(1), person(2)], [DAY, NEXT_DAY]), DAY, DAY)

    assert landing_files(tmp_path / "landing", "users", DAY) == []


def test_a_start_that_moved_is_refused_before_anything_is_landed_or_read(tmp_path: Path) -> None:
    land(tmp_path, dated([person(1)], [DAY]), DAY, DAY)

    with pytest.raises(StartDateMoved):
        land(tmp_path, dated([person(2)], [DAY]), DAY, DAY, start_date="2026-09-02")
    with pytest.raises(StartDateMoved):
        load(tmp_path, DAY, DAY, start_date="2026-09-02")
    assert count_landed(tmp_path / "landing", "users", DAY) == 1


def test_the_landing_schema_is_that_of_the_files(tmp_path: Path) -> None:
    append_landing(tmp_path, "users", DAY, observed([person(1)]))

    (file,) = landing_files(tmp_path, "users", DAY)
    assert parquet.read_schema(file).equals(LANDING_SCHEMA, check_metadata=True)
