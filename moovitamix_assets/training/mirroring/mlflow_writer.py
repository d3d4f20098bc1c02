"""The calls that write the mirror to MLflow: the only module that imports it, run as a separate process.

`python -m moovitamix_assets.training.mirroring.mlflow_writer` reads a plan from its standard input and answers with a
line of JSON. The content of the mirror is determined in `mirror.py`.
"""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

Outcome = Literal["written", "rewritten", "tagged", "unchanged"]
"""The outcome for a version: new in the mirror, replaced as its content differed, only its tags set, or left alone."""

MODEL_NAME = "moovitamix"
ALIASES = ("champion", "previous", "challenger")
ARTIFACT_FOLDER = "model"
REFUSED = 3
"""Exit code where MLflow or its storage refused; the reason is the last line of standard error."""

# Marks the mirror's own runs and holds the digest of what was written: set last, so that it covers all of it.
_CONTENT_TAG = "moovitamix.content"
_UNFINISHED = "unfinished"
_SQLITE = "sqlite:///"
_LOCK_WAIT_SECONDS = 10.0
_PAGE = 1000
_METRICS_PER_CALL = 500
_PARAMETERS_PER_CALL = 100

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class MirroredVersion:
    """The content of the mirror for one version.

    Attributes:
        model_version: The version.
        decided_at: Milliseconds since 1970, UTC; the time of the run.
        tags: Of the run and of the registered version.
        parameters: The recipe, flat; empty where the model's folder is gone.
        metrics: By name, finite.
        files: Paths of the artifact; empty where the model's folder is gone.
    """

    model_version: str
    decided_at: int
    tags: dict[str, str]
    parameters: dict[str, str]
    metrics: dict[str, float]
    files: list[str]

    def digest(self) -> str:
        """Return a digest of all but the tags; a file counts by name and size, as a version's bytes are fixed."""
        sizes = sorted((Path(file).name, Path(file).stat().st_size) for file in self.files)
        content = json.dumps([self.parameters, self.metrics, sizes], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """The full content of the mirror.

    Attributes:
        folder: Base of relative paths: MLflow accepts no `#` or `%` in a SQLite path, so the path is relative.
        tracking_uri: `sqlite:///...` or a tracking server, with its credentials.
        artifacts_uri: `file://` URI of the folder for artifacts; None leaves it to the tracking server.
        versions: In the order of the decisions.
        aliases: Version by alias; those of `ALIASES` that are absent are removed.
    """

    folder: str
    tracking_uri: str = field(repr=False)
    artifacts_uri: str | None
    versions: list[MirroredVersion]
    aliases: dict[str, str]

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what `to_json` returned."""
        content = json.loads(text)
        versions = [MirroredVersion(**version) for version in content.pop("versions")]
        return cls(versions=versions, **content)


def write(plan: Plan) -> dict[str, Outcome]:
    """Write the plan to MLflow; runs and versions that are not the mirror's own are left alone.

    A run that an interrupted write left unfinished is replaced.

    Returns:
        The outcome for each version.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=plan.tracking_uri, registry_uri=plan.tracking_uri)
    experiment_id = _experiment(client, plan.artifacts_uri)
    runs: dict[str, list[Run]] = {}
    for run in _all_runs(client, experiment_id):
        if _CONTENT_TAG in run.data.tags:
            runs.setdefault(run.data.tags["model_version"], []).append(run)
    registered = _registered_versions(client)
    outcomes: dict[str, Outcome] = {}
    for version in plan.versions:
        name = version.model_version
        outcomes[name] = _write_version(
            client, experiment_id, version, runs.get(name, []), registered.get(name, [])
        )
    _write_aliases(client, plan.aliases)
    if plan.artifacts_uri:
        kept = {run.info.run_id for run in _all_runs(client, experiment_id)}
        _sweep(Path(unquote(urlsplit(plan.artifacts_uri).path)), kept)
    return outcomes


def _try_database(path: Path) -> None:
    """Read the file once: MLflow would retry for 100 seconds to open one that is no database.

    Raises:
        sqlite3.Error: If it cannot be read.
    """
    with closing(sqlite3.connect(path, timeout=_LOCK_WAIT_SECONDS)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _experiment(client: "MlflowClient", artifacts_uri: str | None) -> str:
    """Return the id of the experiment that the mirror's runs belong to."""
    found = client.get_experiment_by_name(MODEL_NAME)
    if found and artifacts_uri and found.artifact_location != artifacts_uri:
        # The data folder was moved: MLflow would go on writing to the old place.
        client.rename_experiment(
            found.experiment_id, f"{MODEL_NAME} {found.experiment_id} of {found.artifact_location}"
        )
        if found.lifecycle_stage == "active":
            client.delete_experiment(found.experiment_id)
        found = None
    if found is None:
        return str(client.create_experiment(MODEL_NAME, artifact_location=artifacts_uri))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _all_runs(client: "MlflowClient", experiment_id: str) -> "Iterator[Run]":
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _registered_versions(client: "MlflowClient") -> "dict[str, list[ModelVersion]]":
    """Return the mirror's own registered versions by model version; the registered model is created if absent."""
    if not client.search_registered_models(filter_string=f"name = '{MODEL_NAME}'"):
        client.create_registered_model(
            MODEL_NAME, description="A mirror of the table promotions, which is the truth."
        )
    registered: dict[str, list[ModelVersion]] = {}
    token = None
    while True:
        page = client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=_PAGE, page_token=token)
        for one in page:
            if "model_version" in one.tags:
                registered.setdefault(one.tags["model_version"], []).append(one)
        token = page.token
        if not token:
            return registered


