"""The findings on loaded partitions that only this product has: one function, one finding.

Plain SQL on an open connection. Findings that hold for any source table are in `foundation/warehouse/findings.py`.
"""

from collections.abc import Sequence
from datetime import date

import duckdb

from foundation.counting import counted
from foundation.warehouse.findings import Finding, is_unusual, share_of

_OF_DAYS = "changed_on IN (SELECT unnest(?::DATE[]))"


def repeated_emails(
    connection: duckdb.DuckDBPyConnection, days: Sequence[date], *, warn_share: float, minimum: int
) -> Finding:
    """An unusual share of users who have their email in common with another; all are kept.

    Args:
        connection: An open warehouse.
        days: The partitions whose users are judged together.
        warn_share: From this share of their users on, a warning is given ...
        minimum: ... if at least so many users are affected.
    """
    row = connection.execute(
        f"""SELECT count(DISTINCT email) FILTER (is_repeated), count(*) FILTER (is_repeated), count(*) FROM (
                SELECT email, email IN (SELECT email FROM dim_users GROUP BY email HAVING count(*) > 1) AS is_repeated
                FROM dim_users WHERE {_OF_DAYS})""",
        [list(days)],
    ).fetchone() or (0, 0, 0)
    emails, users, total = row
    return Finding(
        not is_unusual(users, total, warn_share, minimum),
        f"{users} of {counted(total, 'user')} have an email that others have too ({counted(emails, 'email')}); all "
        "are kept.",
        severity="warn",
        figures={"emails": emails, "users": users, "of": total, "share": share_of(users, total)},
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
