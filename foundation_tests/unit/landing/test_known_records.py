from datetime import datetime
from pathlib import Path

from foundation.landing.known_records import newest_keys
from foundation.landing.partitions import (
    append_landing,
)
from foundation_tests.unit.landing.areas import (
    DAY,
    NEXT_DAY,
    flip,
    land_file,
    landing_at,
    observed,
    session,
    user,
)


def test_the_newest_keys_come_from_the_newest_partitions(tmp_path: Path) -> None:
    append_landing(landing_at(tmp_path), "users", DAY, observed([user(1), user(2)]))
    append_landing(
        landing_at(tmp_path), "users", NEXT_DAY, observed([user(3), user(None), user("3", "c"), user(3, "b")])
    )

    assert newest_keys(landing_at(tmp_path), "users", 1) == {(3,)}
    assert len(newest_keys(landing_at(tmp_path), "users", 2)) == 2
    assert (3,) in newest_keys(landing_at(tmp_path), "users", 2)
    assert newest_keys(landing_at(tmp_path), "users", 3) == {(1,), (2,), (3,)}
    assert newest_keys(landing_at(tmp_path), "users", 1000) == {(1,), (2,), (3,)}


def test_nothing_landed_is_nothing_known(tmp_path: Path) -> None:
    assert newest_keys(landing_at(tmp_path / "absent"), "users", 10) == set()


def test_sessions_are_known_by_user_and_beginning(tmp_path: Path) -> None:
    append_landing(
        landing_at(tmp_path), "sessions", DAY, observed([session(1, []), session(1, [5], "never")])
    )

    assert newest_keys(landing_at(tmp_path), "sessions", 10) == {(1, datetime(2026, 9, 2, 10))}


def test_a_sample_skips_a_damaged_file(tmp_path: Path) -> None:
    land_file(tmp_path, 1)
    flip(land_file(tmp_path, 2, day=NEXT_DAY), 300)

    assert newest_keys(landing_at(tmp_path), "users", 10) == {(1,)}
