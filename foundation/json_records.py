"""A record as JSON: its canonical text, the text that a table stores, and reading single values of it.

Pure functions of one value; none of them raises for any value. Which fields a record has, and which record is usable,
belongs to the product.
"""

import json
import math
import re
from datetime import UTC, datetime

_LEAST, _GREATEST = -(2**63), 2**63 - 1
_WHOLE_NUMBER = re.compile(r"\s*-?\d{1,19}\s*", re.ASCII)
# datetime.fromisoformat takes any character between date and time, ISO 8601 only a T (RFC 3339: a space).
_ISO_8601 = re.compile(r"[0-9]{4}[0-9W-]+(?:[T ][0-9][0-9:.,]*(?:Z|[+-][0-9:.]+)?)?", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical_json(value: object) -> str:
    """Return the one text that stands for a decoded JSON value: keys sorted, no spaces, no needless escapes.

    The text can always be stored as UTF-8, and `json.loads` returns the value. Numbers keep what Python's decoder
    makes of them: integers of any length, NaN and Infinity included.
    """
    text = _encode(value)
    if text.isascii():
        return text
    # Half a surrogate pair is legal in JSON, as an escape only: it has no UTF-8 form.
    return _LONE_SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


def storable_json(record: str) -> str:
    """Return a record as a JSON column takes it: unchanged, or as a JSON string where it is not strict JSON.

    Python also reads NaN, Infinity and half surrogate pairs. A record that is a JSON string is wrapped as well, so
    that wherever a string is stored, its content is the record.
    """
    try:
        value = json.loads(record, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return json.dumps(record)
    return json.dumps(record) if isinstance(value, str) else record


def parse_timestamp(value: object) -> datetime | None:
    """Read an ISO 8601 date-time or date, with or without fraction and zone.

    A time without zone is UTC. Digits beyond microseconds are cut off.

    Returns:
        Naive UTC, or None for anything else: other types, other text, times that do not exist, and times that fall
        outside the years 1 to 9999 once they are UTC.
    """
    if not isinstance(value, str):
        return None
    # The usual form goes straight through; all others are checked first. This runs twice per record.
    if value[10:11] != "T" and not _ISO_8601.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def whole_number(value: object) -> int | None:
    """Read a whole number of 64 bits, also from a text or from a float without fraction; None for anything else."""
    if isinstance(value, str):
        value = int(value) if _WHOLE_NUMBER.fullmatch(value) else None
    elif isinstance(value, float):
        value = int(value) if math.isfinite(value) and value.is_integer() else None
    # Not isinstance: true is no number here.
    return value if type(value) is int and _LEAST <= value <= _GREATEST else None


def text(value: object) -> str | None:
    """Read a text without blanks around it; None if it is empty or not a text."""
    if not isinstance(value, str):
        return None
    # Half a surrogate pair has no form in UTF-8, hence none in a table.
    whole = value if value.isascii() else _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    return whole.strip() or None


def texts(value: object) -> list[str] | None:
    """Read several words, also from one text that separates them by commas; None without any."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        return None
    return [part for part in map(text, parts) if part] or None


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)
