"""A rollback is a row in `promotions`, at any moment: nothing is trained, and no day mixes versions."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, ResourceDefinition

from foundation.artifact_folder import write_hashes
from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.tables import empty_frame
from moovitamix_assets.automation.jobs import RECOMMEND_JOB, ROLLBACK_JOB
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS
from moovitamix_assets_tests.conftest import LAST
from moovitamix_assets_tests.integration.deployment import Deployment

SECOND = "2026-09-05-00000002"


@pytest.fixture
def with_two_champions(undisturbed: Deployment, new_deployment: Callable[..., Deployment]) -> Deployment:
    """The small world, in which a second version replaced the first on the last day."""
    deployment = new_deployment("two")
    shutil.copytree(undisturbed.data_dir, deployment.data_dir)
    models = deployment.settings.models_dir
    shutil.copytree(models / first_version(deployment), models / SECOND)
    recipe = models / SECOND / "recipe.json"
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"model_version": SECOND}))
    write_hashes(recipe.parent)
    candidate = Candidate(SECOND, empty_frame(MODEL_EVALUATIONS), empty_frame(MODEL_EVALUATIONS))
    with write_warehouse(deployment.settings.warehouse_path) as connection:
        record_decision(connection, candidate, LAST, Decision("promoted", "Better."), {})
    return deployment


def first_version(deployment: Deployment) -> str:
    return str(deployment.query("SELECT model_version FROM promotions ORDER BY decision_number")[0][0])


def recommend(deployment: Deployment, day: date) -> set[str]:
    """Make a day's lists, and tell the versions of the model in them."""
    assert deployment.execute(RECOMMEND_JOB.selection, partition_key=day.isoformat()).success
    return versions(deployment, day)


def versions(deployment: Deployment, day: date) -> set[str]:
    rows = deployment.query(
        "SELECT DISTINCT model_version FROM recommendations WHERE generated_for = ? AND source = 'model'", day
    )
    return {row[0] for row in rows}


def test_a_rollback_asked_while_recommendations_are_made_waits_and_the_next_recommendations_are_the_previous_versions(
    with_two_champions: Deployment, tmp_path: Path
) -> None:
    deployment, outcome = with_two_champions, []
    # Turns at the warehouse are kept in Dagster's storage, which has to be a real one here.
    instance = DagsterInstance.local_temp(str(tmp_path))
    instance.event_log_storage.set_concurrency_slots(WAREHOUSE_POOL, 1)

    def roll_back() -> None:
        job = build_definitions(deployment.settings).resolve_job_def(ROLLBACK_JOB.name)
        outcome.append(job.execute_in_process(instance=instance, raise_on_error=False).success)

    asked = threading.Thread(target=roll_back)

    class AskInTheMiddle:
        @contextmanager
        def track(self, description: str) -> Iterator[Callable[[int, int], None]]:
            if description == "recommendations":
                asked.start()
            yield lambda done, total: None

    progress = {"progress": ResourceDefinition.hardcoded_resource(AskInTheMiddle())}
    job = build_definitions(deployment.settings, progress).resolve_job_def(RECOMMEND_JOB.name)
    made = job.execute_in_process(instance=instance, partition_key=LAST.isoformat(), raise_on_error=False)
    asked.join(timeout=120)
    instance.dispose()

    assert made.success
    assert outcome == [True]
    assert versions(deployment, LAST) == {SECOND}
    first = first_version(deployment)
    story = deployment.query(
        "SELECT model_version, decision, previous_version FROM promotions ORDER BY decision_number"
    )
    assert story[1:] == [(SECOND, "promoted", first), (first, "rolled_back", SECOND)]
    assert recommend(deployment, LAST) == {first}


def test_earlier_days_are_made_again_as_they_were(with_two_champions: Deployment) -> None:
    deployment = with_two_champions
    before = LAST - timedelta(days=1)
    assert recommend(deployment, before) == set()
    lists = deployment.query("SELECT * FROM recommendations WHERE generated_for = ? ORDER BY ALL", before)
    assert deployment.execute(RECOMMEND_JOB.selection, partition_key=LAST.isoformat()).success
    job = build_definitions(deployment.settings).resolve_job_def(ROLLBACK_JOB.name)
    assert job.execute_in_process(instance=deployment.instance).success
    assert recommend(deployment, before) == set()
    again = deployment.query("SELECT * FROM recommendations WHERE generated_for = ? ORDER BY ALL", before)
    assert again == lists


def test_days_no_longer_kept_go_with_a_new_day_and_stay_while_looked_at(
    undisturbed: Deployment, new_deployment: Callable[..., Deployment]
) -> None:
    deployment = new_deployment("kept", recommendations_kept_days=2)
    shutil.copytree(undisturbed.data_dir, deployment.data_dir)
    days = [LAST - timedelta(days=back) for back in (3, 2, 1, 0)]

    def made(day: date) -> list[date]:
        recommend(deployment, day)
        return [
            row[0]
            for row in deployment.query("SELECT DISTINCT generated_for FROM recommendations ORDER BY 1")
        ]

    assert made(days[0]) == [days[0], days[3]]
    assert made(days[2]) == [days[0], days[2], days[3]]
    assert made(days[3]) == [days[2], days[3]]
