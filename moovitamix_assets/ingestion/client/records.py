"""The records of this source: their identity, and when they changed.

Pure functions on decoded JSON, shared by the client, landing and the warehouse's cleaning. No HTTP, no tables and no
judgement of a record's quality belong here; reading single values is in `foundation/json_records.py`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from foundation.json_records import parse_timestamp, whole_number

Endpoint = Literal["users", "tracks", "listen_history"]
Identity = tuple[int] | tuple[int, datetime]


@dataclass(frozen=True, slots=True)
class Record:
    """One record as received.

    Attributes:
        json: Canonical JSON, see `canonical_json`.
        changed_at: Naive UTC, see `changed_at`.
        identity: See `identity`.
    """

    json: str
    changed_at: datetime | None
    identity: Identity | None


def changed_at(record: object) -> datetime | None:
    """When a record last changed: the greatest readable of `created_at` and `updated_at`.

    Either may be the later one: a quarter of the tracks and users were updated before they were created.

    Returns:
        Naive UTC, or None if neither is readable or the record is not an object.
    """
    if not isinstance(record, dict):
        return None
    created = parse_timestamp(record.get("created_at"))
    updated = parse_timestamp(record.get("updated_at"))
    if created is None or updated is None:
        return created or updated
    return max(created, updated)


def identity(endpoint: str, record: object) -> Identity | None:
    """The user, track or session that a record is about: the one rule for all stages.

    Returns:
        `(id,)` for users and tracks, `(user_id, created_at)` with the time as naive UTC for sessions; None where the
        id is not a whole number (a text or a float may hold one), the time is unreadable, or the record is not an
        object.
    """
    if not isinstance(record, dict):
        return None
    if endpoint == "listen_history":
        return session_identity(record)
    number = whole_number(record.get("id"))
    return None if number is None else (number,)


def session_identity(record: dict[str, object]) -> tuple[int, datetime] | None:
    """The user and the beginning of a session; None where either is unreadable."""
    number = whole_number(record.get("user_id"))
    if number is None:
        return None
    created = parse_timestamp(record.get("created_at"))
    return None if created is None else (number, created)
