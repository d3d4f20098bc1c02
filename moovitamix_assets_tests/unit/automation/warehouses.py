"""Warehouses that sensors look at: lists, decisions and measures put in by hand. No assertion belongs here."""

from collections.abc import Sequence
from datetime import date, timedelta

import duckdb
import pandas as pd
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, GraphDefinition
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.tables import empty_frame
from foundation.warehouse.rows import insert
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS, RECOMMENDATION_QUALITY


def decide_about(connection: duckdb.DuckDBPyConnection, version: str, decision: str = "promoted") -> None:
    """A decision about a candidate, as of the day that its version names."""
    candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), pd.DataFrame())
    record_decision(connection, candidate, date.fromisoformat(version[:10]), Decision(decision, "Why."), {})


def add_quality(
    connection: duckdb.DuckDBPyConnection, first: date, version: str, ndcg: Sequence[float]
) -> None:
    """What a version's lists were worth on one day after another, where popularity earns 0.03."""
    rows = [
        dict.fromkeys(RECOMMENDATION_QUALITY.columns, 0.1)
        | {"day": pd.Timestamp(first + timedelta(days=number)), "model_version": version, "segment": "all"}
        | {"role": "champion", "users": 300, "ndcg_at_10": value, "popularity_ndcg_at_10": 0.03}
        for number, value in enumerate(ndcg)
    ]
    insert(connection, RECOMMENDATION_QUALITY, pd.DataFrame(rows))


def put_down_run(
    instance: DagsterInstance, job_name: str, status: DagsterRunStatus, **tags: str
) -> DagsterRun:
    """A run that Dagster's records know of, by its state alone."""
    job = GraphDefinition(name=job_name).to_job(name=job_name)
    # Dagster queues only what it could start by itself.
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("location"), "repository"), job_name
    )
    return instance.create_run_for_job(job, status=status, tags=tags, remote_job_origin=origin)