def _write_version(
    client: "MlflowClient",
    experiment_id: str,
    version: MirroredVersion,
    runs: "list[Run]",
    registered: "list[ModelVersion]",
) -> Outcome:
    kept = {run.info.run_id: run for run in runs if _shows(run, version)}
    one = next((one for one in registered if one.run_id in kept), None)
    for run in runs:
        if one is None or run.info.run_id != one.run_id:
            client.delete_run(run.info.run_id)
    for other in registered:
        if other is not one:
            client.delete_model_version(MODEL_NAME, other.version)
    if one is None:
        _create(client, experiment_id, version)
        return "rewritten" if runs or registered else "written"
    run = kept[one.run_id]
    changed = {name: value for name, value in version.tags.items() if run.data.tags.get(name) != value}
    # The run's tags are compared the next time, so they come last.
    for name, value in changed.items():
        client.set_model_version_tag(MODEL_NAME, one.version, name, value)
        client.set_tag(run.info.run_id, name, value)
    return "tagged" if changed else "unchanged"


def _shows(run: "Run", version: MirroredVersion) -> bool:
    shown = run.data.tags[_CONTENT_TAG]
    if shown == _UNFINISHED:
        return False
    # Where the model's folder was removed, the mirror holds more than could be written again.
    return not version.files or shown == version.digest()


def _create(client: "MlflowClient", experiment_id: str, version: MirroredVersion) -> None:
    from mlflow.entities import Metric, Param

    run = client.create_run(
        experiment_id,
        start_time=version.decided_at,
        run_name=version.model_version,
        tags={**version.tags, _CONTENT_TAG: _UNFINISHED},
    )
    run_id = run.info.run_id
    for parameters in _slices(list(version.parameters.items()), _PARAMETERS_PER_CALL):
        client.log_batch(run_id, params=[Param(name, value) for name, value in parameters])
    for metrics in _slices(list(version.metrics.items()), _METRICS_PER_CALL):
        client.log_batch(run_id, metrics=[Metric(*metric, version.decided_at, 0) for metric in metrics])
    for file in version.files:
        client.log_artifact(run_id, file, ARTIFACT_FOLDER)
    source = f"{run.info.artifact_uri}/{ARTIFACT_FOLDER}"
    client.create_model_version(MODEL_NAME, source=source, run_id=run_id, tags=version.tags)
    client.set_terminated(run_id, "FINISHED", end_time=version.decided_at)
    client.set_tag(run_id, _CONTENT_TAG, version.digest())


def _write_aliases(client: "MlflowClient", aliases: dict[str, str]) -> None:
    registered = _registered_versions(client)
    shown = client.get_registered_model(MODEL_NAME).aliases
    for alias in ALIASES:
        ones = registered.get(aliases.get(alias, ""), [])
        if ones and str(shown.get(alias)) != str(ones[0].version):
            client.set_registered_model_alias(MODEL_NAME, alias, ones[0].version)
        elif not ones and alias in shown:
            client.delete_registered_model_alias(MODEL_NAME, alias)


def _sweep(artifacts: Path, kept: set[str]) -> None:
    """Delete the artifacts of runs that no longer exist: those of a deleted database, and replaced ones."""
    for folder in artifacts.glob("*/"):
        if re.fullmatch(r"[0-9a-f]{32}", folder.name) and folder.name not in kept:
            shutil.rmtree(folder)


def _slices(items: list[_Item], length: int) -> Iterator[list[_Item]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]


def main() -> int:
    """Read a plan from standard input, write it, print the outcome for each version."""
    plan = Plan.from_json(sys.stdin.read())
    os.chdir(plan.folder)
    if plan.tracking_uri.startswith(_SQLITE):
        try:
            _try_database(Path(plan.tracking_uri.removeprefix(_SQLITE)))
        except sqlite3.Error as error:
            return _refused(error)

    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        outcomes = write(plan)
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        return _refused(error)
    print(json.dumps(outcomes))
    return 0


def _refused(error: Exception) -> int:
    print(" ".join(str(error).split()), file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
