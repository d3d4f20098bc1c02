"""The table `promotions`: which version is the champion as of any day, what preceded it, and every decision taken.

All SQL over the table is here; all other modules call these functions. What a decision should be is in `gate.py`;
the product declares the table and owns the transaction.

Decisions hold by `as_of`, then by `decision_number`: a clock may go backwards, so `decided_at` orders only rows
that have neither.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import duckdb
import pandas as pd

from foundation.models.decisions import (
    POPULARITY,
    CandidateOutcome,
    Champion,
    Fallback,
    RecordedDecision,
    Standing,
    Verdict,
    standing_after,
)
from foundation.models.gate import Decision
from foundation.models.versions import trained_as_of
from foundation.warehouse.rows import first_row

_MAKES_CHAMPION = "decision IN ('promoted', 'rolled_back')"
_NEWEST_FIRST = "ORDER BY as_of DESC, decision_number DESC, decided_at DESC"
_OLDEST_FIRST = "ORDER BY as_of, decision_number, decided_at"
# The gate's decision about each candidate: the first about its version, as of the day it was trained.
_CANDIDATES = """
    SELECT model_version, as_of, decision_number FROM promotions
    WHERE decision NOT IN ('rolled_back', 'fallback')
    QUALIFY row_number() OVER (PARTITION BY model_version ORDER BY as_of, decision_number, decided_at) = 1"""


def champion_version(connection: duckdb.DuckDBPyConnection, as_of: date) -> str | None:
    """The champion's version as of a day: the last one promoted, or rolled back to, up to then."""
    return _champion_where(connection, "as_of <= ?", [as_of])


def champion_before_candidate(connection: duckdb.DuckDBPyConnection, as_of: date) -> str | None:
    """The version that a candidate of a day is compared with: the champion, were it not for the day's candidates.

    Training a day again thus compares with the same champion as the first time.
    """
    of_the_day = f"SELECT model_version FROM ({_CANDIDATES}) WHERE as_of = ?"
    return _champion_where(
        connection,
        f"as_of <= ? AND (decision = 'rolled_back' OR model_version NOT IN ({of_the_day}))",
        [as_of, as_of],
    )


def current_champion(connection: duckdb.DuckDBPyConnection, as_of: date) -> Champion | None:
    """The champion as of a day, with its origin; None while there is none."""
    row = first_row(
        connection,
        f"""SELECT model_version, as_of, decision FROM promotions WHERE {_MAKES_CHAMPION} AND as_of <= ?
            {_NEWEST_FIRST} LIMIT 1""",
        [as_of],
    )
    if row is None:
        return None
    version, since, decision = row
    return Champion(
        version, trained_as_of(version), since, decision, version_replaced_by(connection, version)
    )


def standing(connection: duckdb.DuckDBPyConnection, as_of: date) -> Standing:
    """The champion, the challenger in shadow and the fallback as of a day, by all decisions up to it."""
    rows = connection.execute(
        f"""SELECT model_version, as_of, decision, reason, previous_version, metrics FROM promotions
            WHERE as_of <= ? {_OLDEST_FIRST}""",
        [as_of],
    ).fetchall()
    decisions = [(RecordedDecision(*row), metrics) for *row, metrics in rows]
    return standing_after((decision, _fallback(decision, metrics)) for decision, metrics in decisions)


def _fallback(decision: RecordedDecision, metrics: str) -> Fallback | None:
    if decision.decision != "fallback":
        return None
    figures = json.loads(metrics)
    return Fallback(decision.as_of, figures["popularity_days"], date.fromisoformat(figures["worse_since"]))


def fall_back(
    connection: duckdb.DuckDBPyConnection,
    as_of: date,
    reason: str,
    *,
    popularity_days: int,
    worse_since: date,
    metrics: Mapping[str, Any],
) -> None:
    """Record that popular tracks serve from a day on, instead of the champion."""
    figures = {**metrics, "popularity_days": popularity_days, "worse_since": worse_since.isoformat()}
    champion = champion_version(connection, as_of)
    insert_decision(connection, POPULARITY, as_of, "fallback", reason, figures, champion)


