"""The job that rolls a version back, automatically or for a user."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from dagster import ExecuteInProcessResult

from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.tables import empty_frame
from moovitamix_assets.automation.jobs import ROLLBACK_JOB
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        for number, version in ((10, "a"), (12, "b"), (14, "c")):
            candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), pd.DataFrame())
            record_decision(connection, candidate, date(2026, 9, number), Decision("promoted", "Better."), {})
    return settings


def rolled_back(settings: Settings, **config: str) -> ExecuteInProcessResult:
    return ROLLBACK_JOB.execute_in_process(
        run_config={"ops": {"roll_back_champion": {"config": config}}}, resources={"settings": settings}
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
