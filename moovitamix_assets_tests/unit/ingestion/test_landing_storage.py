import os
import random
from datetime import date, datetime
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest

from foundation.durable import sha256
from moovitamix_assets.ingestion.landing import (
    LANDING_SCHEMA,
    LoadsDamaged,
    StartDateDamaged,
    count_landed,
    damaged_loads,
    judged_files,
    newest_identities,
    read_landing,
    record_first_partition,
    record_judged,
)
from moovitamix_assets.ingestion.landing_storage import (
    LandingDamaged,
    damaged_landing_files,
    landed_days,
    landing_file_names,
    landing_files,
    missing_landing_files,
    read_landing_file,
    set_aside_damaged,
    was_loaded_from,
    write_landing_file,
)

DAY, NEXT_DAY = date(2026, 9, 2), date(2026, 9, 3)


def table(*numbers: int) -> pyarrow.Table:
    rows = [
        {"record": f'{{"id": {number}}}', "changed_at": None, "observed_at": None, "run_id": "r"}
        for number in numbers
    ]
    return pyarrow.Table.from_pylist(rows, schema=LANDING_SCHEMA)


def land(landing_dir: Path, *numbers: int, day: date = DAY, run_id: str = "run-0") -> Path:
    return write_landing_file(landing_dir / "users" / day.isoformat(), run_id, table(*numbers))


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_a_file_is_named_after_its_run_and_its_bytes(tmp_path: Path) -> None:
    first, retried = land(tmp_path, 1), land(tmp_path, 2)

    assert first.name == f"run-0.{sha256(first.read_bytes())}.parquet"
    assert retried.name == f"run-0-2.{sha256(retried.read_bytes())}.parquet"
    assert read_landing_file(first).equals(table(1))
    assert landing_file_names(tmp_path, "users", DAY) == sorted([first.name, retried.name])
    assert landed_days(tmp_path, "users") == [DAY]


def test_any_single_bit_that_flips_is_noticed_with_file_loss_and_remedy(tmp_path: Path) -> None:
    file = land(tmp_path, *range(50))
    bits = random.Random(7).sample(range(8 * file.stat().st_size), 200)
    for bit in bits:
        flip(file, bit)
        for reading in (read_landing, count_landed):
            with pytest.raises(LandingDamaged) as caught:
                reading(tmp_path, "users", [DAY] if reading is read_landing else DAY)  # type: ignore[operator]
            assert str(file) in str(caught.value)
            assert "records of users for 2026-09-02" in str(caught.value)
            assert "`moovitamix run --again --from 2026-09-02 --to 2026-09-02`" in str(caught.value)
        flip(file, bit)
    assert count_landed(tmp_path, "users", DAY) == 50


@pytest.mark.parametrize("left", [0, 1, 100, -1])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_truncated_file_is_named(tmp_path: Path, left: int, hashed: bool) -> None:
    file = land(tmp_path, 1, 2, 3)
    if not hashed:
        file = file.rename(file.with_name("run-0.parquet"))
    file.write_bytes(file.read_bytes()[:left])

    with pytest.raises(LandingDamaged, match=str(file)):
        count_landed(tmp_path, "users", DAY)


def test_a_file_of_an_earlier_version_is_read_and_its_name_not_taken(tmp_path: Path) -> None:
    folder = tmp_path / "users" / DAY.isoformat()
    folder.mkdir(parents=True)
    parquet.write_table(table(1, 2), folder / "run-0.parquet")

    land(tmp_path, 3)

    assert count_landed(tmp_path, "users", DAY) == 3
    assert [name.split(".")[0] for name in landing_file_names(tmp_path, "users", DAY)] == ["run-0-2", "run-0"]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    gone, kept = land(tmp_path, 1), land(tmp_path, 2, run_id="run-1")
    recorded = landing_file_names(tmp_path, "users", DAY)
    gone.unlink()

    assert missing_landing_files(tmp_path, "users", DAY, recorded) == [gone.name]
    assert missing_landing_files(tmp_path, "users", DAY, [kept.name]) == []


def test_damaged_files_of_the_days_named_are_set_aside_and_none_is_deleted(tmp_path: Path) -> None:
    whole, damaged = land(tmp_path / "landing", 1), land(tmp_path / "landing", 2, run_id="run-1")
    other_day = land(tmp_path / "landing", 3, day=NEXT_DAY)
    flip(damaged, 100)
    flip(other_day, 100)
    content = damaged.read_bytes()

    ((was, now),) = set_aside_damaged(tmp_path, [DAY])

    assert was == damaged
    assert now == tmp_path / "damaged" / "landing" / "users" / "2026-09-02" / damaged.name
    assert now.read_bytes() == content
    assert landing_files(tmp_path / "landing", "users", DAY) == [whole]
    assert [damage.file for damage in damaged_landing_files(tmp_path / "landing")] == [other_day]


def test_what_is_remembered_of_loads_is_named_if_altered_and_begun_anew_by_the_next_load(
    tmp_path: Path,
) -> None:
    moment = datetime(2026, 9, 6)
    name = land(tmp_path, 1).name
    record_judged(tmp_path, "users", moment, {DAY.isoformat(): [name]})
    file = tmp_path / "users" / DAY.isoformat() / "loads.json"
    assert judged_files(tmp_path, "users", DAY, moment) == [name]
    flip(file, 300)

    with pytest.raises(LoadsDamaged, match=rf"{file} .*`moovitamix run --again --from {DAY} --to {DAY}`"):
        judged_files(tmp_path, "users", DAY, moment)
    assert len(list(damaged_loads(tmp_path))) == 1

    record_judged(tmp_path, "users", moment, {DAY.isoformat(): [name]})
    assert judged_files(tmp_path, "users", DAY, moment) == [name]


def test_a_sample_of_what_is_known_does_without_a_damaged_file(tmp_path: Path) -> None:
    land(tmp_path, 1)
    flip(land(tmp_path, 2, day=NEXT_DAY), 300)

    assert newest_identities(tmp_path, "users", 10) == {(1,)}


def test_what_a_killed_writer_left_is_removed_by_the_next_and_a_living_ones_stays(tmp_path: Path) -> None:
    folder = tmp_path / "users" / DAY.isoformat()
    folder.mkdir(parents=True)
    dead, alive = folder / ".old.parquet.4194304", folder / f".other.parquet.{os.getppid()}"
    dead.touch()
    alive.touch()

    land(tmp_path, 1)

    assert not dead.exists()
    assert alive.exists()


def test_a_warehouse_is_expected_only_after_the_first_load(tmp_path: Path) -> None:
    record_first_partition(tmp_path, DAY)
    land(tmp_path / "landing", 1)
    assert not was_loaded_from(tmp_path / "landing")

    (tmp_path / "landing" / ".first_load").unlink()
    assert was_loaded_from(tmp_path / "landing")


def test_a_first_partition_that_was_altered_is_named(tmp_path: Path) -> None:
    record_first_partition(tmp_path, DAY)
    path = tmp_path / "start_date"
    for bit in range(8 * path.stat().st_size):
        flip(path, bit)
        with pytest.raises(StartDateDamaged, match=str(path)):
            record_first_partition(tmp_path, DAY)
        flip(path, bit)
    path.write_bytes(b"2026-0")
    with pytest.raises(StartDateDamaged, match=str(path)):
        record_first_partition(tmp_path, DAY)
    path.write_text("2026-09-02")  # as earlier versions wrote it
    record_first_partition(tmp_path, DAY)
