import json
import socket
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from foundation.durable import write_checked_text
from foundation.models.promotions import champion_version
from foundation.secret_url import SecretUrl
from foundation.warehouse.errors import WarehouseMissing
from foundation.warehouse.rows import insert
from moovitamix_assets.cli.app import app as cli
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.mirroring import mirror
from moovitamix_assets.training.mirroring.aliases import aliases
from moovitamix_assets.training.mirroring.mirror import (
    MirrorFailed,
    MirrorReport,
    mirror_plan,
    write_mirror,
)
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS, PROMOTIONS

FIRST, SECOND, THIRD = "2026-10-01-00000001", "2026-10-02-00000002", "2026-10-03-00000003"
RECIPE = {
    "ingredients": [
        {"weight": 1.0, "parameters": {"name": "lightfm", "components": 64, "l2": 0.0001}},
        {"weight": 0.5, "parameters": {"name": "als", "components": 32}},
        {"weight": 0.25, "parameters": {"name": "als", "components": 16}},
    ],
    "validation_ndcg_at_10": {"blend": 0.25},
}


@pytest.fixture
def settings(memory_folder: Path) -> Settings:
    # Characters that mean something in a database's URI.
    return Settings(data_dir=memory_folder / "odd %20 #1")


def decision(version: str, word: str, previous: str | None = None, hour: int = 5, day: str = "") -> dict:
    as_of = pd.Timestamp(day or version[:10])
    return {
        "model_version": version,
        "as_of": as_of,
        "decided_at": as_of + pd.Timedelta(days=1, hours=hour),
        "decision": word,
        "reason": f"{version} was {word}.",
        "metrics": json.dumps({"gain_low": 0.5, "against": {"champion": 0.25}, "verdict": "words"}),
        "previous_version": previous,
    }


def evaluation(version: str, value: float = 0.5, metric: str = "ndcg_at_10") -> dict:
    return {
        "model_version": version,
        "as_of": pd.Timestamp(version[:10]),
        "subject": "candidate",
        "segment": "all",
        "metric": metric,
        "value": value,
        "standard_error": 0.125 if metric == "ndcg_at_10" else None,
        "users": 40,
    }


def record(settings: Settings, *decisions: dict, evaluations: tuple[dict, ...] = ()) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        taken = connection.execute("SELECT count(*) FROM promotions").fetchall()[0][0]
        numbers = range(taken + 1, taken + 1 + len(decisions))
        insert(connection, PROMOTIONS, pd.DataFrame(decisions).assign(decision_number=numbers))
        if evaluations:
            insert(connection, MODEL_EVALUATIONS, pd.DataFrame(evaluations))


def train(settings: Settings, version: str) -> None:
    """Leave on disk what the mirror reads of a trained model."""
    folder = settings.models_dir / version
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps({"model_version": version, "recipe": RECIPE}))
    np.save(folder / "track_vectors.npy", np.ones((3, 2), dtype=np.float32))
    (folder / "per_user.parquet").write_bytes(b"metrics per user")
    write_checked_text(settings.models_dir / "candidates" / version[:10], version)
    training_set = settings.training_sets_dir / version[:10]
    training_set.mkdir(parents=True, exist_ok=True)
    (training_set / "manifest.json").write_text("{}\n")


