"""Models on disk and the record of decisions: which version was in force as of any day, and why.

The table `promotions` is the truth. What a decision should be is in `gate.py`, what a model is in
`recommender.py`, and what MLflow is told in `mirror.py`.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from foundation.artifact_folder import damage_in, remove_folder, write_folder
from foundation.durable import Damaged, read_checked_text, write_checked_text
from foundation.errors import Explained
from foundation.models.gate import Decision
from moovitamix_assets.training.artifacts.artifact_verification import put_down_expected_lists
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.evaluation.offline import Evaluation
from moovitamix_assets.warehouse.connection import first_row, insert
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS, PROMOTIONS

_EVALUATIONS_FILE = "evaluations.parquet"
_PER_USER_FILE = "per_user.parquet"
_IN_FORCE = "decision IN ('promoted', 'rolled_back')"


@dataclass(frozen=True)
class Candidate:
    """A trained model on disk, with what it and those beside it were worth.

    Attributes:
        model_version: Its version.
        evaluations: Rows of `model_evaluations`.
        per_user: user_id, subject, and one column per metric; one row per person and subject.
    """

    model_version: str
    evaluations: pd.DataFrame
    per_user: pd.DataFrame

    def of(self, subject: str, metric: str) -> pd.Series | None:
        """A metric by user_id; None where the subject was not measured."""
        rows = self.per_user[self.per_user["subject"] == subject]
        return None if rows.empty else rows.set_index("user_id")[metric]


class NoCandidate(FileNotFoundError):
    """No model was trained as of a day; the message names the remedy."""


class ModelMissing(Explained, FileNotFoundError):
    """The folder of a version is gone; the message names the remedy."""


class ModelDamaged(Damaged):
    """A file of a model, or the pointer to a day's candidate, is not what was written."""

    def __init__(self, file: Path, found: str, day: str, lost: str) -> None:
        """Name the file, `found` in it, what is `lost` and the remedies; `day` is what the model was trained as of."""
        super().__init__(
            f"{file} is damaged: {found}. {lost} Restore it from a copy, or make it again with "
            f"`dagster asset materialize --select training_set,lightfm_model --partition {day} "
            "-m moovitamix_assets.definitions`, or return to the version before with `moovitamix rollback`."
        )


class NothingToRollBack(RuntimeError):
    """There is no earlier champion to return to; the message says what is in force."""


def store_candidate(models_dir: Path, model: Recommender, evaluations: Mapping[str, Evaluation]) -> Candidate:
    """Write a model with its evaluations, and make it the candidate of its day.

    Args:
        models_dir: Folder of all models.
        model: The model to be served.
        evaluations: By subject, all on the same people.
    """
    candidate = Candidate(
        model_version=model.model_version,
        evaluations=pd.concat([evaluation.table for evaluation in evaluations.values()], ignore_index=True),
        per_user=pd.concat(
            [
                evaluation.per_user.reset_index().assign(subject=subject)
                for subject, evaluation in evaluations.items()
            ],
            ignore_index=True,
        ),
    )

    def write(folder: Path) -> None:
        model.save(folder)
        put_down_expected_lists(model, folder)
        candidate.evaluations.to_parquet(folder / _EVALUATIONS_FILE)
        candidate.per_user.to_parquet(folder / _PER_USER_FILE)

    write_folder(models_dir / model.model_version, write)
    write_checked_text(models_dir / "candidates" / model.as_of.isoformat(), model.model_version)
    return candidate


def read_candidate(models_dir: Path, as_of: date) -> Candidate:
    """The candidate trained as of a day.

    Raises:
        NoCandidate: If none was.
        ModelMissing: If its folder is gone.
        ModelDamaged: If the pointer to it, or one of its files, is not what was written.
    """
    pointer = models_dir / "candidates" / as_of.isoformat()
    if not pointer.exists():
        raise NoCandidate(f"No model was trained as of {as_of}: materialize lightfm_model for {as_of} first.")
    version = candidate_named_by(pointer)
    folder = models_dir / version
    verify_model(models_dir, version)
    return Candidate(
        version, pd.read_parquet(folder / _EVALUATIONS_FILE), pd.read_parquet(folder / _PER_USER_FILE)
    )


