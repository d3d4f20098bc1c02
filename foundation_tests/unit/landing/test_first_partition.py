import os
from pathlib import Path

import pytest

from foundation.landing.first_partition import StartDateDamaged, StartDateMoved, record_first_partition
from foundation_tests.unit.landing.areas import DAY, NEXT_DAY, flip, landing_at


def test_the_first_partition_is_recorded_once_and_another_one_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    record_first_partition(landing_at(data_dir / "landing"), DAY)
    record_first_partition(landing_at(data_dir / "landing"), DAY)

    with pytest.raises(StartDateMoved, match=r"is 2026-09-03, .* loaded with 2026-09-02\. Set it back"):
        record_first_partition(landing_at(data_dir / "landing"), NEXT_DAY)

    assert sorted(os.listdir(data_dir)) == ["landing", "start_date"]


def test_a_first_partition_that_was_altered_is_named(tmp_path: Path) -> None:
    record_first_partition(landing_at(tmp_path / "landing"), DAY)
    path = tmp_path / "start_date"
    for bit in range(8 * path.stat().st_size):
        flip(path, bit)
        with pytest.raises(StartDateDamaged, match=str(path)):
            record_first_partition(landing_at(tmp_path / "landing"), DAY)
        flip(path, bit)
    path.write_bytes(b"2026-0")
    with pytest.raises(StartDateDamaged, match=str(path)):
        record_first_partition(landing_at(tmp_path / "landing"), DAY)
    path.write_text("2026-09-02")  # as earlier versions wrote it
    record_first_partition(landing_at(tmp_path / "landing"), DAY)
