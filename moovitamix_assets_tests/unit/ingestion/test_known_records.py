"""What landing knows: whether a day was read after its end, and which records of it are known."""

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from moovitamix_assets.ingestion.client.records import Record, canonical_json, changed_at
from moovitamix_assets.ingestion.known_records import (
    ReadTooEarly,
    count_unknown,
    forget_reading,
    refuse_read_too_early,
    was_read_after_end,
)
from moovitamix_assets.ingestion.landing import append_landing, landing_files

DAY, NEXT = date(2026, 9, 3), date(2026, 9, 4)
EARLY, AFTER = datetime(2026, 9, 3, 23, 59), datetime(2026, 9, 4)


def record(number: int, at: str = "2026-09-03T08:00:00", **fields: object) -> Record:
    user = {"id": number, "created_at": at, "updated_at": at} | fields
    return Record(canonical_json(user), changed_at(user))


def land(
    folder: Path, *records: Record, observed_at: datetime = AFTER, day: date = DAY, run: str = "run"
) -> None:
    frame = pd.DataFrame(
        {
            "record": pd.Series([each.json for each in records], dtype=object),
            "changed_at": pd.Series([each.changed_at for each in records], dtype="datetime64[us]"),
            "observed_at": pd.Series([observed_at] * len(records), dtype="datetime64[us]"),
            "run_id": run,
        }
    )
    frame.attrs["run_id"] = run
    append_landing(folder, "users", day, frame)


@pytest.mark.parametrize(("observed_at", "complete"), [(EARLY, False), (AFTER, True)])
def test_a_day_is_complete_if_it_was_read_after_its_end(
    observed_at: datetime, complete: bool, tmp_path: Path
) -> None:
    assert not was_read_after_end(tmp_path, "users", DAY)
    land(tmp_path, record(1), observed_at=observed_at)
    assert was_read_after_end(tmp_path, "users", DAY) == complete


def test_one_reading_after_the_end_is_enough(tmp_path: Path) -> None:
    land(tmp_path, record(1), observed_at=AFTER, run="b")
    land(tmp_path, record(2), observed_at=EARLY, run="a")
    refuse_read_too_early(tmp_path, "users", [DAY])


@pytest.mark.parametrize(("observed_at", "complete"), [(EARLY, False), (AFTER, True)])
def test_a_file_without_records_was_read_when_it_was_written(
    observed_at: datetime, complete: bool, tmp_path: Path
) -> None:
    land(tmp_path)
    (file,) = landing_files(tmp_path, "users", DAY)
    written = observed_at.replace(tzinfo=UTC).timestamp()
    os.utime(file, (written, written))
    assert was_read_after_end(tmp_path, "users", DAY) == complete


def test_a_day_forgotten_is_read_again_and_its_files_stay(tmp_path: Path) -> None:
    assert not forget_reading(tmp_path, "users", DAY)
    land(tmp_path, record(1), run="first")
    assert forget_reading(tmp_path, "users", DAY)
    with pytest.raises(ReadTooEarly, match="users was read for 2026-09-03"):
        refuse_read_too_early(tmp_path, "users", [DAY])
    land(tmp_path, record(1), run="second")
    refuse_read_too_early(tmp_path, "users", [DAY])
    assert [file.name.split(".")[0] for file in landing_files(tmp_path, "users", DAY)] == ["first", "second"]


def test_records_are_looked_for_on_the_day_of_their_change(tmp_path: Path) -> None:
    land(tmp_path, record(1), record(2), record(3, "2026-09-03T09:00:00"))
    land(tmp_path, record(4, "2026-09-04T08:00:00"), day=NEXT, observed_at=datetime(2026, 9, 5))
    sample = {
        DAY: [record(1, name="another"), record(2), record(9), record(9)],
        NEXT: [record(3, "2026-09-04T08:00:00"), record(None, "2026-09-04T08:00:00")],  # type: ignore[arg-type]
        date(2026, 9, 2): [record(5, "2026-09-02T08:00:00")],
    }
    assert count_unknown(tmp_path, "users", sample) == (4, 2)


def test_days_read_before_their_end_say_nothing_of_what_should_be_known(tmp_path: Path) -> None:
    land(tmp_path, record(1), observed_at=EARLY)
    assert count_unknown(tmp_path, "users", {DAY: [record(2)]}) == (0, 0)


def test_only_the_days_with_the_most_records_are_looked_at(tmp_path: Path) -> None:
    days = [date(2026, 9, number) for number in range(1, 13)]
    for day in days:
        land(tmp_path, record(1, f"{day}T08:00:00"), day=day, observed_at=datetime(2026, 10, 1))
    sample = {day: [record(1, f"{day}T08:00:00")] for day in days}
    sample[days[-1]] += [record(2, f"{days[-1]}T08:00:00")]
    assert count_unknown(tmp_path, "users", sample) == (11, 1)
