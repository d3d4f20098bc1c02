from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from moovitamix_assets.setting_sources import UnusableThresholds
from moovitamix_assets.settings import Settings, all_fields, unknown_variables

THRESHOLDS = Path(__file__).parents[2] / "moovitamix_assets" / "thresholds.yaml"


def thresholds(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return path


def value(settings: Settings, name: str) -> Any:
    """Of a setting, in whatever group it is."""
    groups = [settings, *(getattr(settings, group) for group in Settings.model_fields)]
    (found,) = {getattr(group, name) for group in groups if hasattr(group, name)}
    return found


def test_a_file_of_ones_own_wins_over_the_defaults_and_the_environment_over_it(tmp_path, monkeypatch):
    own = thresholds(tmp_path, "promotion_tolerance: 0.2\npromotion_minimum_users: 7\n")
    monkeypatch.setenv("MOOVITAMIX_THRESHOLDS_FILE", str(own))
    monkeypatch.setenv("MOOVITAMIX_PROMOTION_MINIMUM_USERS", "9")
    settings = Settings()
    assert (settings.promotion.promotion_tolerance, settings.promotion.promotion_minimum_users) == (0.2, 9)
    assert settings.promotion.promotion_minimum_ratio == 1.05
    assert "api_url" not in settings.source.model_fields_set


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
    keys = yaml.safe_load(THRESHOLDS.read_text())
    assert set(keys) <= set(all_fields())


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="nonsense"):
        Settings(api_url="nonsense")


def bounded() -> list[tuple[str, object, object]]:
    """By setting: the last value on each side that is allowed, and the first that is not."""
    return [
        ("lookback_days", 1, 0),
        ("page_size", 1, 0), ("page_size", 100, 101),
        ("pages_in_flight", 1, 0), ("pages_in_flight", 16, 17),
        ("request_timeout_seconds", 0.001, 0),
        ("request_retries", 0, -1),
        ("retry_backoff_seconds", 0, -0.001),
        ("retry_backoff_limit_seconds", 0, -0.001),
        ("pull_attempts", 2, 1),
        ("request_deadline_seconds", 0.001, 0), ("request_deadline_seconds", 86_400, 86_401),
        ("pull_deadline_minutes", 0.001, 0), ("pull_deadline_minutes", 100_000, 100_001),
        ("connect_patience_seconds", 0, -0.001),
        ("rejected_warn_share", 0, -0.001), ("rejected_warn_share", 1, 1.001),
        ("rejected_error_share", 0, -0.001), ("rejected_error_share", 1, 1.001),
        ("rejected_error_minimum", 0, -1),
        ("updated_before_created_warn_share", 1.1, 0),
        ("orphan_listens_warn_share", 1.1, 0),
        ("repeated_emails_warn_share", 1.1, 0),
        ("unusual_minimum", 1, 0),
        ("plausibility_minimum", 1, 0),
        ("undated_warn_share", 1.1, 0),
        ("undated_blocking_share", 1.1, 0),
        ("undated_error_share", 1.1, 0),
        ("vanished_blocking_share", 1.1, 0),
        ("vanished_error_share", 1.1, 0),
        ("clock_tolerance_minutes", 0, -0.001),
        ("holdout_days", 1, 0),
        ("validation_days", 1, 0),
        ("training_threads", 1, 0),
        ("promotion_minimum_users", 2, 1),
        ("promotion_minimum_ratio", 1, 0.999),
        ("promotion_tolerance", 0, -0.001), ("promotion_tolerance", 1, 1.001),
        ("shadow_days", 0, -1),
        ("artifact_minimum_coverage", 0, -0.001), ("artifact_minimum_coverage", 1, 1.001),
        ("artifact_minimum_served_share", 0, -0.001), ("artifact_minimum_served_share", 1, 1.001),
        ("drift_threshold", 0.001, 0),
        ("drift_minimum_rows", 1, 0),
        ("quality_minimum_users", 1, 0),
        ("quality_minimum_ratio", 0, -0.001),
        ("quality_drop", 0.001, 0), ("quality_drop", 1, 1.001),
        ("quality_reference_days", 1, 0),
        ("retraining_age_days", 1, 0),
        ("retraining_days_in_a_row", 1, 0),
        ("retraining_rearm_share", 0.001, 0), ("retraining_rearm_share", 1, 1.001),
        ("retraining_cooldown_days", 1, 0),
        ("retraining_longest_wait_days", 1, 0),
        ("retraining_budget", 1, 0),
        ("rollback_first_days", 1, 0),
        ("rollback_minimum_days", 2, 1),
        ("rollback_drop", 0.001, 0), ("rollback_drop", 1, 1.001),
        ("fallback_days", 0, -1),
        ("nightly_at", "00:00", "24:00"), ("nightly_at", "23:59", "23:60"), ("nightly_at", "09:30", "9:30"),
        ("catch_up_days", 1, 0),
        ("catch_up_attempts", 1, 0),
        ("catch_up_wait_minutes", 0, -0.001),
        ("sensor_seconds", 1, 0),
        ("nightly_maximum_hours", 0.001, 0),
        ("run_maximum_hours", 0.001, 0),
        ("runs_kept_days", 14, 13),
        ("freshness_hours", 0.001, 0),
        ("newest_listen_hours", 0.001, 0),
        ("models_kept", 2, 1),
        ("mlflow_timeout_seconds", 0.001, 0),
        ("recommendations_per_user", 1, 0), ("recommendations_per_user", 1000, 1001),
        ("recommendations_kept_days", 1, 0),
        ("recommendations_expire_hours", 1, 0),
        ("published_kept", 2, 1),
        ("serving_port", 0, -1), ("serving_port", 65535, 65536),
        ("serving_maximum_length", 1, 0), ("serving_maximum_length", 1000, 1001),
        ("serving_maximum_batch", 1, 0), ("serving_maximum_batch", 10_000, 10_001),
        ("serving_maximum_body_bytes", 1024, 1023), ("serving_maximum_body_bytes", 100_000_000, 100_000_001),
        ("serving_watch_seconds", 0.001, 0), ("serving_watch_seconds", 3600, 3601),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "allowed", "refused"), bounded())