def candidate_named_by(pointer: Path) -> str:
    """The version that a file `candidates/<day>` names.

    Raises:
        ModelDamaged: If the file is not what was written.
    """
    try:
        version = read_checked_text(pointer).strip()
    except ValueError as error:
        raise ModelDamaged(
            pointer, str(error), pointer.name, f"Lost is which model is the candidate of {pointer.name}."
        ) from error
    if not version:
        raise ModelDamaged(
            pointer, "it is empty", pointer.name, f"Lost is which model is the candidate of {pointer.name}."
        )
    return version


def newest_candidate_day(models_dir: Path) -> date:
    """The newest day as of which a model was trained.

    Raises:
        NoCandidate: If none ever was.
    """
    days = sorted(path.name for path in (models_dir / "candidates").glob("????-??-??"))
    if not days:
        raise NoCandidate("No model was trained yet: materialize training_set and lightfm_model first.")
    return date.fromisoformat(days[-1])


def load_model(models_dir: Path, model_version: str) -> Recommender:
    """The model of a version, verified; nothing is unpickled.

    Raises:
        ModelMissing: If its folder is gone.
        ModelDamaged: If a file is not the one that was written.
    """
    verify_model(models_dir, model_version)
    folder = models_dir / model_version
    try:
        return Recommender.load(folder)
    except (OSError, ValueError, KeyError, EOFError) as error:
        # A folder of an earlier version has no hashes: its damage shows only here.
        raise ModelDamaged(folder, str(error), model_version[:10], _lost(model_version)) from error


def verify_model(models_dir: Path, model_version: str) -> None:
    """Compare every file of a model with its hash.

    Raises:
        ModelMissing: If its folder is gone.
        ModelDamaged: If a file is not the one that was written.
    """
    folder = models_dir / model_version
    if not folder.exists():
        raise ModelMissing(
            f"The model {model_version} is not in {models_dir}. Restore its folder, or make it again with "
            f"`dagster asset materialize --select lightfm_model --partition {model_version[:10]} "
            "-m moovitamix_assets.definitions`, or return to the version before with `moovitamix rollback`."
        )
    found = damage_in(folder)
    if found is not None:
        name, _, finding = found.partition(": ")
        raise ModelDamaged(folder / name, finding, model_version[:10], _lost(model_version))


def _lost(model_version: str) -> str:
    return f"The model {model_version} cannot be used."


def version_in_force(connection: duckdb.DuckDBPyConnection, as_of: date) -> str | None:
    """The version that served as of a day: the last one promoted, or rolled back to, up to then."""
    return _version(connection, "as_of <= ?", [as_of])


def champion_before(connection: duckdb.DuckDBPyConnection, as_of: date) -> str | None:
    """The version a candidate of a day has to compare with: in force that day, but for the day's own candidates.

    So that training a day again compares with the same champion as the first time.
    """
    return _version(connection, "(as_of < ? OR (as_of = ? AND decision = 'rolled_back'))", [as_of, as_of])


def record_decision(
    connection: duckdb.DuckDBPyConnection,
    candidate: Candidate,
    as_of: date,
    decision: Decision,
    metrics: Mapping[str, Any],
) -> Decision:
    """Store a candidate's evaluations and the decision about it; a version is decided about once.

    Returns:
        The decision that holds: the earlier one where this version was decided about before.
    """
    connection.execute("DELETE FROM model_evaluations WHERE model_version = ?", [candidate.model_version])
    insert(connection, MODEL_EVALUATIONS, candidate.evaluations)
    earlier = first_row(
        connection,
        "SELECT decision, reason FROM promotions WHERE model_version = ? AND decision <> 'rolled_back'",
        [candidate.model_version],
    )
    if earlier:
        return Decision(*earlier)
    previous = version_in_force(connection, as_of)
    _add(connection, candidate.model_version, as_of, decision.decision, decision.reason, metrics, previous)
    return decision