def decision_about(connection: duckdb.DuckDBPyConnection, model_version: str) -> Decision | None:
    """The gate's decision about a version; None before it was decided about."""
    row = first_row(
        connection,
        f"""SELECT decision, reason FROM promotions WHERE model_version = ? AND decision <> 'rolled_back'
            {_OLDEST_FIRST} LIMIT 1""",
        [model_version],
    )
    return Decision(*row) if row else None


def is_decided(connection: duckdb.DuckDBPyConnection, as_of: date) -> bool:
    """Return whether anything was decided as of a day."""
    return first_row(connection, "SELECT 1 FROM promotions WHERE as_of = ? LIMIT 1", [as_of]) is not None


def newest_decision_day(connection: duckdb.DuckDBPyConnection) -> date | None:
    """The newest day as of which anything was decided; None if nothing was."""
    return _first_day(connection, "SELECT max(as_of) FROM promotions", [])


def newest_trained_day(connection: duckdb.DuckDBPyConnection, until: date) -> date | None:
    """The newest day up to `until` whose candidate was decided about; None if there is none."""
    return _first_day(
        connection,
        f"SELECT max(as_of) FROM ({_CANDIDATES}) WHERE as_of <= ?",
        [until],
    )


def last_decision(
    connection: duckdb.DuckDBPyConnection, as_of: date, verdicts: Sequence[Verdict] = get_args(Verdict)
) -> RecordedDecision | None:
    """The last decision that holds as of a day, of all or of some kinds; None if there is none."""
    condition = f"WHERE as_of <= ? AND list_contains(?, decision) {_NEWEST_FIRST} LIMIT 1"
    return next(iter(_recorded(connection, condition, [as_of, list(verdicts)])), None)


def serving_decision(connection: duckdb.DuckDBPyConnection, as_of: date) -> RecordedDecision | None:
    """The decision by which the version that serves as of a day does; None before the first promotion."""
    return last_decision(connection, as_of, ("promoted", "rolled_back", "fallback"))


def decisions_after(connection: duckdb.DuckDBPyConnection, day: date) -> list[RecordedDecision]:
    """The decisions as of days after `day`, in the order in which they were taken."""
    return _recorded(connection, "WHERE as_of > ? ORDER BY decision_number, decided_at, model_version", [day])


def candidate_outcomes(
    connection: duckdb.DuckDBPyConnection, until: date
) -> list[tuple[date, CandidateOutcome]]:
    """The outcome of each candidate up to a day, as (as_of, outcome), ascending.

    The outcome of a candidate in shadow is that until it is promoted or rejected. A candidate that was promoted and
    rolled back since counts as rolled back.
    """
    return connection.execute(
        f"""WITH rolled_back AS (
               SELECT previous_version FROM promotions WHERE decision = 'rolled_back' AND as_of <= $until
           ), latest AS (
               SELECT model_version, arg_max(decision, decision_number) AS decision FROM promotions
               WHERE as_of <= $until AND decision IN ('promoted', 'rejected', 'shadow') GROUP BY model_version
           )
           SELECT as_of, if(model_version IN (FROM rolled_back), 'rolled_back', latest.decision)
           FROM ({_CANDIDATES}) JOIN latest USING (model_version) WHERE as_of <= $until
           ORDER BY as_of, decision_number""",
        {"until": until},
    ).fetchall()


