"""What `doctor --deep` finds of models; the other examinations are tested on damaged deployments."""

from datetime import date
from pathlib import Path

import pytest

from foundation.models.promotions import fall_back
from foundation.progress import NoProgress
from moovitamix_assets.cli.inspection.deep_checks import examine_deeply
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import decide_about

CHAMPION, CHALLENGER, REJECTED = (f"2026-09-0{number}-aaaaaaaa" for number in (1, 2, 3))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        decide_about(connection, CHAMPION)
        decide_about(connection, CHALLENGER, "shadow")
        decide_about(connection, REJECTED, "rejected")
    return settings


def missing_models(settings: Settings) -> list[str]:
    symptoms = [each for each in examine_deeply(settings, NoProgress()) if each.subject == "models"]
    return [symptom.finding.split()[2] for symptom in symptoms if not symptom.is_well]


def test_a_model_that_serves_or_is_in_shadow_must_be_there(settings: Settings) -> None:
    assert missing_models(settings) == [CHAMPION, CHALLENGER]
    with write_warehouse(settings.warehouse_path) as connection:
        fall_back(
            connection,
            date(2026, 9, 4),
            "Worse.",
            popularity_days=7,
            worse_since=date(2026, 9, 3),
            metrics={},
        )
    assert missing_models(settings) == [CHAMPION, CHALLENGER]


def test_before_the_first_load_no_model_is_missing(tmp_path: Path) -> None:
    assert missing_models(Settings(data_dir=tmp_path)) == []