def roll_back(
    connection: duckdb.DuckDBPyConnection, reason: str, only_if: str | None = None
) -> tuple[str, str] | None:
    """Put the champion before the current one in force again, from the newest day on; nothing is trained.

    Going back twice goes back two champions: each returns to what it had itself replaced when it was promoted.

    Args:
        connection: The warehouse, inside a transaction.
        reason: Why, in one sentence, for the record.
        only_if: The version meant. Where another one is in force by now, nothing is done, so that asking twice
            goes back once.

    Returns:
        The version now in force, and the one that was; None if `only_if` is not in force.

    Raises:
        NothingToRollBack: If none is in force, or the one in force was the first.
    """
    # From the newest day that anything was decided or recommended for: earlier days stay as they were.
    row = first_row(
        connection,
        """SELECT max(day) FROM (
               SELECT max(as_of) AS day FROM promotions UNION ALL SELECT max(generated_for) FROM recommendations
           )""",
    )
    as_of = row[0] if row and row[0] else date.min
    current = version_in_force(connection, as_of)
    if only_if is not None and current != only_if:
        return None
    if current is None:
        raise NothingToRollBack("No version is in force: popular tracks are recommended already.")
    before = first_row(
        connection,
        "SELECT previous_version FROM promotions WHERE model_version = ? AND decision = 'promoted'",
        [current],
    )
    if before is None or before[0] is None:
        raise NothingToRollBack(f"{current} is the first champion: there is no version before it.")
    _add(connection, str(before[0]), as_of, "rolled_back", reason, {}, current)
    return str(before[0]), current


def old_models(
    connection: duckdb.DuckDBPyConnection, models_dir: Path, *, kept: int, served_days: int
) -> list[str]:
    """The versions on disk that are neither among the newest nor needed for the days kept.

    Args:
        connection: The warehouse.
        models_dir: Folder of all models.
        kept: How many of the versions decided last are kept in any case.
        served_days: Versions in force in that many days up to the newest decision are kept too, and so is what
            a rollback would return to.
    """
    decisions = connection.execute(
        "SELECT model_version, as_of, decision, previous_version FROM promotions ORDER BY decision_number DESC"
    ).df()
    if decisions.empty:
        return []
    newest = decisions["as_of"].max().date()
    in_force = {version_in_force(connection, newest - timedelta(days=back)) for back in range(served_days)}
    returned_to = set(decisions[decisions["model_version"].isin(in_force)]["previous_version"].dropna())
    needed: Collection[Any] = in_force | returned_to | set(decisions["model_version"].unique()[:kept])
    return [
        version
        for version in decisions["model_version"].unique()
        if version not in needed and (models_dir / version).exists()
    ]


def remove_models(models_dir: Path, model_versions: Collection[str]) -> None:
    """Remove the folders of some versions, each of them whole or not at all for whoever loads models.

    Only for what a committed decision made old: a transaction that is rolled back brings no folder back.
    """
    for version in model_versions:
        remove_folder(models_dir / version)


def _version(connection: duckdb.DuckDBPyConnection, condition: str, values: list[Any]) -> str | None:
    row = first_row(
        connection,
        f"""SELECT model_version FROM promotions WHERE {_IN_FORCE} AND {condition}
            ORDER BY as_of DESC, decision_number DESC, decided_at DESC LIMIT 1""",
        values,
    )
    return str(row[0]) if row else None


def _add(
    connection: duckdb.DuckDBPyConnection,
    model_version: str,
    as_of: date,
    decision: str,
    reason: str,
    metrics: Mapping[str, Any],
    previous_version: str | None,
) -> None:
    # Not the time but this number orders decisions: a clock may go backwards.
    number = first_row(connection, "SELECT coalesce(max(decision_number), 0) + 1 FROM promotions")
    row = {
        "model_version": model_version,
        "as_of": pd.Timestamp(as_of),
        "decided_at": datetime.now(UTC).replace(tzinfo=None),
        "decision": decision,
        "reason": reason,
        "metrics": json.dumps(metrics, sort_keys=True),
        "previous_version": previous_version,
        "decision_number": number[0] if number else 1,
    }
    insert(connection, PROMOTIONS, pd.DataFrame([row]))
