"""Which version serves, changed by the sensor: a fallback, the return from it, and a challenger that wins in shadow.

How many days what evidence needs is tested where it is decided; here, that each change is made once, and reaches the
recommendations.
"""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from dagster import RunRequest

from foundation.artifact_folder import write_hashes
from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.models.promotions import fall_back
from foundation.tables import empty_frame
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS
from moovitamix_assets_tests.conftest import LAST
from moovitamix_assets_tests.integration.automated import AutomatedDeployment, copy_of
from moovitamix_assets_tests.integration.deployment import Deployment

PROMOTED, CHANGED = LAST - timedelta(days=3), LAST - timedelta(days=2)
JUDGED = [LAST - timedelta(days=1), LAST]
CHALLENGER = "2026-09-03-0000000c"


@pytest.fixture
def service(undisturbed: Deployment, clock_url: str, tmp_path: Path) -> AutomatedDeployment:
    """A deployment made up to LAST, whose champion was promoted three days before."""
    service = copy_of(undisturbed, tmp_path / "data", clock_url)
    with write_warehouse(service.settings.warehouse_path) as connection:
        connection.execute("UPDATE promotions SET as_of = ?", [PROMOTED])
        connection.execute("DELETE FROM recommendation_quality")
    return service


def champion(service: AutomatedDeployment) -> str:
    return str(service.query("SELECT model_version FROM promotions WHERE decision = 'promoted'")[0][0])


def made_by(service: AutomatedDeployment, table: str) -> set[str]:
    rows = service.query(f"SELECT DISTINCT model_version FROM {table} WHERE generated_for = ?", LAST)
    return {row[0] for row in rows}


def decisions(service: AutomatedDeployment) -> list[tuple[str, str]]:
    rows = service.query("SELECT model_version, decision FROM promotions ORDER BY decision_number")
    return [(version, decision) for version, decision in rows]


def change(service: AutomatedDeployment, trigger: str) -> RunRequest:
    """The one run that the sensor asks for, which has succeeded."""
    (decide,) = service.look("retraining").run_requests
    assert (decide.job_name, decide.tags["moovitamix/trigger"]) == ("decide", trigger)
    assert service.carry_out(decide).success
    return decide


def remake(service: AutomatedDeployment) -> None:
    """Make again what other versions made, as the sensor asks next."""
    requests = [each for each in service.look("retraining").run_requests if each.job_name == "recommend"]
    assert [run.success for run in service.start("retraining", requests)] == [True]
    assert not [each for each in service.look("retraining").run_requests if each.job_name == "recommend"]


def test_popular_tracks_serve_once_they_earned_clearly_more_and_the_champion_goes_into_shadow(
    service: AutomatedDeployment,
) -> None:
    first = champion(service)
    service.measured(
        first,
        dict.fromkeys(JUDGED, 0.02),
        popularity=0.06,
        popularity_7_days_ndcg_at_10=0.07,
        popularity_3_days_ndcg_at_10=0.05,
        popularity_gain_standard_error=0.005,
    )
    assert made_by(service, "recommendations") >= {first}

    decide = change(service, "fall_back")
    assert "Those of the last 7 days serve instead" in decide.tags["moovitamix/reason"]
    assert decisions(service)[-1] == ("popularity", "fallback")
    recorded = service.query("SELECT * FROM promotions ORDER BY decision_number")
    assert service.carry_out(decide).success
    assert service.query("SELECT * FROM promotions ORDER BY decision_number") == recorded

    remake(service)
    assert made_by(service, "recommendations") == {"popularity"}
    assert made_by(service, "shadow_recommendations") == {first}


def test_the_champion_returns_once_it_clearly_earns_more_than_the_popular_tracks_that_serve(
    service: AutomatedDeployment,
) -> None:
    first = champion(service)
    with write_warehouse(service.settings.warehouse_path) as connection:
        fall_back(connection, CHANGED, "Worse.", popularity_days=7, worse_since=CHANGED, metrics={})
    service.measured(
        first, dict.fromkeys(JUDGED, 0.09), served_ndcg_at_10=0.05, served_gain_standard_error=0.01
    )
    change(service, "return")
    assert decisions(service)[-1] == (first, "promoted")
    assert not [each for each in service.look("retraining").run_requests if each.job_name == "decide"]


def test_a_challenger_that_is_clearly_better_in_shadow_becomes_the_champion(
    service: AutomatedDeployment,
) -> None:
    first = champion(service)
    models = service.settings.models_dir
    shutil.copytree(models / first, models / CHALLENGER)
    recipe = models / CHALLENGER / "recipe.json"
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"model_version": CHALLENGER}))
    write_hashes(recipe.parent)
    candidate = Candidate(CHALLENGER, empty_frame(MODEL_EVALUATIONS), empty_frame(MODEL_EVALUATIONS))
    with write_warehouse(service.settings.warehouse_path) as connection:
        record_decision(connection, candidate, CHANGED, Decision("shadow", "Who knows."), {})
    service.measured(
        CHALLENGER,
        dict.fromkeys(JUDGED, 0.09),
        role="challenger",
        served_ndcg_at_10=0.05,
        served_gain_standard_error=0.005,
    )
    change(service, "promote")
    assert decisions(service)[-1] == (CHALLENGER, "promoted")
    remake(service)
    assert CHALLENGER in made_by(service, "recommendations")
    assert first not in made_by(service, "recommendations")
