"""The part of a publication that comes from the warehouse: the rows of a day, and the history that readers are shown.

SQL only, and plain JSON values where the history is concerned; reshaping is in `arrays.py`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np

from foundation.models.decisions import Standing
from foundation.models.promotions import all_decisions, serving_decision
from foundation.warehouse.rows import first_row
from moovitamix_assets.recommendations.publishing.arrays import RecommendedRows
from moovitamix_assets.recommendations.publishing.layout import SOURCES
from moovitamix_assets.warehouse.schemas import SOURCE_TABLES

_HISTORY_DAYS = 365


def recommended_rows(
    connection: duckdb.DuckDBPyConnection, table: str, day: date, version: str | None = None
) -> RecommendedRows:
    """The rows of a day of `recommendations` or `shadow_recommendations`, of one version or of all."""
    # Coded by the warehouse: a text per row would take more memory than all else.
    sources = " ".join(f"WHEN '{source}' THEN {code}" for code, source in enumerate(SOURCES))
    columns = connection.execute(
        f"""SELECT user_id, rank, track_id, score, (CASE source {sources} END)::UTINYINT AS source FROM {table}
            WHERE generated_for = $day AND ($version IS NULL OR model_version = $version) ORDER BY user_id, rank""",
        {"day": day, "version": version},
    ).fetchnumpy()
    return RecommendedRows(
        users=np.asarray(columns["user_id"], np.int64),
        ranks=np.asarray(columns["rank"], np.int16),
        tracks=np.asarray(columns["track_id"], np.int64),
        scores=np.asarray(columns["score"], np.float32),
        sources=np.asarray(columns["source"], np.uint8),
    )


def validity(connection: duckdb.DuckDBPyConnection, day: date) -> tuple[datetime, datetime] | None:
    """From when to when the recommendations of a day may be shown; None if there are none."""
    row = first_row(
        connection,
        "SELECT max(generated_at), min(expires_at) FROM recommendations WHERE generated_for = ?",
        [day],
    )
    return None if row is None or row[0] is None else (row[0], row[1])


def history(connection: duckdb.DuckDBPyConnection, day: date, versions: Standing) -> dict[str, Any]:
    """The model in use, all decisions, and a year of quality, drift and data quality, as JSON values.

    Returns:
        `model`, `promotions`, `quality`, `drift`, `data_quality`; all but the first are lists, oldest first.
    """
    first = day - timedelta(days=_HISTORY_DAYS)
    return {
        "model": _model(connection, day, versions),
        "promotions": [
            _plain(dict(row) | {"metrics": json.loads(row["metrics"])})
            for row in all_decisions(connection).astype(object).to_dict("records")
        ],
        "quality": _rows(
            connection,
            "SELECT * FROM recommendation_quality WHERE day BETWEEN ? AND ? ORDER BY day, model_version, role, segment",
            [first, day],
        ),
        "drift": _rows(
            connection, "SELECT * FROM drift WHERE day BETWEEN ? AND ? ORDER BY day, feature", [first, day]
        ),
        "data_quality": _data_quality(connection, first, day),
    }


def _model(connection: duckdb.DuckDBPyConnection, day: date, versions: Standing) -> dict[str, Any]:
    decision = serving_decision(connection, day)
    evaluations = _rows(
        connection,
        """SELECT subject, segment, metric, value, standard_error, users FROM model_evaluations
           WHERE model_version = ? ORDER BY ALL""",
        [versions.champion],
    )
    return {
        "model_version": versions.serving,
        "serving_since": _plain(versions.serving_since),
        "serving_by": decision.kind if decision else None,
        "serving_reason": decision.reason if decision else None,
        "champion": versions.champion,
        "challenger": versions.challenger.model_version if versions.challenger else None,
        "challenger_since": _plain(versions.challenger.since) if versions.challenger else None,
        "fallback_since": _plain(versions.fallback.since) if versions.fallback else None,
        "evaluations": evaluations,
    }


def _data_quality(connection: duckdb.DuckDBPyConnection, first: date, last: date) -> list[dict[str, Any]]:
    """Records by day and table, and why they were rejected, without the values found: they may be personal."""
    loads = _rows(
        connection,
        """SELECT changed_on AS day, table_name, received, accepted, rejected, duplicates, superseded
           FROM partition_loads WHERE changed_on BETWEEN ? AND ? ORDER BY day, table_name""",
        [first, last],
    )
    reasons: dict[tuple[str, str], dict[str, int]] = {}
    for table in SOURCE_TABLES:
        counted = connection.execute(
            f"""SELECT changed_on, split_part(reason, ':', 1) AS kind, count(*) FROM (
                    SELECT changed_on, unnest(reasons) AS reason FROM rejected_{table} WHERE changed_on BETWEEN ? AND ?
                ) GROUP BY ALL ORDER BY ALL""",
            [first, last],
        ).fetchall()
        for day, kind, count in counted:
            reasons.setdefault((day.isoformat(), table), {})[kind] = count
    return [row | {"rejected_by_reason": reasons.get((row["day"], row["table_name"]), {})} for row in loads]


def _rows(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[object]
) -> list[dict[str, Any]]:
    cursor = connection.execute(query, list(values))
    names = [column[0] for column in cursor.description or ()]
    return [
        {name: _plain(value) for name, value in zip(names, row, strict=True)} for row in cursor.fetchall()
    ]


def _plain(value: Any) -> Any:
    """A JSON value: times as text, NaN and infinity as None."""
    match value:
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case date():
            # NaT is a date to Python, and equal to nothing.
            return value.isoformat() if value == value else None
        case float():
            return float(value) if math.isfinite(value) else None
        case np.generic():
            return _plain(value.item())
    return value
