"""Looking for records of the source in landing."""

from datetime import date, datetime
from pathlib import Path

import pandas as pd

from foundation.json_records import canonical_json
from foundation.landing.partitions import append_landing
from moovitamix_assets.ingestion.client.records import Record, changed_at, identity
from moovitamix_assets.ingestion.known_records import count_unknown
from moovitamix_assets.ingestion.landing import landing_at

DAY, NEXT = date(2026, 9, 3), date(2026, 9, 4)
EARLY, AFTER = datetime(2026, 9, 3, 23, 59), datetime(2026, 9, 4)


def record(number: int, at: str = "2026-09-03T08:00:00", **fields: object) -> Record:
    user = {"id": number, "created_at": at, "updated_at": at} | fields
    return Record(canonical_json(user), changed_at(user), identity("users", user))


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
    append_landing(landing_at(folder), "users", day, frame)


def test_records_are_looked_for_on_the_day_of_their_change(tmp_path: Path) -> None:
    land(tmp_path, record(1), record(2), record(3, "2026-09-03T09:00:00"))
    land(tmp_path, record(4, "2026-09-04T08:00:00"), day=NEXT, observed_at=datetime(2026, 9, 5))
    sample = {
        DAY: [record(1, name="another"), record(2), record(9), record(9)],
        NEXT: [record(3, "2026-09-04T08:00:00"), record(None, "2026-09-04T08:00:00")],  # type: ignore[arg-type]
        date(2026, 9, 2): [record(5, "2026-09-02T08:00:00")],
    }
    assert count_unknown(landing_at(tmp_path), "users", sample) == (4, 2)


def test_days_read_before_their_end_are_not_compared(tmp_path: Path) -> None:
    land(tmp_path, record(1), observed_at=EARLY)
    assert count_unknown(landing_at(tmp_path), "users", {DAY: [record(2)]}) == (0, 0)


def test_only_the_days_with_the_most_records_are_checked(tmp_path: Path) -> None:
    days = [date(2026, 9, number) for number in range(1, 13)]
    for day in days:
        land(tmp_path, record(1, f"{day}T08:00:00"), day=day, observed_at=datetime(2026, 10, 1))
    sample = {day: [record(1, f"{day}T08:00:00")] for day in days}
    sample[days[-1]] += [record(2, f"{days[-1]}T08:00:00")]
    assert count_unknown(landing_at(tmp_path), "users", sample) == (11, 1)
