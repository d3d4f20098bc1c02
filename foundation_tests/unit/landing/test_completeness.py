"""Whether a partition was read after its day had ended."""

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from foundation.landing.completeness import (
    ReadTooEarly,
    forget_reading,
    refuse_read_too_early,
    was_read_after_end,
)
from foundation.landing.files import landing_files
from foundation.landing.partitions import append_landing
from foundation_tests.unit.landing.areas import landing_at, observed, user

DAY = date(2026, 9, 3)
EARLY, AFTER = datetime(2026, 9, 3, 23, 59), datetime(2026, 9, 4)


def land(folder: Path, *numbers: int, observed_at: datetime = AFTER, run: str = "run") -> None:
    frame = observed([user(number) for number in numbers], run_id=run)
    attrs = frame.attrs
    frame = frame.assign(observed_at=pd.Series([observed_at] * len(frame), dtype="datetime64[us]"))
    frame.attrs = attrs
    append_landing(landing_at(folder), "users", DAY, frame)


@pytest.mark.parametrize(("observed_at", "complete"), [(EARLY, False), (AFTER, True)])
def test_a_day_is_complete_if_it_was_read_after_its_end(
    observed_at: datetime, complete: bool, tmp_path: Path
) -> None:
    assert not was_read_after_end(landing_at(tmp_path), "users", DAY)
    land(tmp_path, 1, observed_at=observed_at)
    assert was_read_after_end(landing_at(tmp_path), "users", DAY) == complete


def test_one_reading_after_the_end_is_enough(tmp_path: Path) -> None:
    land(tmp_path, 1, observed_at=AFTER, run="b")
    land(tmp_path, 2, observed_at=EARLY, run="a")
    refuse_read_too_early(landing_at(tmp_path), "users", [DAY])


@pytest.mark.parametrize(("observed_at", "complete"), [(EARLY, False), (AFTER, True)])
def test_a_file_without_records_was_read_when_it_was_written(
    observed_at: datetime, complete: bool, tmp_path: Path
) -> None:
    land(tmp_path)
    (file,) = landing_files(tmp_path, "users", DAY)
    written = observed_at.replace(tzinfo=UTC).timestamp()
    os.utime(file, (written, written))
    assert was_read_after_end(landing_at(tmp_path), "users", DAY) == complete


def test_a_day_forgotten_is_read_again_and_its_files_stay(tmp_path: Path) -> None:
    assert not forget_reading(tmp_path, "users", DAY)
    land(tmp_path, 1, run="first")
    assert forget_reading(tmp_path, "users", DAY)
    with pytest.raises(ReadTooEarly, match="users was read for 2026-09-03"):
        refuse_read_too_early(landing_at(tmp_path), "users", [DAY])
    land(tmp_path, 1, run="second")
    refuse_read_too_early(landing_at(tmp_path), "users", [DAY])
    assert [file.name.split(".")[0] for file in landing_files(tmp_path, "users", DAY)] == ["first", "second"]