def client(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_CONFIGURE_LOGGING", "false")
    from mlflow import MlflowClient

    monkeypatch.chdir(settings.data_dir)
    return MlflowClient(tracking_uri="sqlite:///mlflow.db", registry_uri="sqlite:///mlflow.db")


def plan(settings: Settings):
    with read_warehouse(settings.warehouse_path) as connection:
        return mirror_plan(connection, settings)


def named(settings: Settings) -> dict[str, str]:
    """The aliases, after checking that the champion is the active version."""
    with read_warehouse(settings.warehouse_path) as connection:
        active = champion_version(connection, datetime(9999, 1, 1).date())
        found = mirror_plan(connection, settings).aliases
    assert found.get("champion") == active
    return found


def test_a_version_carries_its_decision_its_recipe_and_its_metrics(settings):
    train(settings, FIRST)
    record(settings, decision(FIRST, "promoted", "2026-09-01-aaaaaaaa"), evaluations=(evaluation(FIRST),))
    (version,) = plan(settings).versions
    assert version.tags == {
        "model_version": FIRST,
        "as_of": "2026-10-01",
        "decision": "promoted",
        "decided_at": "2026-10-02T05:00:00",
        "reason": f"{FIRST} was promoted.",
        "previous_version": "2026-09-01-aaaaaaaa",
        "training_set_sha256": sha256(b"{}\n").hexdigest(),
    }
    assert version.parameters == {
        "ingredients": "lightfm, als, als",
        "lightfm.weight": "1.0",
        "lightfm.components": "64",
        "lightfm.l2": "0.0001",
        "als.weight": "0.5",
        "als.components": "32",
        "als_2.weight": "0.25",
        "als_2.components": "16",
        "validation_ndcg_at_10.blend": "0.25",
    }
    assert version.metrics == {
        "candidate.all.ndcg_at_10": 0.5,
        "candidate.all.ndcg_at_10.standard_error": 0.125,
        "candidate.all.users": 40.0,
        "gate.gain_low": 0.5,
        "gate.against.champion": 0.25,
    }
    assert version.decided_at == 1790917200000
    assert [Path(file).name for file in version.files] == ["recipe.json", "track_vectors.npy"]


def test_what_is_no_number_is_no_metric(settings):
    record(
        settings,
        decision(FIRST, "rejected"),
        evaluations=(evaluation(FIRST, metric="coverage"), evaluation(FIRST, float("nan"), "map_at_10")),
    )
    (version,) = plan(settings).versions
    assert {name for name in version.metrics if not name.startswith("gate.")} == {
        "candidate.all.coverage",
        "candidate.all.users",
    }


def test_a_manifest_is_that_of_the_last_model_made_of_it(settings):
    earlier, later = FIRST, "2026-10-01-00000009"
    train(settings, earlier)
    train(settings, later)
    record(settings, decision(earlier, "promoted"), decision(later, "rejected", earlier, hour=6))
    tags = {version.model_version: version.tags for version in plan(settings).versions}
    assert {version: "training_set_sha256" in tags[version] for version in tags} == {
        earlier: False,
        later: True,
    }


def test_the_newest_decision_about_a_version_is_shown_at_the_day_of_its_training(settings):
    record(
        settings,
        decision(FIRST, "promoted"),
        decision(SECOND, "promoted", FIRST),
        decision(FIRST, "rolled_back", SECOND, hour=9, day="2026-10-02"),
    )
    tags = {version.model_version: version.tags for version in plan(settings).versions}
    assert (tags[FIRST]["decision"], tags[FIRST]["as_of"]) == ("rolled_back", "2026-10-01")
    assert tags[FIRST]["previous_version"] == SECOND
    assert tags[SECOND]["decision"] == "promoted"


def test_aliases_follow_promotions_rejections_and_rollbacks(settings):
    record(settings, decision(FIRST, "rejected"))
    assert named(settings) == {"challenger": FIRST}
    record(settings, decision(SECOND, "promoted"))
    assert named(settings) == {"champion": SECOND}
    record(settings, decision(THIRD, "promoted", SECOND))
    assert named(settings) == {"champion": THIRD, "previous": SECOND}
    record(settings, decision("2026-10-04-00000004", "rejected", THIRD))
    record(settings, decision("2026-10-05-00000005", "rejected", THIRD))
    assert named(settings)["challenger"] == "2026-10-05-00000005"
    record(settings, decision(SECOND, "rolled_back", THIRD, day="2026-10-05", hour=9))
    assert named(settings) == {"champion": SECOND, "previous": THIRD}


def test_a_decision_taken_late_about_an_earlier_day_does_not_take_the_crown(settings):
    record(settings, decision(SECOND, "promoted"))
    record(settings, decision(FIRST, "promoted", hour=200))
    assert named(settings) == {"champion": SECOND}


def test_nothing_decided_names_nothing():
    assert aliases(pd.DataFrame({"decision": [], "model_version": [], "previous_version": []})) == {}


def test_the_mirror_is_complete_again_after_its_database_was_deleted(settings, monkeypatch):
    train(settings, FIRST)
    train(settings, SECOND)
    record(
        settings,
        decision(FIRST, "promoted"),
        decision(SECOND, "rejected", FIRST),
        evaluations=(evaluation(FIRST), evaluation(SECOND, 0.25)),
    )
    assert dict(write_mirror(settings).versions) == {FIRST: "written", SECOND: "written"}
    (settings.data_dir / "mlflow.db").unlink()
    report = write_mirror(settings)
    assert dict(report.versions) == {FIRST: "written", SECOND: "written"}
    assert report.aliases == {"champion": FIRST, "challenger": SECOND}

    mlflow = client(settings, monkeypatch)
    experiment = mlflow.get_experiment_by_name("moovitamix")
    runs = {run.info.run_name: run for run in mlflow.search_runs([experiment.experiment_id])}
    assert set(runs) == {FIRST, SECOND}
    assert runs[SECOND].data.metrics["candidate.all.ndcg_at_10"] == 0.25
    assert runs[FIRST].data.params["lightfm.components"] == "64"
    assert runs[FIRST].info.status == "FINISHED"
    assert mlflow.get_model_version_by_alias("moovitamix", "champion").run_id == runs[FIRST].info.run_id
    assert mlflow.get_model_version_by_alias("moovitamix", "challenger").tags["decision"] == "rejected"
    # What the deleted database knew of is gone with it, and the artifact can be read without unpickling.
    folders = {folder.name for folder in (settings.data_dir / "mlflow_artifacts").iterdir()}
    assert folders == {run.info.run_id for run in runs.values()}
    artifact = Path(mlflow.download_artifacts(runs[FIRST].info.run_id, "model"))
    assert sorted(path.name for path in artifact.iterdir()) == ["recipe.json", "track_vectors.npy"]
    assert np.load(artifact / "track_vectors.npy", allow_pickle=False).shape == (3, 2)


def test_the_command_says_what_it_wrote(settings, monkeypatch):
    report = MirrorReport("[here]/mlflow.db", {FIRST: "tagged", SECOND: "written"}, {"champion": FIRST}, 1.25)
    asked = []
    monkeypatch.setattr(mirror, "write_mirror", lambda *given, **how: asked.append((given, how)) or report)
    result = CliRunner().invoke(cli, ["mirror", "--data-dir", str(settings.data_dir)])
    assert result.output.splitlines() == [
        f"{FIRST} tagged (champion)",
        f"{SECOND} written",
        "Versions in [here]/mlflow.db: 2, 1.2 s",
    ]
    assert asked == [((settings,), {"patient": True})]


def test_without_a_warehouse_the_remedy_is_named(settings):
    with pytest.raises(WarehouseMissing, match="moovitamix run"):
        write_mirror(settings)
    result = CliRunner().invoke(cli, ["mirror", "--data-dir", str(settings.data_dir)])
    assert result.exit_code == 1


def test_a_file_that_is_no_database_is_refused_at_once(settings):
    record(settings, decision(FIRST, "promoted"))
    (settings.data_dir / "mlflow.db").write_text("this is no database, and was never one")
    with pytest.raises(MirrorFailed, match=r"not a database\. .*delete .*mlflow\.db"):
        write_mirror(settings)


def test_a_damaged_pointer_to_a_candidate_fails_the_mirror_by_name(settings):
    train(settings, FIRST)
    record(settings, decision(FIRST, "promoted"))
    pointer = settings.models_dir / "candidates" / FIRST[:10]
    pointer.write_text(f"{FIRST}\nno hash\n")
    with pytest.raises(MirrorFailed, match=f"{pointer} is damaged"):
        write_mirror(settings)


def test_a_tracking_server_that_is_not_there_is_named(settings):
    record(settings, decision(FIRST, "promoted"))
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with pytest.raises(
        MirrorFailed, match=rf"{address} could not be written.*MOOVITAMIX_MLFLOW_TRACKING_URI"
    ):
        write_mirror(settings.changed(mlflow_tracking_uri=SecretUrl(address)))


def test_a_tracking_server_that_never_answers_is_given_up(settings):
    record(settings, decision(FIRST, "promoted"))
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        silent = settings.changed(
            mlflow_tracking_uri=SecretUrl(f"http://127.0.0.1:{server.getsockname()[1]}"),
            mlflow_timeout_seconds=0.5,
        )
        with pytest.raises(MirrorFailed, match=r"did not finish in 0\.5 s"):
            write_mirror(silent)


def test_only_a_server_can_be_named():
    with pytest.raises(ValidationError, match="not an http"):
        Settings(mlflow_tracking_uri="file:///mlruns")
