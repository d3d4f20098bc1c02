"""The state of the world as known on a day: SQL over partitions up to that day, latest version of each record.

Partitions after the day are never read, so the answer is the same on that day and a month later. Using the frames
belongs to the stages that ask for them.
"""

from collections.abc import Collection
from datetime import date, timedelta

import duckdb
import pandas as pd

POPULARITY_DAYS = 30
HALF_LIFE_DAYS = 7
"""After so many days a play counts half in the columns with time decay."""

_USERS = """
    SELECT user_id, favorite_genres, gender, created_at FROM users WHERE changed_on <= $as_of
    QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY changed_on DESC) = 1"""
_TRACKS = """
    SELECT * FROM tracks WHERE changed_on <= $as_of
    QUALIFY row_number() OVER (PARTITION BY track_id ORDER BY changed_on DESC) = 1"""


def _listens(some: str = "true") -> str:
    """All rows of a session's newest version, none of its older ones.

    Args:
        some: A condition on user_id and listened_at, which all versions of a session share: only sessions that
            meet it are read. A condition on another column would mistake an older version for the newest.
    """
    return f"""
    SELECT user_id, track_id, listened_at FROM listens WHERE changed_on <= $as_of AND {some}
    QUALIFY changed_on = max(changed_on) OVER (PARTITION BY user_id, listened_at)"""


