"""The MLflow mirror of `promotions`: every version ever decided about, and which one is champion.

The table is the truth; the mirror is derived from it and can be written again at any time, completely. What belongs
in it stands here; how MLflow is told is in `mlflow_writer.py`.
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
from foundation.models.promotions import aliases, all_decisions
from foundation.secret_url import SecretUrl
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.artifact import MODEL_FILE, read_json
from moovitamix_assets.training.dataset.training_set import MANIFEST_FILE
from moovitamix_assets.training.dataset.training_set_store import training_set_folder
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.training.mirroring.mlflow_writer import REFUSED, MirroredVersion, Outcome, Plan
from moovitamix_assets.warehouse.connection import read_warehouse

DATABASE_FILE = "mlflow.db"

_WRITER = "moovitamix_assets.training.mirroring.mlflow_writer"
_ARTIFACT_FILES = (".json", ".npy")
# MLflow reports usage to its makers, configures others' loggers and retries a dead server for minutes. What the
# environment says of the last two wins.
_FORCED_ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_DEFAULT_ENVIRONMENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class MirrorFailed(Explained):
    """The mirror could not be written; decisions are not touched by that, and the next write makes up for it."""


@dataclass(frozen=True)
class MirrorReport:
    """What was written.

    Attributes:
        where: The database file, or the tracking server without its credentials.
        versions: What became of each version, in the order in which they were decided about.
        aliases: Version by alias.
        seconds: How long it took.
    """

    where: str
    versions: Mapping[str, Outcome]
    aliases: Mapping[str, str]
    seconds: float


def write_mirror(settings: Settings, *, patient: bool = False) -> MirrorReport:
    """Make MLflow show what the warehouse says; what it shows already is left as it is.

    MLflow runs in a process of its own: it keeps its database open for the life of a process, also after the file
    was deleted, and tries for minutes where it should say no; a process can be ended. What was written of the
    versions by then stays, and the next write goes on from there.

    Args:
        settings: Where the warehouse, the models and the mirror are, and how long it may take.
        patient: Take as long as it needs: for a person who can see it and end it.

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
    outcomes = _told(plan, where, None if patient else settings.mirror.mlflow_timeout_seconds)
    return MirrorReport(where, outcomes, plan.aliases, time.monotonic() - started)


def mirror_plan(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Plan:
    """Return everything the mirror shall show.

    Args:
        connection: The warehouse.
        settings: Where models, training sets and the mirror are.
    """
    decisions = all_decisions(connection)
    evaluations = connection.execute("SELECT * FROM model_evaluations").df()
    metrics = {str(version): rows for version, rows in evaluations.groupby("model_version")}
    by_version = decisions.sort_values("decision_number", kind="stable").groupby("model_version", sort=False)
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
    # A day has one training set: it is that of the last model made of it, and says nothing of earlier ones.
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
    """Such as candidate.all.ndcg_at_10, with its standard_error and the number of users beside it."""
    named: dict[str, float] = {}
    for row in evaluations.itertuples():
        name = f"{row.subject}.{row.segment}.{row.metric}"
        named[name] = float(str(row.value))
        named[f"{name}.standard_error"] = float(str(row.standard_error))
        named[f"{row.subject}.{row.segment}.users"] = float(str(row.users))
    return {name: value for name, value in sorted(named.items()) if math.isfinite(value)}


def _gate(figures: Mapping[str, Any]) -> dict[str, float]:
    """The figures that the decision was taken on."""
    return {
        f"gate.{name}": float(value)
        for name, value in _flat("", figures)
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _parameters(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The recipe, flat: lightfm.components, lightfm.weight and so on."""
    recipe = dict(model["recipe"])
    seen: list[str] = []
    for ingredient in recipe.pop("ingredients"):
        parameters = dict(ingredient["parameters"])
        name = parameters.pop("name")
        seen.append(name)
        prefix = name if seen.count(name) == 1 else f"{name}_{seen.count(name)}"
        for key, value in _flat(f"{prefix}.", {"weight": ingredient["weight"], **parameters}):
            yield key, str(value)
    yield "ingredients", ", ".join(seen)
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


def _told(plan: Plan, where: str, timeout_seconds: float | None) -> dict[str, Outcome]:
    if plan.artifacts_uri is None:
        remedy = "Check MOOVITAMIX_MLFLOW_TRACKING_URI and that the server runs, then: moovitamix mirror."
    else:
        remedy = f"The mirror can be made anew: delete {where}, then: moovitamix mirror."
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
    # What MLflow says quotes the address that it was given.
    complaint = SecretUrl(plan.tracking_uri).redact(finished.stderr).strip()
    if finished.returncode == REFUSED:
        said = complaint.splitlines()[-1].rstrip(". ")
        raise MirrorFailed(f"MLflow at {where} could not be written: {said}. {remedy}")
    if finished.returncode:
        raise MirrorFailed(f"The writer of the mirror broke off:\n{complaint}")
    outcomes: dict[str, Outcome] = json.loads(finished.stdout.splitlines()[-1])
    return outcomes
