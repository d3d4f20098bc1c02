import os
import random
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from foundation.durable import sha256
from foundation.landing.files import (
    LandingDamaged,
    damaged_landing_files,
    landed_days,
    landing_file_names,
    landing_files,
    missing_landing_files,
    read_landing_file,
    set_aside_damaged,
    was_loaded_from,
)
from foundation.landing.first_partition import record_first_partition
from foundation.landing.partitions import (
    count_landed,
    read_landing,
)
from foundation_tests.unit.landing.areas import (
    DAY,
    NEXT_DAY,
    PROGRAM,
    flip,
    land_file,
    landing_at,
    landing_table,
)


def test_a_file_is_named_after_its_run_and_its_bytes(tmp_path: Path) -> None:
    first, retried = land_file(tmp_path, 1), land_file(tmp_path, 2)

    assert first.name == f"run-0.{sha256(first.read_bytes())}.parquet"
    assert retried.name == f"run-0-2.{sha256(retried.read_bytes())}.parquet"
    assert read_landing_file(first, PROGRAM).equals(landing_table(1))
    assert landing_file_names(tmp_path, "users", DAY) == sorted([first.name, retried.name])
    assert landed_days(tmp_path, "users") == [DAY]


def test_any_single_bit_that_flips_is_noticed_with_file_loss_and_remedy(tmp_path: Path) -> None:
    file = land_file(tmp_path, *range(50))
    bits = random.Random(7).sample(range(8 * file.stat().st_size), 200)
    for bit in bits:
        flip(file, bit)
        for reading in (read_landing, count_landed):
            with pytest.raises(LandingDamaged) as caught:
                reading(landing_at(tmp_path), "users", [DAY] if reading is read_landing else DAY)  # type: ignore[operator]
            assert str(file) in str(caught.value)
            assert "records of users for 2026-09-02" in str(caught.value)
            assert "`films run --again --from 2026-09-02 --to 2026-09-02`" in str(caught.value)
        flip(file, bit)
    assert count_landed(landing_at(tmp_path), "users", DAY) == 50


@pytest.mark.parametrize("left", [0, 1, 100, -1])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_truncated_file_is_named(tmp_path: Path, left: int, hashed: bool) -> None:
    file = land_file(tmp_path, 1, 2, 3)
    if not hashed:
        file = file.rename(file.with_name("run-0.parquet"))
    file.write_bytes(file.read_bytes()[:left])

    with pytest.raises(LandingDamaged, match=str(file)):
        count_landed(landing_at(tmp_path), "users", DAY)


def test_a_file_of_an_earlier_version_is_read_and_its_name_not_taken(tmp_path: Path) -> None:
    folder = tmp_path / "users" / DAY.isoformat()
    folder.mkdir(parents=True)
    parquet.write_table(landing_table(1, 2), folder / "run-0.parquet")

    land_file(tmp_path, 3)

    assert count_landed(landing_at(tmp_path), "users", DAY) == 3
    assert [name.split(".")[0] for name in landing_file_names(tmp_path, "users", DAY)] == ["run-0-2", "run-0"]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    gone, kept = land_file(tmp_path, 1), land_file(tmp_path, 2, run_id="run-1")
    recorded = landing_file_names(tmp_path, "users", DAY)
    gone.unlink()

    assert missing_landing_files(tmp_path, "users", DAY, recorded) == [gone.name]
    assert missing_landing_files(tmp_path, "users", DAY, [kept.name]) == []


def test_damaged_files_of_the_days_named_are_set_aside_and_none_is_deleted(tmp_path: Path) -> None:
    whole, damaged = land_file(tmp_path / "landing", 1), land_file(tmp_path / "landing", 2, run_id="run-1")
    other_day = land_file(tmp_path / "landing", 3, day=NEXT_DAY)
    flip(damaged, 100)
    flip(other_day, 100)
    content = damaged.read_bytes()

    ((was, now),) = set_aside_damaged(landing_at(tmp_path / "landing"), [DAY])

    assert was == damaged
    assert now == tmp_path / "damaged" / "landing" / "users" / "2026-09-02" / damaged.name
    assert now.read_bytes() == content
    assert landing_files(tmp_path / "landing", "users", DAY) == [whole]
    assert [damage.file for damage in damaged_landing_files(landing_at(tmp_path / "landing"))] == [other_day]


def test_what_a_killed_writer_left_is_removed_by_the_next_and_a_living_ones_stays(tmp_path: Path) -> None:
    folder = tmp_path / "users" / DAY.isoformat()
    folder.mkdir(parents=True)
    dead, alive = folder / ".old.parquet.4194304", folder / f".other.parquet.{os.getppid()}"
    dead.touch()
    alive.touch()

    land_file(tmp_path, 1)

    assert not dead.exists()
    assert alive.exists()


def test_a_warehouse_is_expected_only_after_the_first_load(tmp_path: Path) -> None:
    record_first_partition(landing_at(tmp_path / "landing"), DAY)
    land_file(tmp_path / "landing", 1)
    assert not was_loaded_from(tmp_path / "landing")

    (tmp_path / "landing" / ".first_load").unlink()
    assert was_loaded_from(tmp_path / "landing")