def users_as_of(connection: duckdb.DuckDBPyConnection, as_of: date) -> pd.DataFrame:
    """Users without their names and emails: user_id, favorite_genres, gender, created_at; by user_id."""
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
        track_id, artist, songwriters, genres, album, duration_seconds, created_at, plays_last_30_days (up to and
        with `as_of`), and one column per earlier cut.
    """
    ends = {"plays_last_30_days": as_of + timedelta(days=1), **(earlier_cuts or {})}
    counted = ", ".join(
        f"count(*) FILTER (listened_at >= DATE '{end}' - {POPULARITY_DAYS} AND listened_at < '{end}') AS {name}"
        for name, end in ends.items()
    )
    shown = ", ".join(f"coalesce(plays.{name}, 0) AS {name}" for name in ends)
    recent = _listens(f"listened_at >= DATE '{min(ends.values())}' - {POPULARITY_DAYS}")
    return connection.execute(
        f"""
        WITH known AS ({_TRACKS}), played AS ({recent}),
        plays AS (SELECT track_id, {counted} FROM played GROUP BY track_id)
        SELECT track_id, artist, songwriters, genres, album, duration_seconds, created_at, {shown}
        FROM known LEFT JOIN plays USING (track_id) ORDER BY track_id
        """,
        {"as_of": as_of},
    ).df()


def track_names(connection: duckdb.DuckDBPyConnection, as_of: date) -> pd.DataFrame:
    """The titles of the catalogue, which no model learns from: track_id, name; by track_id."""
    return connection.execute(
        f"SELECT track_id, name FROM ({_TRACKS}) ORDER BY track_id", {"as_of": as_of}
    ).df()


def track_plays(connection: duckdb.DuckDBPyConnection, as_of: date, windows: Collection[int]) -> pd.DataFrame:
    """The plays of each known track in the last days up to and with a day; by track_id.

    Returns:
        track_id, and plays_last_<n>_days for each window of n days.
    """
    end = as_of + timedelta(days=1)
    counted = ", ".join(
        f"count(played.track_id) FILTER (listened_at >= DATE '{end}' - {days}) AS plays_last_{days}_days"
        for days in windows
    )
    recent = _listens(f"listened_at >= DATE '{end}' - {max(windows)}")
    return connection.execute(
        f"""
        WITH known AS ({_TRACKS}),
        played AS (SELECT * FROM ({recent}) WHERE listened_at < DATE '{end}')
        SELECT known.track_id, {counted} FROM known LEFT JOIN played USING (track_id)
        GROUP BY known.track_id ORDER BY known.track_id
        """,
        {"as_of": as_of},
    ).df()


def interactions_as_of(
    connection: duckdb.DuckDBPyConnection,
    as_of: date,
    earlier_cuts: dict[str, date],
    users: Collection[int] | None = None,
    decayed_cuts: dict[str, date] | None = None,
) -> pd.DataFrame:
    """The number of plays per user and track, both known as of the day; sorted by both.

    Args:
        connection: The warehouse.
        as_of: The day.
        earlier_cuts: More columns of plays, by name: those before the first instant of the given day.
        users: The users whose plays are counted; None for all.
        decayed_cuts: Columns of plays with time decay, by name: each play before the first instant of the given day
            counts a thousand times 0.5 ** (its age there / `HALF_LIFE_DAYS`), rounded.

    Returns:
        user_id, track_id, plays, one column per earlier and per decayed cut, first_listened_at, last_listened_at.
    """
    counted = "".join(
        f", count(*) FILTER (listened_at < '{cut}') AS {name}" for name, cut in earlier_cuts.items()
    )
    # Whole numbers: a sum of fractions depends on the order in which threads add.
    counted += "".join(
        f""", coalesce(sum(round(1000 * pow(0.5, date_diff('day', listened_at::DATE, DATE '{cut}')
            / {HALF_LIFE_DAYS}.0))::BIGINT) FILTER (listened_at < '{cut}'), 0)::BIGINT AS {name}"""
        for name, cut in (decayed_cuts or {}).items()
    )
    values: dict[str, object] = {"as_of": as_of}
    some = "true"
    if users is not None:
        some, values["users"] = "user_id IN (SELECT unnest($users::BIGINT[]))", [int(user) for user in users]
    return connection.execute(
        f"""
        WITH known_users AS ({_USERS}), known_tracks AS ({_TRACKS}), played AS ({_listens(some)})
        SELECT user_id, track_id, count(*) AS plays{counted},
            min(listened_at) AS first_listened_at, max(listened_at) AS last_listened_at
        FROM played SEMI JOIN known_users USING (user_id) SEMI JOIN known_tracks USING (track_id)
        GROUP BY user_id, track_id ORDER BY user_id, track_id
        """,
        values,
    ).df()


def anything_played_before(connection: duckdb.DuckDBPyConnection, as_of: date, cut: date) -> bool:
    """Return whether any known user played a known track before the first instant of `cut`, as of a day."""
    row = connection.execute(
        f"""
        WITH known_users AS ({_USERS}), known_tracks AS ({_TRACKS}), played AS ({_listens("listened_at < $cut")})
        SELECT 1 FROM played SEMI JOIN known_users USING (user_id) SEMI JOIN known_tracks USING (track_id)
        LIMIT 1
        """,
        {"as_of": as_of, "cut": cut},
    ).fetchone()
    return row is not None


def ever_played(connection: duckdb.DuckDBPyConnection, as_of: date, tracks: Collection[int]) -> set[int]:
    """Those of some tracks that had been played as of a day.

    Cheap for tracks with few plays: only sessions that contain them, in any version, are read.
    """
    rows = connection.execute(
        f"""
        WITH sessions AS (
            SELECT DISTINCT user_id, listened_at FROM listens
            WHERE changed_on <= $as_of AND track_id IN (SELECT unnest($tracks::BIGINT[]))
        ), played AS ({_listens("(user_id, listened_at) IN (SELECT (user_id, listened_at) FROM sessions)")})
        SELECT DISTINCT track_id FROM played WHERE track_id IN (SELECT unnest($tracks::BIGINT[]))
        """,
        {"as_of": as_of, "tracks": [int(track) for track in tracks]},
    ).fetchall()
    return {row[0] for row in rows}


def listens_changed(connection: duckdb.DuckDBPyConnection, first: date, last: date) -> pd.DataFrame:
    """The plays of the sessions that changed on some days, with the genres of the tracks as of the last.

    Sessions that began earlier than a day before are left out: the first partition holds those of all time.

    Returns:
        user_id, listened_at, track_id, genres (missing where the track is not known); sorted by the first two and
        the position in the session.
    """
    return connection.execute(
        f"""
        WITH changed AS (
            SELECT user_id, listened_at, position, track_id FROM listens
            WHERE changed_on BETWEEN $first AND $as_of AND listened_at >= $first::DATE - 1
            QUALIFY changed_on = max(changed_on) OVER (PARTITION BY user_id, listened_at)
        ), known AS ({_TRACKS})
        SELECT user_id, listened_at, track_id, genres FROM changed LEFT JOIN known USING (track_id)
        ORDER BY user_id, listened_at, position
        """,
        {"first": first, "as_of": last},
    ).df()


def users_changed(connection: duckdb.DuckDBPyConnection, day: date) -> pd.DataFrame:
    """Users who joined or changed on a day, without names and emails: user_id, favorite_genres, gender; by user_id."""
    return connection.execute(
        "SELECT user_id, favorite_genres, gender FROM users WHERE changed_on = ? ORDER BY user_id", [day]
    ).df()


def tracks_changed(connection: duckdb.DuckDBPyConnection, day: date) -> pd.DataFrame:
    """Tracks that were added or changed on a day: track_id, genres, duration_seconds; by track_id."""
    return connection.execute(
        "SELECT track_id, genres, duration_seconds FROM tracks WHERE changed_on = ? ORDER BY track_id", [day]
    ).df()


def first_played_on(connection: duckdb.DuckDBPyConnection, day: date) -> pd.DataFrame:
    """The interactions of the day that were new on it; user_id, track_id, sorted by both.

    Only tracks known as of the day count, as in `interactions_as_of`. Only the history of users who listened on the
    day is read.
    """
    return connection.execute(
        f"""
        WITH known_tracks AS ({_TRACKS}),
        played AS (
            SELECT DISTINCT user_id, track_id FROM listens SEMI JOIN known_tracks USING (track_id)
            WHERE changed_on = $as_of
        ), before AS (
            SELECT user_id, track_id FROM listens
            WHERE changed_on < $as_of AND user_id IN (SELECT user_id FROM played)
            QUALIFY changed_on = max(changed_on) OVER (PARTITION BY user_id, listened_at)
        )
        SELECT user_id, track_id FROM played ANTI JOIN before USING (user_id, track_id) ORDER BY ALL
        """,
        {"as_of": day},
    ).df()
