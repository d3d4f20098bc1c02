"""The sensor that retrains, rolls back and requests new recommendations: each once, with its reason, never twice."""

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from foundation.artifact_folder import write_hashes
from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.models.promotions import champion_version
from foundation.run_tags import PARTITION_TAG
from foundation.tables import empty_frame
from moovitamix_assets.automation.jobs import RECOMMEND_JOB
from moovitamix_assets.automation.training_records import request_retraining
from moovitamix_assets.partitions import days_between
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS
from moovitamix_assets_tests.conftest import LAST
from moovitamix_assets_tests.integration.automated import AutomatedDeployment, copy_of
from moovitamix_assets_tests.integration.deployment import Deployment

NIGHT = LAST + timedelta(days=1)
BAD = "2026-09-05-0000000b"
# Everything but a training's own worth is tested here: let it in.
LENIENT = {"promotion_minimum_users": 2, "promotion_minimum_ratio": 1, "promotion_tolerance": 1}

Make = Callable[..., AutomatedDeployment]


@pytest.fixture
def make(undisturbed: Deployment, clock_url: str, tmp_path: Path) -> Make:
    """Makes a deployment that is made up to LAST, with a champion trained as of it."""

    def make(**settings: object) -> AutomatedDeployment:
        return copy_of(undisturbed, tmp_path / "data", clock_url, **settings)

    return make


def in_force(service: AutomatedDeployment) -> str | None:
    with read_warehouse(service.settings.warehouse_path) as connection:
        return champion_version(connection, NIGHT)


def made_by(service: AutomatedDeployment, day: date) -> set[str]:
    rows = service.query(
        "SELECT DISTINCT model_version FROM recommendations WHERE generated_for = ? AND source = 'model'", day
    )
    return {row[0] for row in rows}


def test_what_a_user_asked_for_is_trained_once_and_its_recommendations_are_made_once(make: Make) -> None:
    service = make(retraining_cooldown_days=1, lookback_days=1, **LENIENT)
    first = in_force(service)
    service.at("2026-09-07T01:00")
    assert service.look("retraining").asset_events[0].partition == f"{LAST}"
    assert all(run.success for run in service.start("catch_up", service.look("catch_up").run_requests))
    assert made_by(service, NIGHT) == {first}
    told = service.look("retraining")
    assert "no user requested one" in told.skip_message
    assert request_retraining(service.instance, service.settings, "the catalogue was cleaned") == NIGHT

    (train,) = service.look("retraining").run_requests
    assert (train.job_name, train.partition_key) == ("train", f"{NIGHT}")
    assert train.run_key == f"retrain-{NIGHT}"
    assert train.tags[PARTITION_TAG] == f"{NIGHT}"
    assert train.tags["moovitamix/trigger"] == "requested"
    assert f"a user requested it on {NIGHT}" in train.tags["moovitamix/reason"]
    again = service.look("retraining")
    assert not again.run_requests
    assert again.skip_message == f"Decided already: Retrain. {train.tags['moovitamix/reason']}"

    assert [run.success for run in service.start("retraining", [train])] == [True]
    second = in_force(service)
    assert second not in (first, None)
    (remake,) = service.look("retraining").run_requests
    assert (remake.job_name, remake.partition_key) == ("recommend", f"{NIGHT}")
    assert remake.tags["moovitamix/trigger"] == "other versions"
    assert str(second) in remake.tags["moovitamix/reason"]
    earlier = service.lists(LAST)
    assert [run.success for run in service.start("retraining", [remake])] == [True]
    assert made_by(service, NIGHT) == {second}
    assert service.lists(LAST) == earlier
    assert not service.look("retraining").run_requests
    assert service.runs() == {"nightly": 1, "train": 1, "recommend": 1}


def test_what_is_asked_for_after_the_training_of_a_day_is_not_answered_by_it(make: Make) -> None:
    service = make(retraining_cooldown_days=1, lookback_days=1, **LENIENT)
    assert request_retraining(service.instance, service.settings, "just because") == NIGHT
    assert not service.look("retraining").run_requests

    service.at("2026-09-07T01:00")
    assert all(run.success for run in service.start("catch_up", service.look("catch_up").run_requests))
    (train,) = service.look("retraining").run_requests
    assert (train.partition_key, train.tags["moovitamix/trigger"]) == (f"{NIGHT}", "requested")


@pytest.mark.parametrize("job_name", ["nightly", "train", "recommend", "rollback"])
def test_nothing_is_decided_while_a_run_that_matters_is_under_way(job_name: str, make: Make) -> None:
    service = make()
    service.run_under_way(job_name)
    found = service.look("retraining")
    assert not found.run_requests
    assert found.asset_events == []
    assert found.skip_message == f"A run of {job_name} is under way."


def with_a_bad_champion(service: AutomatedDeployment) -> str:
    """Force in a second version, whose lists of the last day were clearly worse for three days."""
    first = str(in_force(service))
    models = service.settings.models_dir
    shutil.copytree(models / first, models / BAD)
    recipe = models / BAD / "recipe.json"
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"model_version": BAD}))
    write_hashes(recipe.parent)
    candidate = Candidate(BAD, empty_frame(MODEL_EVALUATIONS), empty_frame(MODEL_EVALUATIONS))
    with write_warehouse(service.settings.warehouse_path) as connection:
        record_decision(connection, candidate, LAST, Decision("promoted", "Forced in."), {})
    assert service.execute(RECOMMEND_JOB.selection, partition_key=f"{LAST}").success
    days = days_between(date(2026, 8, 31), LAST)
    service.measured(first, dict(zip(days[:3], (0.080, 0.081, 0.079), strict=True)))
    service.measured(BAD, dict(zip(days[3:], (0.031, 0.030, 0.029), strict=True)))
    return first


def test_a_bad_champion_is_taken_back_once_and_the_recommendations_of_the_one_before_are_made(
    make: Make,
) -> None:
    service = make()
    first = with_a_bad_champion(service)
    assert made_by(service, LAST) == {BAD}

    (back,) = service.look("retraining").run_requests
    assert (back.job_name, back.run_key) == ("rollback", f"rollback-{BAD}-{LAST}")
    assert back.tags["moovitamix/trigger"] == "worse"
    assert "Clearly worse" in back.tags["moovitamix/reason"]
    again = service.look("retraining")
    assert not again.run_requests
    assert again.skip_message.startswith("Decided already: Roll back. Clearly worse")

    assert service.carry_out(back).success
    promotions = service.query("SELECT * FROM promotions ORDER BY decision_number")
    story = service.query(
        "SELECT model_version, decision, previous_version FROM promotions ORDER BY decision_number"
    )
    assert story[1:] == [(BAD, "promoted", first), (first, "rolled_back", BAD)]
    assert service.carry_out(back).success
    assert service.query("SELECT * FROM promotions ORDER BY decision_number") == promotions

    (remake,) = service.look("retraining").run_requests
    assert [run.success for run in service.start("retraining", [remake])] == [True]
    assert made_by(service, LAST) == {first}
    assert not service.look("retraining").run_requests


def test_switched_off_a_bad_champion_stays_until_a_user_acts(make: Make) -> None:
    service = make(automatic_retraining=False)
    with_a_bad_champion(service)
    for _ in range(2):
        found = service.look("retraining")
        assert not found.run_requests
        assert "switched off (automatic_retraining)" in found.skip_message
    assert in_force(service) == BAD

    again = AutomatedDeployment(service.data_dir, service.settings.source.api_url, service.instance)
    again.cursors = service.cursors
    (back,) = again.look("retraining").run_requests
    assert back.job_name == "rollback"
