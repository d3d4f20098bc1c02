"""What a record of the source is: its canonical text, its identity, and when it changed.

Pure functions on decoded JSON, shared by the client and by the warehouse's cleaning. No HTTP, no tables
and no judgement of a record's quality belong here.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Endpoint = Literal["users", "tracks", "listen_history"]
Identity = tuple[int] | tuple[int, datetime]

# datetime.fromisoformat takes any character between date and time, and ISO 8601 only a T (RFC 3339: a space).
_ISO_8601 = re.compile(r"[0-9]{4}[0-9W-]+(?:[T ][0-9][0-9:.,]*(?:Z|[+-][0-9:.]+)?)?", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Record:
    """One record as received.

    Attributes:
        json: Canonical JSON, see `canonical_json`.
        changed_at: Naive UTC, see `changed_at`.
    """

    json: str
    changed_at: datetime | None


def canonical_json(value: object) -> str:
    """Give the one text that stands for a decoded JSON value: keys sorted, no spaces, no needless escapes.

    The text can always be stored as UTF-8, and `json.loads` gives the value back. Numbers keep what Python's
    decoder makes of them: integers of any length, NaN and Infinity included.
    """
    text = _encode(value)
    if text.isascii():
        return text
    # Half a surrogate pair is legal in JSON, as an escape only: it has no UTF-8 form.
    return _LONE_SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


def parse_timestamp(value: object) -> datetime | None:
    """Read an ISO 8601 date-time or date, with or without fraction and zone.

    A time without zone is UTC. Digits beyond microseconds are cut off.

    Returns:
        Naive UTC, or None for anything else: other types, other text, times that do not exist, and times
        that fall outside of the years 1 to 9999 once they are UTC. It never raises.
    """
    if not isinstance(value, str):
        return None
    # The source's own form goes straight through; all else is looked at first. This runs twice per record.
    if value[10:11] != "T" and not _ISO_8601.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def changed_at(record: object) -> datetime | None:
    """Say when a record last changed: the greatest readable of `created_at` and `updated_at`.

    Either may be the later one: a quarter of the tracks and users were updated before they were created.

    Returns:
        Naive UTC, or None if neither is readable or the record is no object.
    """
    if not isinstance(record, dict):
        return None
    created = parse_timestamp(record.get("created_at"))
    updated = parse_timestamp(record.get("updated_at"))
    if created is None or updated is None:
        return created or updated
    return max(created, updated)


def identity(endpoint: Endpoint, record: object) -> Identity | None:
    """Say which person, track or session a record is about.

    Returns:
        `(id,)` for users and tracks, `(user_id, created_at)` with the time as naive UTC for sessions; None
        where an id is no integer, the time is unreadable, or the record is no object.
    """
    if not isinstance(record, dict):
        return None
    number = record.get("user_id" if endpoint == "listen_history" else "id")
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    if endpoint != "listen_history":
        return (number,)
    created = parse_timestamp(record.get("created_at"))
    return None if created is None else (number, created)
