"""Reading one landed record: the values of a person, a track or a session, or why it cannot be used.

Only what cannot be used is refused; any other bad field becomes None. Pure functions of one record: what becomes of
several of them together does not belong here.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from moovitamix_assets.ingestion.client.records import canonical_json, parse_timestamp
from moovitamix_assets.warehouse.schemas import MAXIMUM_POSITION

_LEAST, _GREATEST = -(2**63), 2**63 - 1
_WHOLE_NUMBER = re.compile(r"\s*-?\d{1,19}\s*", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_DURATION = re.compile(r"(\d{1,3}):([0-5]\d)", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Unusable:
    """A record that cannot become rows.

    Attributes:
        reasons: Why, in plain words. Before a colon stand fixed words only; what was found stands after it.
        key: The record's key, as far as it is readable: a session without a usable track still names its user and
            time, so that a newer observation of it can be recognised.
    """

    reasons: list[str]
    key: tuple[int, datetime] | None = None


class Session(NamedTuple):
    """What a listening session says.

    Attributes:
        user_id: Who listened.
        listened_at: The session's `created_at`, naive UTC.
        session_updated_at: Naive UTC; None if missing or unreadable.
        track_ids: What was played, in order; None where an item is no id.
    """

    user_id: int
    listened_at: datetime
    session_updated_at: datetime | None
    track_ids: list[int | None]


def parse_record(table: str, record: str) -> tuple[Any, ...] | Unusable:
    """What a record says.

    Args:
        table: `users`, `tracks` or `listens`.
        record: Its JSON.

    Returns:
        A `Session`, or a person's or track's values in the order of `PROFILE_COLUMNS`; or why it is unusable.
    """
    try:
        return _PARSERS[table](json.loads(record))
    except (ValueError, RecursionError):
        # Numbers of thousands of digits and nesting without end are JSON, but nothing that could be read.
        return Unusable(["not readable as JSON"])


def storable_json(record: str) -> str:
    """A record as a JSON column takes it: itself, or within a JSON text where it is none in the strict sense.

    Python also reads NaN, Infinity and half surrogate pairs. A record that is a text is put within one too:
    so wherever a text is stored, that text is the record.
    """
    try:
        value = json.loads(record, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return json.dumps(record)
    return json.dumps(record) if isinstance(value, str) else record


def whole_number(value: object) -> int | None:
    """A whole number of 64 bits, also where it came as text or as a float without fraction."""
    if isinstance(value, str):
        value = int(value) if _WHOLE_NUMBER.fullmatch(value) else None
    elif isinstance(value, float):
        value = int(value) if math.isfinite(value) and value.is_integer() else None
    # Not isinstance: true is no number here.
    return value if type(value) is int and _LEAST <= value <= _GREATEST else None


def text(value: object) -> str | None:
    """A text without blanks around it; None if it is empty or no text."""
    if not isinstance(value, str):
        return None
    # Half a surrogate pair has no form in UTF-8, hence none in a table.
    whole = value if value.isascii() else _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    return whole.strip() or None


def texts(value: object) -> list[str] | None:
    """A list of words, also where one word or several with commas came as one text."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        return None
    return [part for part in map(text, parts) if part] or None


def email(value: object) -> str | None:
    """An address that could be one."""
    address = text(value)
    return address if address and _EMAIL.fullmatch(address) else None


def duration_seconds(value: object) -> int | None:
    """Seconds of "MM:SS"; None for anything else, and for no time at all."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return (int(found[1]) * 60 + int(found[2]) or None) if found else None


_Field = tuple[str, Callable[[object], Any]]
# Column by column: the field of the record and how it is read. The key comes first.
_USER_FIELDS: dict[str, _Field] = {
    "user_id": ("id", whole_number),
    "first_name": ("first_name", text),
    "last_name": ("last_name", text),
    "email": ("email", email),
    "gender": ("gender", text),
    "favorite_genres": ("favorite_genres", texts),
    "created_at": ("created_at", parse_timestamp),
    "updated_at": ("updated_at", parse_timestamp),
}
_TRACK_FIELDS: dict[str, _Field] = {
    "track_id": ("id", whole_number),
    "name": ("name", text),
    "artist": ("artist", text),
    "songwriters": ("songwriters", text),
    "duration_seconds": ("duration", duration_seconds),
    "genres": ("genres", texts),
    "album": ("album", text),
    "created_at": ("created_at", parse_timestamp),
    "updated_at": ("updated_at", parse_timestamp),
}
PROFILE_COLUMNS = {"users": tuple(_USER_FIELDS), "tracks": tuple(_TRACK_FIELDS)}


def _profile_parser(fields: Mapping[str, _Field]) -> Callable[[object], tuple[Any, ...] | Unusable]:
    readers = tuple(fields.values())

    def parse(record: object) -> tuple[Any, ...] | Unusable:
        if not isinstance(record, dict):
            return _no_object(record)
        values = tuple(read(record.get(field)) for field, read in readers)
        return values if values[0] is not None else Unusable([f"no usable id: {_shown(record.get('id'))}"])

    return parse


def _session(record: object) -> Session | Unusable:
    if not isinstance(record, dict):
        return _no_object(record)
    user_id = whole_number(record.get("user_id"))
    listened_at = parse_timestamp(record.get("created_at"))
    items = record.get("items")
    track_ids = [whole_number(item) for item in items] if isinstance(items, list) else []
    heard = len(track_ids) - track_ids.count(None)
    if user_id is not None and listened_at is not None and heard and len(track_ids) <= MAXIMUM_POSITION:
        return Session(user_id, listened_at, parse_timestamp(record.get("updated_at")), track_ids)
    reasons = []
    if user_id is None:
        reasons.append(f"no usable user_id: {_shown(record.get('user_id'))}")
    if listened_at is None:
        reasons.append(f"no readable created_at: {_shown(record.get('created_at'))}")
    if not heard:
        reasons.append(f"not a single usable track in items: {_shown(items)}")
    if len(track_ids) > MAXIMUM_POSITION:
        reasons.append(f"more than the {MAXIMUM_POSITION} items that a session can hold: {len(track_ids)}")
    return Unusable(reasons, None if user_id is None or listened_at is None else (user_id, listened_at))


_PARSERS: dict[str, Callable[[object], tuple[Any, ...] | Unusable]] = {
    "users": _profile_parser(_USER_FIELDS),
    "tracks": _profile_parser(_TRACK_FIELDS),
    "listens": _session,
}


def _no_object(record: object) -> Unusable:
    return Unusable([f"not an object: {_shown(record)}"])


def _shown(value: object) -> str:
    """A value as a reason quotes it, cut to a readable length."""
    shown = canonical_json(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)
