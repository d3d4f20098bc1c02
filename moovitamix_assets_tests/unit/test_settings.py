from pathlib import Path

import pytest
import yaml

from moovitamix_assets.settings import Settings, UnusableThresholds


def thresholds(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return path


def test_a_file_of_ones_own_wins_over_the_defaults_and_the_environment_over_it(tmp_path, monkeypatch):
    own = thresholds(tmp_path, "promotion_tolerance: 0.2\npromotion_minimum_users: 7\n")
    monkeypatch.setenv("MOOVITAMIX_THRESHOLDS_FILE", str(own))
    monkeypatch.setenv("MOOVITAMIX_PROMOTION_MINIMUM_USERS", "9")
    settings = Settings()
    assert (settings.promotion_tolerance, settings.promotion_minimum_users) == (0.2, 9)
    assert settings.promotion_minimum_ratio == 1.05
    assert "api_url" not in settings.model_fields_set


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("promotion_tolerence: 0.1", "promotion_tolerence is unknown"),
        ("seed: 3", "seed is unknown"),
        ("- promotion_tolerance", "no keys with values"),
        ("a: [b", "not YAML"),
    ],
)
def test_a_file_that_would_change_nothing_is_refused(tmp_path, text, said):
    with pytest.raises(UnusableThresholds, match=said):
        Settings(thresholds_file=thresholds(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnusableThresholds, match=r"nowhere\.yaml: it cannot be read"):
        Settings(thresholds_file=tmp_path / "nowhere.yaml")


def test_every_threshold_of_the_file_is_a_setting():
    keys = yaml.safe_load((Path(__file__).parents[2] / "moovitamix_assets" / "thresholds.yaml").read_text())
    assert set(keys) <= set(Settings.model_fields)


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="nonsense"):
        Settings(api_url="nonsense")
