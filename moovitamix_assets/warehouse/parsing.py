"""Parsing one landed record: the values of a user, a track or a session, or why it cannot be used.

Only an unusable record is refused; any other bad field becomes None. Pure functions of one record: choosing between
several does not belong here.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from foundation.json_records import canonical_json, parse_timestamp, text, texts, whole_number
from foundation.warehouse.cleaning import Parse, Unusable
from moovitamix_assets.ingestion.client.records import session_identity
from moovitamix_assets.warehouse.schemas import MAXIMUM_POSITION

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_DURATION = re.compile(r"(\d{1,3}):([0-5]\d)", re.ASCII)


class Session(NamedTuple):
    """The values of a listening session.

    Attributes:
        user_id: The user.
        listened_at: The session's `created_at`, naive UTC.
        session_updated_at: Naive UTC; None if missing or unreadable.
        track_ids: The tracks played, in order; None where an item is not an id.
    """

    user_id: int
    listened_at: datetime
    session_updated_at: datetime | None
    track_ids: list[int | None]


def email(value: object) -> str | None:
    """Read a plausible email address; None for anything else."""
    address = text(value)
    return address if address and _EMAIL.fullmatch(address) else None


def duration_seconds(value: object) -> int | None:
    """Read the seconds of "MM:SS"; None for anything else, and for zero."""
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


def _profile_parser(fields: Mapping[str, _Field]) -> Parse:
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
    key = session_identity(record)
    items = record.get("items")
    track_ids = [whole_number(item) for item in items] if isinstance(items, list) else []
    played = len(track_ids) - track_ids.count(None)
    if key is not None and played and len(track_ids) <= MAXIMUM_POSITION:
        return Session(*key, parse_timestamp(record.get("updated_at")), track_ids)
    reasons = []
    if whole_number(record.get("user_id")) is None:
        reasons.append(f"no usable user_id: {_shown(record.get('user_id'))}")
    if parse_timestamp(record.get("created_at")) is None:
        reasons.append(f"no readable created_at: {_shown(record.get('created_at'))}")
    if not played:
        reasons.append(f"not a single usable track in items: {_shown(items)}")
    if len(track_ids) > MAXIMUM_POSITION:
        reasons.append(f"more than the {MAXIMUM_POSITION} items that a session can hold: {len(track_ids)}")
    return Unusable(reasons, key)


PARSERS: dict[str, Parse] = {
    "users": _profile_parser(_USER_FIELDS),
    "tracks": _profile_parser(_TRACK_FIELDS),
    "listens": _session,
}
"""By table: a decoded record's `Session`, or its values in the order of `PROFILE_COLUMNS`; or why it is unusable."""


def _no_object(record: object) -> Unusable:
    return Unusable([f"not an object: {_shown(record)}"])


def _shown(value: object) -> str:
    """A value as a reason quotes it, cut to a readable length."""
    shown = canonical_json(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
