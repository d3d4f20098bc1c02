"""The MLflow mirror of `promotions`: every version that was ever decided about, and the aliases of champions.

The table is the truth; the mirror is derived from it and can be written again at any time, completely. Its content is
determined here; the calls to MLflow are in `mlflow_writer.py`.
"""

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pandas as pd

from foundation.errors import Explained
from foundation.models.model_store import ModelDamaged
from foundation.models.promotions import all_decisions
from foundation.secret_url import SecretUrl
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.artifact import MODEL_FILE, read_json
from moovitamix_assets.training.dataset.training_set import MANIFEST_FILE
from moovitamix_assets.training.dataset.training_set_store import training_set_folder
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.training.mirroring.aliases import aliases
from moovitamix_assets.training.mirroring.mlflow_writer import REFUSED, MirroredVersion, Outcome, Plan
from moovitamix_assets.warehouse.connection import read_warehouse

DATABASE_FILE = "mlflow.db"

_WRITER = "moovitamix_assets.training.mirroring.mlflow_writer"
_ARTIFACT_FILES = (".json", ".npy")
# MLflow reports usage to its makers, configures others' loggers and retries a dead server for minutes. For the last
# two, values in the environment win.
_FORCED_ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_DEFAULT_ENVIRONMENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class MirrorFailed(Explained):
    """The mirror could not be written; decisions are not affected, and the next write catches up."""


@dataclass(frozen=True)
class MirrorReport:
    """The result of writing the mirror.

    Attributes:
        where: The database file, or the tracking server without its credentials.
        versions: The outcome for each version, in the order of the decisions.
        aliases: Version by alias.
        seconds: Duration of the write.
    """

    where: str
    versions: Mapping[str, Outcome]
    aliases: Mapping[str, str]
    seconds: float


def write_mirror(settings: Settings, *, patient: bool = False) -> MirrorReport:
    """Bring MLflow up to date with the warehouse; versions that are up to date are left alone.

    MLflow runs in a separate process: it keeps its database open for the life of a process, even after the file
    was deleted, and retries for minutes where it should fail; a process can be ended. Versions written by then stay,
    and the next write continues from there.

    Args:
        settings: Locations of the warehouse, the models and the mirror, and the timeout.
        patient: Ignore the timeout: for a user who can watch and stop it.

    Raises:
        WarehouseMissing: If there is no warehouse yet.
        WarehouseLocked: If another process is writing to it.
        MirrorFailed: If the pointer to a candidate is damaged, or MLflow, its database or its tracking server fails
            or takes longer than the settings allow.
    """
    started = time.monotonic()
    try:
        with read_warehouse(settings.warehouse_path) as connection:
            plan = mirror_plan(connection, settings)
    except ModelDamaged as error:
        raise MirrorFailed(str(error)) from error
    where = str(settings.mirror.mlflow_tracking_uri or settings.data_dir / DATABASE_FILE)
    outcomes = _run_writer(plan, where, None if patient else settings.mirror.mlflow_timeout_seconds)
    return MirrorReport(where, outcomes, plan.aliases, time.monotonic() - started)