def all_decisions(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Every row of the table, in the order that decides which version is the champion."""
    return connection.execute(f"SELECT * FROM promotions {_OLDEST_FIRST}").df()


def former_champions(connection: duckdb.DuckDBPyConnection, as_of: date) -> list[str]:
    """Every version that was the champion at some time up to a day, the current one included, the latest first."""
    rows = connection.execute(
        f"""SELECT model_version FROM promotions WHERE {_MAKES_CHAMPION} AND as_of <= ?
            GROUP BY model_version ORDER BY max(as_of) DESC, max(decision_number) DESC""",
        [as_of],
    ).fetchall()
    return [str(row[0]) for row in rows]


def record(
    connection: duckdb.DuckDBPyConnection,
    model_version: str,
    as_of: date,
    decision: Decision,
    metrics: Mapping[str, Any],
) -> Decision:
    """Record the decision about a candidate; a version is decided about once.

    Returns:
        The decision that holds: the earlier one where this version was decided about before.
    """
    earlier = decision_about(connection, model_version)
    if earlier:
        return earlier
    previous = champion_version(connection, as_of)
    insert_decision(connection, model_version, as_of, decision.decision, decision.reason, metrics, previous)
    return decision


def obsolete_versions(connection: duckdb.DuckDBPyConnection, *, kept: int, served_days: int) -> list[str]:
    """The versions decided about that are neither among the newest nor needed for the days kept.

    Args:
        connection: The warehouse.
        kept: How many of the versions decided last are kept in any case.
        served_days: The champions of that many days up to the newest decision are kept too, so are the versions
            in shadow on them, and those that a rollback would return to.
    """
    newest = newest_decision_day(connection)
    if newest is None:
        return []
    decisions = connection.execute(
        "SELECT model_version, previous_version FROM promotions ORDER BY decision_number DESC"
    ).df()
    decided = [str(version) for version in decisions["model_version"].unique() if version != POPULARITY]
    days = [standing(connection, newest - timedelta(days=back)) for back in range(served_days)]
    champions = {day.champion for day in days}
    in_shadow = {version for day in days for version in day.shadows}
    returned_to = set(decisions[decisions["model_version"].isin(champions)]["previous_version"].dropna())
    needed = champions | in_shadow | returned_to | set(decided[:kept])
    return [version for version in decided if version not in needed]


def _champion_where(
    connection: duckdb.DuckDBPyConnection, condition: str, values: Sequence[Any]
) -> str | None:
    row = first_row(
        connection,
        f"SELECT model_version FROM promotions WHERE {_MAKES_CHAMPION} AND {condition} {_NEWEST_FIRST} LIMIT 1",
        values,
    )
    return str(row[0]) if row else None


def version_replaced_by(connection: duckdb.DuckDBPyConnection, model_version: str) -> str | None:
    """The champion that a version replaced when it was first promoted."""
    row = first_row(
        connection,
        f"""SELECT previous_version FROM promotions WHERE model_version = ? AND decision = 'promoted'
            {_OLDEST_FIRST} LIMIT 1""",
        [model_version],
    )
    return row[0] if row else None


def _recorded(
    connection: duckdb.DuckDBPyConnection, condition: str, values: Sequence[Any]
) -> list[RecordedDecision]:
    rows = connection.execute(
        f"SELECT model_version, as_of, decision, reason, previous_version FROM promotions {condition}",
        list(values),
    ).fetchall()
    return [RecordedDecision(*row) for row in rows]


def insert_decision(
    connection: duckdb.DuckDBPyConnection,
    model_version: str,
    as_of: date,
    decision: Verdict,
    reason: str,
    metrics: Mapping[str, Any],
    previous_version: str | None,
) -> None:
    """Insert a decision as the latest one."""
    connection.execute(
        """INSERT INTO promotions (
               model_version, as_of, decided_at, decision, reason, metrics, previous_version, decision_number
           ) SELECT ?, ?, ?, ?, ?, ?, ?, coalesce(max(decision_number), 0) + 1 FROM promotions""",
        [
            model_version,
            as_of,
            datetime.now(UTC).replace(tzinfo=None),
            decision,
            reason,
            json.dumps(metrics, sort_keys=True),
            previous_version,
        ],
    )


def _first_day(connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any]) -> date | None:
    row = first_row(connection, query, values)
    return row[0] if row else None
