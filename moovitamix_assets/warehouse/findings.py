"""The findings on loaded partitions that only this product has: one function, one finding.

Plain SQL on an open connection. Findings that hold for any source table are in `foundation/warehouse/findings.py`.
"""

from collections.abc import Sequence
from datetime import date

import duckdb

from foundation.warehouse.findings import Finding, is_unusual, share_of

_OF_DAYS = "changed_on IN (SELECT unnest(?::DATE[]))"


def repeated_emails(connection: duckdb.DuckDBPyConnection, days: Sequence[date]) -> Finding:
    """Users of these days who share their email with another; both are kept."""
    row = connection.execute(
        f"""SELECT count(DISTINCT email), count(DISTINCT user_id) FROM dim_users
            WHERE email IN (SELECT email FROM dim_users GROUP BY email HAVING count(*) > 1) AND {_OF_DAYS}""",
        [list(days)],
    ).fetchone() or (0, 0)
    return Finding(
        row[0] == 0,
        f"{row[1]} users share {row[0]} emails with others; all are kept.",
        severity="warn",
        figures={"emails": row[0], "users": row[1]},
    )


def orphan_listens(
    connection: duckdb.DuckDBPyConnection, days: Sequence[date], *, warn_share: float, minimum: int
) -> Finding:
    """An unusual share of listens of unknown users or tracks; kept, they join the training set once those arrive.

    Args:
        connection: An open warehouse.
        days: The partitions whose listens are judged together.
        warn_share: From this share on, of unknown users or of unknown tracks, a warning is given ...
        minimum: ... if at least so many listens are affected.
    """
    row = connection.execute(
        f"""SELECT count(*) FILTER (user_id NOT IN (SELECT user_id FROM users)),
                   count(*) FILTER (track_id NOT IN (SELECT track_id FROM tracks)),
                   count(*)
            FROM listens WHERE {_OF_DAYS}""",
        [list(days)],
    ).fetchone() or (0, 0, 0)
    of_users, of_tracks, total = row
    worst = max(of_users, of_tracks)
    return Finding(
        not is_unusual(worst, total, warn_share, minimum),
        f"{of_users} listens of unknown users and {of_tracks} of unknown tracks, of {total}, are kept until those "
        "arrive.",
        severity="warn",
        figures={
            "of_unknown_users": of_users,
            "of_unknown_tracks": of_tracks,
            "of": total,
            "worst_share": share_of(worst, total),
        },
    )
