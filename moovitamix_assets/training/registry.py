"""Models on disk and the record of decisions: which version was in force as of any day.

The table `promotions` is the truth. What a decision should be is in `promotion.py`, what a model is in
`recommender.py`.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from moovitamix_assets.training.evaluation import Evaluation
from moovitamix_assets.training.promotion import Decision
from moovitamix_assets.training.recommender import Recommender
from moovitamix_assets.training.storage import write_folder, write_text
from moovitamix_assets.warehouse.connection import insert
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS, PROMOTIONS

_EVALUATIONS_FILE = "evaluations.parquet"
_PER_USER_FILE = "ndcg_at_10_per_user.parquet"


@dataclass(frozen=True)
class Candidate:
    """A trained model on disk, with what it and its baselines were worth.

    Attributes:
        model_version: Its version.
        evaluations: Rows of `model_evaluations`.
        ndcg_per_user: NDCG@10 by user_id, one column per subject.
    """

    model_version: str
    evaluations: pd.DataFrame
    ndcg_per_user: pd.DataFrame


class NoCandidate(FileNotFoundError):
    """No model was trained as of a day; the message names the remedy."""


def store_candidate(models_dir: Path, model: Recommender, evaluations: dict[str, Evaluation]) -> Candidate:
    """Write a model with its evaluations, and make it the candidate of its day.

    Args:
        models_dir: Folder of all models.
        model: The model to be served.
        evaluations: By subject, all on the same people.
    """
    candidate = Candidate(
        model_version=model.model_version,
        evaluations=pd.concat([evaluation.table for evaluation in evaluations.values()], ignore_index=True),
        ndcg_per_user=pd.DataFrame(
            {subject: evaluation.per_user["ndcg_at_10"] for subject, evaluation in evaluations.items()}
        ),
    )

    def write(folder: Path) -> None:
        model.save(folder)
        candidate.evaluations.to_parquet(folder / _EVALUATIONS_FILE)
        candidate.ndcg_per_user.to_parquet(folder / _PER_USER_FILE)

    write_folder(models_dir / model.model_version, write)
    write_text(models_dir / "candidates" / model.as_of.isoformat(), model.model_version)
    return candidate


def read_candidate(models_dir: Path, as_of: date) -> Candidate:
    """The candidate trained as of a day.

    Raises:
        NoCandidate: If none was.
    """
    pointer = models_dir / "candidates" / as_of.isoformat()
    if not pointer.exists():
        raise NoCandidate(f"No model was trained as of {as_of}: materialize lightfm_model for {as_of} first.")
    version = pointer.read_text().strip()
    folder = models_dir / version
    return Candidate(
        version, pd.read_parquet(folder / _EVALUATIONS_FILE), pd.read_parquet(folder / _PER_USER_FILE)
    )


def load_model(models_dir: Path, model_version: str) -> Recommender:
    """The model of a version; nothing is unpickled."""
    return Recommender.load(models_dir / model_version)


def version_in_force(connection: duckdb.DuckDBPyConnection, as_of: date) -> str | None:
    """The version that served as of a day: the last one promoted, or rolled back to, up to then."""
    row = connection.execute(
        """SELECT model_version FROM promotions
           WHERE decision IN ('promoted', 'rolled_back') AND as_of <= ?
           ORDER BY as_of DESC, decided_at DESC LIMIT 1""",
        [as_of],
    ).fetchone()
    return str(row[0]) if row else None


def decided(connection: duckdb.DuckDBPyConnection, as_of: date) -> pd.DataFrame:
    """The decisions taken about candidates of a day, oldest first."""
    return connection.execute("SELECT * FROM promotions WHERE as_of = ? ORDER BY decided_at", [as_of]).df()


def record_decision(
    connection: duckdb.DuckDBPyConnection,
    candidate: Candidate,
    as_of: date,
    decision: Decision,
    metrics: dict[str, Any],
) -> Decision:
    """Store a candidate's evaluations and the decision about it; a version is decided about once.

    Returns:
        The decision in force: the earlier one where this version was decided about before.
    """
    connection.execute("DELETE FROM model_evaluations WHERE model_version = ?", [candidate.model_version])
    insert(connection, MODEL_EVALUATIONS, candidate.evaluations)
    earlier = connection.execute(
        "SELECT decision, reason FROM promotions WHERE model_version = ? AND decision <> 'rolled_back'",
        [candidate.model_version],
    ).fetchone()
    if earlier:
        return Decision(*earlier)
    row = {
        "model_version": candidate.model_version,
        "as_of": pd.Timestamp(as_of),
        "decided_at": datetime.now(UTC).replace(tzinfo=None),
        "decision": decision.decision,
        "reason": decision.reason,
        "metrics": json.dumps(metrics, sort_keys=True),
        "previous_version": version_in_force(connection, as_of),
    }
    insert(connection, PROMOTIONS, pd.DataFrame([row]))
    return decision
