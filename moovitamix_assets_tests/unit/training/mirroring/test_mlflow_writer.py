from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from moovitamix_assets.training.mirroring.mlflow_writer import MirroredVersion, Plan, write

MODEL = "moovitamix"


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory) -> Iterator[bytes]:
    """A database as MLflow makes it, made once."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        monkeypatch.setenv("MLFLOW_CONFIGURE_LOGGING", "false")
        memory = Path("/dev/shm")
        folder = tmp_path_factory.mktemp("mlflow")
        path = (memory if memory.is_dir() else folder) / f"moovitamix-{folder.parent.name}-{folder.name}.db"
        client_of(f"sqlite:///{path}").search_experiments()
        yield path.read_bytes()
        path.unlink()


@pytest.fixture
def plan(memory_folder: Path, empty_database: bytes) -> Plan:
    (memory_folder / "mlflow.db").write_bytes(empty_database)
    recipe = memory_folder / "recipe.json"
    recipe.write_text("{}")
    return Plan(
        folder=str(memory_folder),
        tracking_uri=f"sqlite:///{memory_folder / 'mlflow.db'}",
        artifacts_uri=(memory_folder / "mlflow artifacts").as_uri(),
        versions=[version("one", [recipe]), version("two", [recipe])],
        aliases={"champion": "one", "challenger": "two"},
    )


def version(name: str, files: list[Path]) -> MirroredVersion:
    return MirroredVersion(
        model_version=name,
        decided_at=1_790_000_000_000,
        tags={"model_version": name, "decision": "promoted"},
        parameters={f"parameter_{number}": str(number) for number in range(5)},
        metrics={f"metric_{number}": number / 2 for number in range(5)},
        files=[str(file) for file in files],
    )


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs_of(plan: Plan) -> dict:
    client = client_of(plan.tracking_uri)
    found = client.search_runs([client.get_experiment_by_name(MODEL).experiment_id])
    return {run.info.run_name: run for run in found}


def registered(plan: Plan) -> dict[str, str]:
    found = client_of(plan.tracking_uri).search_model_versions(f"name = '{MODEL}'")
    assert len({one.tags["model_version"] for one in found}) == len(found)
    return {one.tags["model_version"]: one.run_id for one in found}


def assert_complete(plan: Plan) -> None:
    """One run and one registered version each, that belong together, and every alias where it should be."""
    runs, client = runs_of(plan), client_of(plan.tracking_uri)
    names = {version.model_version for version in plan.versions}
    assert registered(plan) == {name: runs[name].info.run_id for name in names}
    shown = client.get_registered_model(MODEL).aliases
    assert {
        alias: client.get_model_version(MODEL, number).tags["model_version"]
        for alias, number in shown.items()
    } == plan.aliases
    folders = {folder.name for folder in (Path(plan.folder) / "mlflow artifacts").iterdir()}
    assert folders == {runs[name].info.run_id for name in names}


def test_all_of_a_version_is_written_once(plan):
    assert write(plan) == {"one": "written", "two": "written"}
    before = runs_of(plan)
    assert_complete(plan)
    assert before["one"].data.params == plan.versions[0].parameters
    assert before["one"].data.metrics == plan.versions[0].metrics
    assert before["one"].info.start_time == before["one"].info.end_time == 1_790_000_000_000
    assert write(plan) == {"one": "unchanged", "two": "unchanged"}
    assert {run.info.run_id for run in runs_of(plan).values()} == {run.info.run_id for run in before.values()}


def test_a_new_decision_sets_tags_on_run_and_registered_version(plan):
    write(plan)
    before = registered(plan)
    changed = replace(plan.versions[0], tags={**plan.versions[0].tags, "decision": "rolled_back"})
    assert write(replace(plan, versions=[changed, plan.versions[1]])) == {"one": "tagged", "two": "unchanged"}
    assert registered(plan) == before
    assert runs_of(plan)["one"].data.tags["decision"] == "rolled_back"
    champion = client_of(plan.tracking_uri).get_model_version_by_alias(MODEL, "champion")
    assert champion.tags["decision"] == "rolled_back"


@pytest.mark.parametrize("change", [{"metrics": {"metric_0": 9.0}}, {"parameters": {"parameter_0": "9"}}])
def test_other_figures_replace_the_run(plan, change):
    write(plan)
    plan = replace(plan, versions=[replace(plan.versions[0], **change), plan.versions[1]])
    assert write(plan) == {"one": "rewritten", "two": "unchanged"}
    assert_complete(plan)
    assert runs_of(plan)["one"].data.metrics == plan.versions[0].metrics
    assert runs_of(plan)["one"].data.params == plan.versions[0].parameters


def test_a_version_whose_folder_is_gone_keeps_what_was_mirrored(plan):
    write(plan)
    gone = replace(plan.versions[0], files=[], parameters={})
    assert write(replace(plan, versions=[gone, plan.versions[1]]))["one"] == "unchanged"
    assert len(runs_of(plan)["one"].data.params) == 5


def test_aliases_move_and_are_taken_away(plan):
    write(plan)
    client = client_of(plan.tracking_uri)
    client.set_registered_model_alias(MODEL, "canary", "1")
    moved = replace(plan, aliases={"champion": "two", "previous": "one"})
    assert set(write(moved).values()) == {"unchanged"}
    shown = client.get_registered_model(MODEL).aliases
    assert set(shown) == {"champion", "previous", "canary"}
    assert client.get_model_version_by_alias(MODEL, "champion").tags["model_version"] == "two"


@pytest.mark.parametrize("step", ["log_artifact", "create_model_version", "set_terminated"])
def test_an_interrupted_write_is_made_up_for(plan, monkeypatch, step):
    from mlflow import MlflowClient

    def interrupted(*args, **kwargs):
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, step, interrupted)
        with pytest.raises(OSError, match="No space"):
            write(plan)
    assert runs_of(plan)["one"].info.status == "RUNNING"
    # Also where the model's folder has gone since: what was half written is no mirror.
    gone = replace(plan.versions[0], files=[])
    assert write(replace(plan, versions=[gone, plan.versions[1]])) == {"one": "rewritten", "two": "written"}
    assert registered(plan) == {name: run.info.run_id for name, run in runs_of(plan).items()}
    assert runs_of(plan)["one"].info.status == "FINISHED"


def test_what_was_deleted_by_hand_comes_back(plan):
    write(plan)
    client = client_of(plan.tracking_uri)
    client.delete_run(runs_of(plan)["one"].info.run_id)
    assert write(plan) == {"one": "rewritten", "two": "unchanged"}
    assert_complete(plan)
    client.delete_registered_model(MODEL)
    assert set(write(plan)) == {"one", "two"}
    assert_complete(plan)
    client.delete_experiment(client.get_experiment_by_name(MODEL).experiment_id)
    write(plan)
    assert_complete(plan)


def test_what_is_not_the_mirrors_own_is_left_alone(plan):
    write(plan)
    client = client_of(plan.tracking_uri)
    experiment = client.get_experiment_by_name(MODEL).experiment_id
    own = client.create_run(experiment, run_name="mine", tags={"model_version": "one"})
    client.log_text(own.info.run_id, "kept", "note.txt")
    client.create_model_version(MODEL, source=own.info.artifact_uri, run_id=own.info.run_id)
    assert write(plan) == {"one": "unchanged", "two": "unchanged"}
    assert "mine" in runs_of(plan)
    assert Path(client.download_artifacts(own.info.run_id, "note.txt")).read_text() == "kept"
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 3


def test_a_moved_folder_is_written_to_where_it_is_now(plan, tmp_path):
    write(plan)
    # There and back, twice: what is left of each stay must not clash with the next.
    for place in ("elsewhere", "mlflow artifacts", "elsewhere", "mlflow artifacts"):
        plan = replace(plan, artifacts_uri=(Path(plan.folder) / place).as_uri())
        assert set(write(plan).values()) == {"rewritten"}
    runs = runs_of(plan)
    assert all(run.info.artifact_uri.startswith(plan.artifacts_uri) for run in runs.values())
    assert registered(plan) == {name: run.info.run_id for name, run in runs.items()}


def test_a_plan_survives_its_journey_as_text(plan):
    assert Plan.from_json(plan.to_json()) == plan


def test_many_runs_and_figures_take_several_calls(plan, monkeypatch):
    for limit in ("_PAGE", "_METRICS_PER_CALL", "_PARAMETERS_PER_CALL"):
        monkeypatch.setattr(
            f"moovitamix_assets.training.mirroring.mlflow_writer.{limit}", 2 if "PER" in limit else 1
        )
    write(plan)
    assert write(plan) == {"one": "unchanged", "two": "unchanged"}
    assert_complete(plan)
    assert runs_of(plan)["two"].data.metrics == plan.versions[1].metrics
    assert runs_of(plan)["two"].data.params == plan.versions[1].parameters
