"""A landing area of no product in particular, and frames to be landed in it."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow

from foundation.json_records import canonical_json, parse_timestamp, whole_number
from foundation.landing.area import Landing
from foundation.landing.files import write_landing_file
from foundation.landing.partitions import LANDING_SCHEMA, read_landing
from foundation.program import Program

DAY, NEXT_DAY = date(2026, 9, 2), date(2026, 9, 3)
NOON = datetime(2026, 9, 5, 12)
PROGRAM = Program(command="films", environment_prefix="FILMS_")


def landing_at(folder: Path) -> Landing:
    return Landing(folder, PROGRAM, identify)


def identify(endpoint: str, record: object) -> tuple[object, ...] | None:
    """Sessions by user and beginning, everything else by its id."""
    fields = record if isinstance(record, dict) else {}
    number = whole_number(fields.get("user_id" if endpoint == "sessions" else "id"))
    beginning = parse_timestamp(fields.get("created_at")) if endpoint == "sessions" else None
    if number is None or (endpoint == "sessions" and beginning is None):
        return None
    return (number,) if beginning is None else (number, beginning)


def observed(records: Sequence[Any], hour: int = 0, run_id: str | None = None) -> pd.DataFrame:
    """The frame of a reading that begins at noon and `hour` hours."""
    frame = pd.DataFrame(
        {
            "record": pd.Series([canonical_json(record) for record in records], dtype=object),
            "changed_at": pd.Series(
                [
                    parse_timestamp(record.get("created_at")) if isinstance(record, dict) else None
                    for record in records
                ],
                dtype="datetime64[us]",
            ),
            "observed_at": pd.Series([NOON + timedelta(hours=hour)] * len(records), dtype="datetime64[us]"),
            "run_id": run_id or f"run-{hour}",
        }
    )
    frame.attrs = {"run_id": run_id or f"run-{hour}", "read_at": (NOON + timedelta(hours=hour)).isoformat()}
    return frame


def user(number: Any, gender: str = "") -> dict[str, Any]:
    return {"id": number, "gender": gender, "created_at": "2026-09-02T10:00:00"}


def session(number: Any, items: Any, created_at: str = "2026-09-02T10:00:00") -> dict[str, Any]:
    return {"user_id": number, "items": items, "created_at": created_at}


def landed(landing: Landing, endpoint: str = "users", day: date = DAY) -> list[Any]:
    """The landed records by the time at which they were read."""
    frame = read_landing(landing, endpoint, [day]).sort_values(["observed_at", "record"])
    return [json.loads(record) for record in frame["record"]]


def landing_table(*numbers: int) -> pyarrow.Table:
    rows = [
        {"record": f'{{"id": {number}}}', "changed_at": None, "observed_at": None, "run_id": "r"}
        for number in numbers
    ]
    return pyarrow.Table.from_pylist(rows, schema=LANDING_SCHEMA)


def land_file(landing_dir: Path, *numbers: int, day: date = DAY, run_id: str = "run-0") -> Path:
    return write_landing_file(landing_dir / "users" / day.isoformat(), run_id, landing_table(*numbers))


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
