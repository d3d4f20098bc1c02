"""Landed frames made from decoded records, as the raw assets would land them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from foundation.json_records import canonical_json
from moovitamix_assets.ingestion.client.records import changed_at
from moovitamix_assets.partitions import days_between, partition_of

FIRST = date(2026, 9, 1)
DAYS = days_between(FIRST, date(2026, 9, 4))
OBSERVED = datetime(2026, 9, 5, 1)
LOADED = datetime(2026, 9, 5, 2)


def landed(
    records: Iterable[Any], observed_at: Sequence[datetime] | datetime = OBSERVED, first: date = FIRST
) -> pd.DataFrame:
    records = list(records)
    moments = [observed_at] * len(records) if isinstance(observed_at, datetime) else list(observed_at)
    changed = [changed_at(record) for record in records]
    return pd.DataFrame(
        {
            "record": pd.Series([canonical_json(record) for record in records], dtype=object),
            "changed_at": pd.Series(changed, dtype="datetime64[us]"),
            "observed_at": pd.Series(moments, dtype="datetime64[us]"),
            "run_id": "run",
            "changed_on": pd.Series(
                [partition_of(moment, first) for moment in changed], dtype="datetime64[s]"
            ),
        }
    )


def user(number: object, at: str = "2026-09-02T10:00:00", **fields: object) -> dict[str, Any]:
    return {
        "id": number,
        "first_name": "Ada",
        "last_name": "Nolan",
        "email": f"ada{number}@example.org",
        "gender": "Agender",
        "favorite_genres": "Jazz",
        "created_at": at,
        "updated_at": at,
    } | fields


def track(number: object, at: str = "2026-09-02T10:00:00", **fields: object) -> dict[str, Any]:
    return {
        "id": number,
        "name": "Blue",
        "artist": "The Quiet",
        "songwriters": "A. Writer",
        "duration": "03:21",
        "genres": "jazz",
        "album": "Hours",
        "created_at": at,
        "updated_at": at,
    } | fields


def session(
    user_id: object, items: object, at: str = "2026-09-02T10:00:00", **fields: object
) -> dict[str, Any]:
    return {"user_id": user_id, "items": items, "created_at": at, "updated_at": at} | fields


def hours_later(hours: int) -> datetime:
    return OBSERVED + timedelta(hours=hours)