def test_a_setting_is_bounded(name: str, allowed: object, refused: object) -> None:
    assert value(Settings(**{name: allowed}), name) == allowed
    with pytest.raises(ValueError, match=name):
        Settings(**{name: refused})


def test_every_number_has_a_bound_that_is_tested() -> None:
    numbers = {name for name, field in all_fields().items() if field.annotation in (int, float)}
    assert numbers - {name for name, *_ in bounded()} == {"seed"}


def test_every_setting_that_is_no_threshold_is_described() -> None:
    explained_there = yaml.safe_load(THRESHOLDS.read_text())
    undescribed = {name for name, field in all_fields().items() if not field.description}
    assert undescribed == set(explained_there)


def test_an_argument_wins_over_everything(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MOOVITAMIX_PROMOTION_TOLERANCE", "0.3")
    own = thresholds(tmp_path, "promotion_tolerance: 0.2\n")
    assert Settings(promotion_tolerance=0.4, thresholds_file=own).promotion.promotion_tolerance == 0.4
    assert Settings(thresholds_file=own).promotion.promotion_tolerance == 0.3
    # A file that is named as an argument wins over the one of the environment.
    other = tmp_path / "other.yaml"
    other.write_text("promotion_minimum_users: 7\n")
    monkeypatch.setenv("MOOVITAMIX_THRESHOLDS_FILE", str(other))
    assert Settings().promotion.promotion_minimum_users == 7
    assert Settings(thresholds_file=own).promotion.promotion_minimum_users == 30


def test_an_empty_file_of_ones_own_changes_nothing(tmp_path) -> None:
    assert Settings(thresholds_file=thresholds(tmp_path, "# nothing\n")).promotion.promotion_tolerance == 0.1


def test_settings_never_change_once_they_were_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().start_date = date(2026, 10, 1)


@pytest.mark.parametrize("name", ["api_url", "clock_url", "mlflow_tracking_uri"])
def test_a_server_is_named_by_its_address_without_a_slash_at_its_end(name: str) -> None:
    given = value(Settings(**{name: "https://example.org/"}), name)
    assert given.get_secret_value() == "https://example.org"
    for wrong in ("example.org:80", "ftp://example.org"):
        with pytest.raises(ValueError, match="is not an http"):
            Settings(**{name: wrong})
    if name == "api_url":
        with pytest.raises(ValueError, match="is not an http"):
            Settings(api_url="http://")
    else:
        assert not value(Settings(**{name: ""}), name)


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(Settings(alert_urls="json://robot:s3cret@example.org"))


@pytest.mark.parametrize("name", ["api_url", "clock_url", "mlflow_tracking_uri"])
def test_no_setting_prints_its_password(name):
    settings = Settings(**{name: "http://user:sesame@host/"})
    assert value(settings, name).get_secret_value() == "http://user:sesame@host"
    shown = [str(settings), repr(settings), settings.model_dump_json(), str(settings.model_dump())]
    shown.append(str(TypeAdapter(Settings).dump_python(settings, mode="json")))
    assert [text for text in shown if "sesame" in text] == []
    with pytest.raises(ValidationError) as caught:
        Settings(**{name: "ftp://user:sesame@host"})
    assert "ftp://host" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_token_and_headers_are_sent_with_each_request() -> None:
    source = Settings(api_token="t0ken", api_headers='{"X-Api-Key": "k3y"}').source
    assert source.request_headers == {"Authorization": "Bearer t0ken", "X-Api-Key": "k3y"}
    assert Settings().source.request_headers == {}
    for shown in (str(source), repr(source), source.model_dump_json()):
        assert "t0ken" not in shown
        assert "k3y" not in shown


@pytest.mark.parametrize("headers", ["X-Api-Key: k3y", '["k3y"]', '{"X-Api-Key": 3}'])
def test_headers_that_are_none_are_refused_without_being_shown(headers: str) -> None:
    with pytest.raises(ValueError, match="JSON object of texts") as caught:
        Settings(api_headers=headers)
    assert "k3y" not in str(caught.value)


def test_a_token_and_a_user_in_the_url_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other") as caught:
        Settings(api_token="t0ken", api_url="http://user:sesame@host")
    assert "t0ken" not in str(caught.value)


def test_a_token_from_a_file_loses_its_line_break_and_one_of_two_lines_is_refused_unseen() -> None:
    assert Settings(api_token="t0ken\n").source.request_headers == {"Authorization": "Bearer t0ken"}
    for setting in ({"api_token": "t0ken\nX-Other: 1"}, {"api_headers": '{"X-Api-Key": "k3y-t0ken\\n"}'}):
        with pytest.raises(ValueError, match="line break") as caught:
            Settings(**setting)
        assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("DATADIR", "MOOVITAMIX_DATA_DIR"),
        ("HOLDOUT_DAY", "MOOVITAMIX_HOLDOUT_DAYS"),
        ("APIURL", "MOOVITAMIX_API_URL"),
        ("PROMOTION_TOLERANCES", "MOOVITAMIX_PROMOTION_TOLERANCE"),
        ("PROMOTIONN", None),
        ("QUALITY", None),
        ("SOURCE", None),
    ],
)
def test_only_a_misspelling_suggests_a_name(
    given: str, meant: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"MOOVITAMIX_{given}", "1")
    assert unknown_variables() == {f"MOOVITAMIX_{given}": meant}


@pytest.mark.parametrize("value", ["x", '{"page_size": 7}'])
def test_the_name_of_a_group_is_no_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOOVITAMIX_SOURCE", value)
    assert Settings().source.page_size == all_fields()["page_size"].default
    assert "MOOVITAMIX_SOURCE" in unknown_variables()
