"""The state of the world as known on a day: SQL over partitions up to that day, latest version of each record.

Nothing after the day is ever looked at, so the answer is the same on that day and a month later. What is made of
these frames belongs to the stages that ask.
"""

from datetime import date, timedelta

import duckdb
import pandas as pd

POPULARITY_DAYS = 30

_USERS = """
    SELECT user_id, favorite_genres, gender, created_at FROM users WHERE changed_on <= $as_of
    QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY changed_on DESC) = 1"""
_TRACKS = """
    SELECT * FROM tracks WHERE changed_on <= $as_of
    QUALIFY row_number() OVER (PARTITION BY track_id ORDER BY changed_on DESC) = 1"""
# All rows of a session's newest version, none of its older ones.
_LISTENS = """
    SELECT user_id, track_id, listened_at FROM listens WHERE changed_on <= $as_of
    QUALIFY changed_on = max(changed_on) OVER (PARTITION BY user_id, listened_at)"""


def users_as_of(connection: duckdb.DuckDBPyConnection, as_of: date) -> pd.DataFrame:
    """People without their names and emails: user_id, favorite_genres, gender, created_at; by user_id."""
    return connection.execute(f"{_USERS} ORDER BY user_id", {"as_of": as_of}).df()


def tracks_as_of(
    connection: duckdb.DuckDBPyConnection, as_of: date, earlier_cuts: dict[str, date] | None = None
) -> pd.DataFrame:
    """The catalogue with its recent popularity; by track_id.

    Args:
        connection: The warehouse.
        as_of: The day.
        earlier_cuts: More popularity columns, by name: plays in the 30 days before the given day, as known as of
            `as_of`.

    Returns:
        track_id, artist, songwriters, genres, album, duration_seconds, plays_last_30_days (up to and with
        `as_of`), and one column per earlier cut.
    """
    ends = {"plays_last_30_days": as_of + timedelta(days=1), **(earlier_cuts or {})}
    counted = ", ".join(
        f"count(*) FILTER (listened_at >= DATE '{end}' - {POPULARITY_DAYS} AND listened_at < '{end}') AS {name}"
        for name, end in ends.items()
    )
    shown = ", ".join(f"coalesce(plays.{name}, 0) AS {name}" for name in ends)
    return connection.execute(
        f"""
        WITH known AS ({_TRACKS}), heard AS ({_LISTENS}),
        plays AS (SELECT track_id, {counted} FROM heard GROUP BY track_id)
        SELECT track_id, artist, songwriters, genres, album, duration_seconds, {shown}
        FROM known LEFT JOIN plays USING (track_id) ORDER BY track_id
        """,
        {"as_of": as_of},
    ).df()


def interactions_as_of(
    connection: duckdb.DuckDBPyConnection, as_of: date, earlier_cuts: dict[str, date]
) -> pd.DataFrame:
    """Who played what how often: one row per person and track, both known as of the day; sorted by both.

    Args:
        connection: The warehouse.
        as_of: The day.
        earlier_cuts: More columns of plays, by name: those before the first instant of the given day.

    Returns:
        user_id, track_id, plays, one column per earlier cut, first_listened_at, last_listened_at.
    """
    counted = "".join(
        f", count(*) FILTER (listened_at < '{cut}') AS {name}" for name, cut in earlier_cuts.items()
    )
    return connection.execute(
        f"""
        WITH known_users AS ({_USERS}), known_tracks AS ({_TRACKS}), heard AS ({_LISTENS})
        SELECT user_id, track_id, count(*) AS plays{counted},
            min(listened_at) AS first_listened_at, max(listened_at) AS last_listened_at
        FROM heard SEMI JOIN known_users USING (user_id) SEMI JOIN known_tracks USING (track_id)
        GROUP BY user_id, track_id ORDER BY user_id, track_id
        """,
        {"as_of": as_of},
    ).df()


def anything_played_before(connection: duckdb.DuckDBPyConnection, as_of: date, cut: date) -> bool:
    """Whether anyone known played anything known before the first instant of `cut`, as known as of a day."""
    row = connection.execute(
        f"""
        WITH known_users AS ({_USERS}), known_tracks AS ({_TRACKS}), heard AS ({_LISTENS})
        SELECT 1 FROM heard SEMI JOIN known_users USING (user_id) SEMI JOIN known_tracks USING (track_id)
        WHERE listened_at < $cut LIMIT 1
        """,
        {"as_of": as_of, "cut": cut},
    ).fetchone()
    return row is not None
