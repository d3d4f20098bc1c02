"""From landed records to accepted and rejected rows: pure functions, one parser per table.

Only what cannot be used is rejected; any other bad field becomes NULL. Which version of a record counts within a
partition is decided here too. Reading landing files and writing tables do not belong here.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd

from moovitamix_assets.ingestion.records import parse_timestamp
from moovitamix_assets.warehouse.schemas import (
    MAXIMUM_POSITION,
    PARTITION_LOADS,
    RECORD_KEYS,
    REJECTED_TABLES,
    SOURCE_TABLES,
    empty_frame,
)

Row = dict[str, Any]

_INT64 = range(-(2**63), 2**63)
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_DURATION = re.compile(r"(\d{1,3}):([0-5]\d)", re.ASCII)


class Unusable(Exception):
    """A record that cannot become rows; `args` are the reasons, in plain words."""


@dataclass(frozen=True)
class CleanedPartitions:
    """What became of the records of one or more partitions of one table, to be stored as one.

    Attributes:
        accepted: Rows of the table.
        rejected: Rows of its `rejected_` table.
        loads: Rows of `partition_loads`, one per partition, empty ones too.
    """

    accepted: pd.DataFrame
    rejected: pd.DataFrame
    loads: pd.DataFrame


def clean(
    table: str, landed: pd.DataFrame, partitions: Sequence[date], loaded_at: datetime
) -> CleanedPartitions:
    """Sort the records of some partitions into accepted rows, rejected records, duplicates and older versions.

    Args:
        table: `users`, `tracks` or `listens`.
        landed: One row per record: `record` (canonical JSON), `changed_at`, `observed_at`, `changed_on`.
        partitions: Every partition being loaded; each gets its line in `loads`, whether it has records or not.
        loaded_at: Wall clock, naive UTC.
    """
    distinct = landed.sort_values("observed_at", kind="stable").drop_duplicates(
        ["changed_on", "record"], keep="last"
    )
    parsed = [_parse(table, record) for record in distinct["record"]]
    versions = distinct.assign(
        rows=pd.Series([rows for rows, _ in parsed], index=distinct.index, dtype=object),
        reasons=pd.Series([reasons for _, reasons in parsed], index=distinct.index, dtype=object),
    )
    usable = versions[versions["rows"].notna()]
    newest = _newest_versions(table, usable)
    rejected = versions[versions["rows"].isna()]

    counts = pd.DataFrame(
        {
            "received": landed.groupby("changed_on").size(),
            "distinct": distinct.groupby("changed_on").size(),
            "usable": usable.groupby("changed_on").size(),
            "accepted": newest.groupby("changed_on").size(),
            "rejected": rejected.groupby("changed_on").size(),
        },
        index=pd.DatetimeIndex(pd.to_datetime(list(partitions)).astype("datetime64[s]"), name="changed_on"),
    )
    accepted = _accepted_frame(table, newest, loaded_at)
    counts["stored_rows"] = accepted.groupby("changed_on").size()
    counts = counts.fillna(0).astype("int64")
    loads = counts.assign(
        table_name=table,
        duplicates=counts["received"] - counts["distinct"],
        superseded=counts["usable"] - counts["accepted"],
        loaded_at=loaded_at,
    ).reset_index()
    return CleanedPartitions(
        accepted=accepted,
        rejected=_rejected_frame(table, rejected, loaded_at),
        loads=loads[list(PARTITION_LOADS.columns)],
    )


def _parse(table: str, record: str) -> tuple[list[Row] | None, list[str] | None]:
    """The rows that a record becomes, or the reasons why it becomes none."""
    try:
        return _PARSERS[table](json.loads(record)), None
    except Unusable as unusable:
        return None, [str(reason) for reason in unusable.args]


def _newest_versions(table: str, usable: pd.DataFrame) -> pd.DataFrame:
    """One version per partition and key: latest change, then latest observation, then greatest text."""
    keys = RECORD_KEYS[table]
    keyed = usable.assign(**{key: [rows[0][key] for rows in usable["rows"]] for key in keys})
    ordered = keyed.sort_values(["changed_at", "observed_at", "record"], na_position="first", kind="stable")
    newest = ordered.drop_duplicates(["changed_on", *keys], keep="last")
    return newest.sort_values(["changed_on", *keys], kind="stable")


def _accepted_frame(table: str, newest: pd.DataFrame, loaded_at: datetime) -> pd.DataFrame:
    if newest.empty:
        return empty_frame(SOURCE_TABLES[table])
    rows = [
        row | {"changed_on": changed_on}
        for changed_on, session in zip(newest["changed_on"], newest["rows"], strict=True)
        for row in session
    ]
    return pd.DataFrame(rows).assign(loaded_at=loaded_at)[list(SOURCE_TABLES[table].columns)]


def _rejected_frame(table: str, rejected: pd.DataFrame, loaded_at: datetime) -> pd.DataFrame:
    schema = REJECTED_TABLES[table]
    if rejected.empty:
        return empty_frame(schema)
    ordered = rejected.sort_values(["changed_on", "record"], kind="stable")
    return ordered.assign(record=ordered["record"].map(_as_strict_json), loaded_at=loaded_at)[
        list(schema.columns)
    ]


def _as_strict_json(record: str) -> str:
    """The record as the JSON type takes it: Python also reads NaN and Infinity, which are then kept as text."""
    if "NaN" not in record and "Infinity" not in record:
        return record
    try:
        json.loads(record, parse_constant=_refuse_constant)
    except ValueError:
        return json.dumps(record)
    return record


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)


def _user(record: object) -> list[Row]:
    fields = _object(record)
    return [
        {
            "user_id": _identifier(fields, "id"),
            "first_name": _text(fields.get("first_name")),
            "last_name": _text(fields.get("last_name")),
            "email": _email(fields.get("email")),
            "gender": _text(fields.get("gender")),
            "favorite_genres": _texts(fields.get("favorite_genres")),
            "created_at": parse_timestamp(fields.get("created_at")),
            "updated_at": parse_timestamp(fields.get("updated_at")),
        }
    ]


def _track(record: object) -> list[Row]:
    fields = _object(record)
    return [
        {
            "track_id": _identifier(fields, "id"),
            "name": _text(fields.get("name")),
            "artist": _text(fields.get("artist")),
            "songwriters": _text(fields.get("songwriters")),
            "duration_seconds": _duration(fields.get("duration")),
            "genres": _texts(fields.get("genres")),
            "album": _text(fields.get("album")),
            "created_at": parse_timestamp(fields.get("created_at")),
            "updated_at": parse_timestamp(fields.get("updated_at")),
        }
    ]


def _session(record: object) -> list[Row]:
    fields = _object(record)
    reasons = []
    user_id = _integer(fields.get("user_id"))
    if user_id is None:
        reasons.append(f"no usable user_id: {_shown(fields.get('user_id'))}")
    listened_at = parse_timestamp(fields.get("created_at"))
    if listened_at is None:
        reasons.append(f"no readable created_at: {_shown(fields.get('created_at'))}")
    items = fields.get("items")
    placed = (
        [(place, _integer(item)) for place, item in enumerate(items, start=1)]
        if isinstance(items, list)
        else []
    )
    heard = [(place, track_id) for place, track_id in placed if track_id is not None]
    if not heard:
        reasons.append(f"not a single usable track in items: {_shown(items)}")
    if len(placed) > MAXIMUM_POSITION:
        reasons.append(f"{len(placed)} items, more than the {MAXIMUM_POSITION} that a session can hold")
    if reasons:
        raise Unusable(*reasons)
    session_updated_at = parse_timestamp(fields.get("updated_at"))
    return [
        {
            "user_id": user_id,
            "track_id": track_id,
            "listened_at": listened_at,
            "position": place,
            "session_updated_at": session_updated_at,
        }
        for place, track_id in heard
    ]


_PARSERS: dict[str, Callable[[object], list[Row]]] = {"users": _user, "tracks": _track, "listens": _session}


def _object(record: object) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise Unusable(f"not an object: {_shown(record)}")
    return record


def _identifier(fields: dict[str, Any], name: str) -> int:
    number = _integer(fields.get(name))
    if number is None:
        raise Unusable(f"no usable {name}: {_shown(fields.get(name))}")
    return number


def _integer(value: object) -> int | None:
    """A whole number of 64 bits, also where it came as text or as a float without fraction."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,19}\s*", value, re.ASCII):
        value = int(value)
    return value if isinstance(value, int) and value in _INT64 else None


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None


def _texts(value: object) -> list[str] | None:
    """A list of words, also where one word or several with commas came as one text."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        return None
    return [text for text in map(_text, parts) if text] or None


def _email(value: object) -> str | None:
    text = _text(value)
    return text if text and _EMAIL.fullmatch(text) else None


def _duration(value: object) -> int | None:
    """Seconds of "MM:SS"; None for anything else, and for no time at all."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return (int(found[1]) * 60 + int(found[2]) or None) if found else None


def _shown(value: object) -> str:
    """A value as a reason quotes it, cut to a readable length."""
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
