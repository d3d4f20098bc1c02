"""Rows put into a warehouse by hand, with as few words as possible. No assertion belongs here."""

from collections.abc import Sequence
from datetime import date, datetime, time

import duckdb
import pandas as pd
import pandera.pandas as pa

from foundation.warehouse.rows import insert
from moovitamix_assets.warehouse.schemas import (
    LISTENS,
    PARTITION_LOADS,
    RECOMMENDATIONS,
    SOURCE_TABLES,
    TRACKS,
    USERS,
)

LOADED_AT = datetime(2026, 10, 1)


def add_users(connection: duckdb.DuckDBPyConnection, on: date, *user_ids: int, **columns: object) -> None:
    _add(
        connection,
        USERS,
        [{"user_id": user, "gender": "Female", "favorite_genres": ["Pop"]} | columns for user in user_ids],
        on,
    )


def add_tracks(connection: duckdb.DuckDBPyConnection, on: date, *track_ids: int, **columns: object) -> None:
    _add(
        connection,
        TRACKS,
        [{"track_id": track, "genres": ["Pop"], "duration_seconds": 180} | columns for track in track_ids],
        on,
    )


def add_session(
    connection: duckdb.DuckDBPyConnection,
    on: date,
    user: int,
    tracks: Sequence[int],
    began: datetime | None = None,
) -> None:
    """A session that changed on a day; without another time, it began at noon of that day."""
    began = began or datetime.combine(on, time(12))
    rows = [
        {"user_id": user, "track_id": track, "listened_at": began, "position": position}
        for position, track in enumerate(tracks, start=1)
    ]
    _add(connection, LISTENS, rows, on)


def add_plays(connection: duckdb.DuckDBPyConnection, on: date) -> None:
    """A user who plays a track on a day: something to learn for candidates measured after it."""
    add_users(connection, on, 1)
    add_tracks(connection, on, 10)
    add_session(connection, on, 1, [10])


def add_list(
    connection: duckdb.DuckDBPyConnection,
    made_for: date,
    user: int,
    tracks: Sequence[int],
    version: str,
    table: pa.DataFrameSchema = RECOMMENDATIONS,
) -> None:
    """What somebody was recommended as of a day, or would have been."""
    rows = pd.DataFrame(
        {
            "user_id": user,
            "rank": range(1, len(tracks) + 1),
            "track_id": tracks,
            "score": 1.0,
            "source": "model",
            "model_version": version,
            "generated_for": pd.Timestamp(made_for),
            "generated_at": LOADED_AT,
            "expires_at": LOADED_AT,
        }
    )
    insert(connection, table, rows)


def mark_loaded(connection: duckdb.DuckDBPyConnection, on: date) -> None:
    """Every source table of a day counts as loaded, whatever rows were added."""
    for table in SOURCE_TABLES:
        counts = dict.fromkeys(
            ["received", "accepted", "rejected", "duplicates", "superseded", "stored_rows"], 0
        )
        _add(connection, PARTITION_LOADS, [{"table_name": table} | counts], on)


def _add(connection: duckdb.DuckDBPyConnection, schema, rows: list[dict[str, object]], on: date) -> None:
    frame = pd.DataFrame(rows).reindex(columns=list(schema.columns)).astype(object)
    frame = frame.where(frame.notna(), None)
    insert(connection, schema, frame.assign(changed_on=pd.Timestamp(on), loaded_at=LOADED_AT))
