"""The job that rolls a version back, automatically or for a user."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from dagster import DagsterInstance, ExecuteInProcessResult

from foundation.models.gate import Decision
from foundation.models.model_store import Candidate, ModelMissing
from foundation.models.rollback import NothingToRollBack
from foundation.operations.run_failures import failure_causes
from foundation.tables import empty_frame
from moovitamix_assets.automation.jobs import ROLLBACK_JOB
from moovitamix_assets.cli.runs.pipeline import run_rollback
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS
from moovitamix_assets_tests.unit.automation.warehouses import decide_about


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        for number, version in ((10, "a"), (12, "b"), (14, "c")):
            candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), pd.DataFrame())
            record_decision(connection, candidate, date(2026, 9, number), Decision("promoted", "Better."), {})
    return settings


def rolled_back(settings: Settings, *, raise_on_error: bool = True, **config: str) -> ExecuteInProcessResult:
    return ROLLBACK_JOB.execute_in_process(
        run_config={"ops": {"roll_back_champion": {"config": config}}},
        resources={"settings": settings},
        raise_on_error=raise_on_error,
    )


def decisions(settings: Settings) -> list[tuple[str, str, str]]:
    with read_warehouse(settings.warehouse_path) as connection:
        return connection.execute(
            """SELECT model_version, reason, previous_version FROM promotions
               WHERE decision = 'rolled_back' ORDER BY decision_number"""
        ).fetchall()


def test_a_version_is_taken_back_once_however_often_it_is_asked_for(settings: Settings):
    first, second = (rolled_back(settings, reason="Worse.", model_version="c") for _ in range(2))
    assert first.output_for_node("roll_back_champion") == ("b", "c")
    assert second.success
    assert second.output_for_node("roll_back_champion") is None
    assert decisions(settings) == [("b", "Worse.", "c")]


def test_a_user_who_names_no_version_rolls_back_the_champion(settings: Settings):
    assert rolled_back(settings, reason="I say so.").output_for_node("roll_back_champion") == ("b", "c")
    assert rolled_back(settings).output_for_node("roll_back_champion") == ("a", "b")
    assert [row[1] for row in decisions(settings)] == ["I say so.", "requested by a user"]


def test_a_rollback_with_nothing_to_return_to_fails_with_the_sentence_that_the_command_refuses_it_with(
    settings: Settings,
):
    for _ in range(2):
        rolled_back(settings)
    failed = rolled_back(settings, raise_on_error=False)
    assert not failed.success
    said = "a is the first champion: there is no version to return to."
    assert any(said in cause for cause in failure_causes(failed.all_events))
    with DagsterInstance.ephemeral() as instance:
        with pytest.raises(NothingToRollBack, match=said):
            run_rollback(settings, instance, "why not")
        assert instance.get_runs_count() == 0


def test_a_chosen_version_is_returned_to_only_if_its_model_is_there(settings: Settings):
    best, latest = "2026-09-15-aaaaaaaa", "2026-09-16-bbbbbbbb"
    with write_warehouse(settings.warehouse_path) as connection:
        for version in (best, latest):
            decide_about(connection, version)
    failed = rolled_back(settings, raise_on_error=False, to=best)
    assert any(f"{best} is not in" in cause for cause in failure_causes(failed.all_events))
    with DagsterInstance.ephemeral() as instance:
        with pytest.raises(ModelMissing, match=f"{best} is not in"):
            run_rollback(settings, instance, "the best one", best)
        assert instance.get_runs_count() == 0
        (settings.models_dir / best).mkdir(parents=True)
        assert run_rollback(settings, instance, "the best one", best) == (best, latest)
    assert decisions(settings) == [(best, "the best one", latest)]