def mirror_plan(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Plan:
    """Return the full content of the mirror.

    Args:
        connection: The warehouse.
        settings: Locations of models, training sets and the mirror.
    """
    decisions = all_decisions(connection)
    evaluations = connection.execute("SELECT * FROM model_evaluations").df()
    metrics = {str(version): rows for version, rows in evaluations.groupby("model_version")}
    of_models = decisions[decisions["decision"] != "fallback"]
    by_version = of_models.sort_values("decision_number", kind="stable").groupby("model_version", sort=False)
    local = not settings.mirror.mlflow_tracking_uri
    folder = settings.data_dir.absolute()
    return Plan(
        folder=str(folder),
        tracking_uri=settings.mirror.mlflow_tracking_uri.get_secret_value() or f"sqlite:///{DATABASE_FILE}",
        artifacts_uri=(folder / "mlflow_artifacts").as_uri() if local else None,
        versions=[
            _mirrored_version(str(version), rows, metrics.get(str(version), evaluations.iloc[:0]), settings)
            for version, rows in by_version
        ],
        aliases=aliases(decisions),
    )


def _mirrored_version(
    version: str, decisions: pd.DataFrame, evaluations: pd.DataFrame, settings: Settings
) -> MirroredVersion:
    first, last = decisions.iloc[0], decisions.iloc[-1]
    as_of: date = first["as_of"].date()
    tags = {
        "model_version": version,
        "as_of": as_of.isoformat(),
        "decision": str(last["decision"]),
        "decided_at": last["decided_at"].isoformat(),
        "reason": str(last["reason"]),
    }
    if pd.notna(last["previous_version"]):
        tags["previous_version"] = str(last["previous_version"])
    manifest = training_set_folder(settings.training_sets_dir, as_of) / MANIFEST_FILE
    models = model_store(settings.models_dir)
    # A day has one training set: that of the last model trained on it, which does not identify earlier ones.
    if manifest.exists() and models.candidate_version(as_of) == version:
        tags["training_set_sha256"] = hashlib.sha256(manifest.read_bytes()).hexdigest()
    folder = models.folder(version)
    kept = (folder / MODEL_FILE).exists()
    return MirroredVersion(
        model_version=version,
        decided_at=_milliseconds(first["decided_at"].to_pydatetime()),
        tags=tags,
        parameters=dict(_parameters(read_json(folder))) if kept else {},
        metrics={**_metrics(evaluations), **_gate(json.loads(first["metrics"]))},
        files=sorted(str(path.absolute()) for path in folder.glob("*") if path.suffix in _ARTIFACT_FILES)
        if kept
        else [],
    )


def _metrics(evaluations: pd.DataFrame) -> dict[str, float]:
    """Return metrics such as candidate.all.ndcg_at_10, each with its standard_error and the number of users."""
    named: dict[str, float] = {}
    for row in evaluations.itertuples():
        name = f"{row.subject}.{row.segment}.{row.metric}"
        named[name] = float(str(row.value))
        named[f"{name}.standard_error"] = float(str(row.standard_error))
        named[f"{row.subject}.{row.segment}.users"] = float(str(row.users))
    return {name: value for name, value in sorted(named.items()) if math.isfinite(value)}


def _gate(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures behind the decision."""
    return {
        f"gate.{name}": float(value)
        for name, value in _flat("", figures)
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _parameters(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the recipe, flat, by its stored names: lightfm.components, lightfm.weight and so on."""
    recipe = dict(model["recipe"])
    names: list[str] = []
    for ingredient in recipe.pop("ingredients"):
        parameters = dict(ingredient["parameters"])
        name = parameters.pop("name")
        names.append(name)
        prefix = name if names.count(name) == 1 else f"{name}_{names.count(name)}"
        for key, value in _flat(f"{prefix}.", {"weight": ingredient["weight"], **parameters}):
            yield key, str(value)
    yield "ingredients", ", ".join(names)
    for key, value in _flat("", recipe):
        yield key, str(value)


def _flat(prefix: str, content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def _milliseconds(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def _run_writer(plan: Plan, where: str, timeout_seconds: float | None) -> dict[str, Outcome]:
    if plan.artifacts_uri is None:
        remedy = "Check MOOVITAMIX_MLFLOW_TRACKING_URI and that the server runs, then: moovitamix mirror."
    else:
        remedy = f"The mirror can be written anew: delete {where}, then: moovitamix mirror."
    try:
        finished = subprocess.run(
            [sys.executable, "-m", _WRITER],
            input=plan.to_json(),
            env={**_DEFAULT_ENVIRONMENT, **os.environ, **_FORCED_ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired:
        raise MirrorFailed(f"MLflow at {where} did not finish in {timeout_seconds:g} s. {remedy}") from None
    # MLflow's messages quote the address that it was given.
    message = SecretUrl(plan.tracking_uri).redact(finished.stderr).strip()
    if finished.returncode == REFUSED:
        reason = message.splitlines()[-1].rstrip(". ")
        raise MirrorFailed(f"MLflow at {where} could not be written: {reason}. {remedy}")
    if finished.returncode:
        raise MirrorFailed(f"The writer of the mirror failed unexpectedly:\n{message}")
    outcomes: dict[str, Outcome] = json.loads(finished.stdout.splitlines()[-1])
    return outcomes
