from datetime import datetime
from pathlib import Path

import pytest

from foundation.landing.judged_files import LoadsDamaged, damaged_loads, judged_files, record_judged
from foundation_tests.unit.landing.areas import DAY, flip, land_file, landing_at


def test_what_is_remembered_of_loads_is_named_if_altered_and_begun_anew_by_the_next_load(
    tmp_path: Path,
) -> None:
    moment = datetime(2026, 9, 6)
    name = land_file(tmp_path, 1).name
    record_judged(landing_at(tmp_path), "users", moment, {DAY.isoformat(): [name]})
    file = tmp_path / "users" / DAY.isoformat() / "loads.json"
    assert judged_files(landing_at(tmp_path), "users", DAY, moment) == [name]
    flip(file, 300)

    with pytest.raises(LoadsDamaged, match=rf"{file} .*`films run --again --from {DAY} --to {DAY}`"):
        judged_files(landing_at(tmp_path), "users", DAY, moment)
    assert len(list(damaged_loads(landing_at(tmp_path)))) == 1

    record_judged(landing_at(tmp_path), "users", moment, {DAY.isoformat(): [name]})
    assert judged_files(landing_at(tmp_path), "users", DAY, moment) == [name]
