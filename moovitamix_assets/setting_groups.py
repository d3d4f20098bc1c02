"""The settings of each stage: typed, with their defaults and a line of why.

Each is read from the environment variable of the same name in capitals with the prefix `MOOVITAMIX_`, whatever its
group. What is good enough (thresholds) has its defaults in `thresholds.yaml`. What belongs to the whole deployment is
in `settings.py`.
"""

import os
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from foundation.errors import Explained
from foundation.secret_url import SecretUrl

_THRESHOLDS = Path(__file__).with_name("thresholds.yaml")


class UnusableThresholds(Explained):
    """A thresholds file that cannot be used; the message names it and what is wrong with it."""

    exit_code = 2


class Variables(BaseSettings):
    """Settings read from arguments and from environment variables, immutable once read."""

    # What was given stays out of errors: it may be a URL with a password.
    model_config = SettingsConfigDict(
        env_prefix="MOOVITAMIX_", frozen=True, extra="ignore", hide_input_in_errors=True
    )


class _Thresholds(Variables):
    """Settings some of which have their default in `thresholds.yaml`, or in a copy of it."""

    thresholds_file: Path | None = Field(
        None, description="A copy of thresholds.yaml with values of one's own."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, that over a thresholds file of one's own, that over the defaults."""
        given = init_settings().get("thresholds_file") or os.environ.get("MOOVITAMIX_THRESHOLDS_FILE")
        own = [_checked_thresholds(Path(given))] if given else []
        files = [YamlConfigSettingsSource(settings_cls, yaml_file=path) for path in [*own, _THRESHOLDS]]
        return (init_settings, env_settings, *files)


class SourceSettings(Variables):
    """Reading the source API."""

    api_url: SecretUrl = Field(
        SecretUrl("http://127.0.0.1:8000"), description="The source API, without a trailing slash."
    )
    page_size: int = Field(100, ge=1, le=100, description="Records a page; the source allows 100.")
    pages_in_flight: int = Field(2, ge=1, le=16, description="Two connections saturate the original server.")
    request_timeout_seconds: float = Field(30.0, gt=0, description="For connecting, and between two bytes.")
    request_deadline_seconds: float = Field(
        120.0, gt=0, le=86_400, description="For a request from its connection to its last byte."
    )
    pull_deadline_minutes: float = Field(
        60.0, gt=0, le=100_000, description="For reading an endpoint, repetitions included; then it fails."
    )
    connect_patience_seconds: float = Field(
        20.0, ge=0, description="For a source that cannot be reached, until its first answer in a run."
    )
    request_retries: int = Field(6, ge=0, description="Tries after the first, for what can pass by itself.")
    retry_backoff_seconds: float = Field(
        0.5, ge=0, description="The first wait; doubled each time, jittered."
    )
    retry_backoff_limit_seconds: float = Field(30.0, ge=0, description="No wait is longer (Retry-After too).")
    pull_attempts: int = Field(5, ge=2, description="Whole pulls of an endpoint that moves while paging.")

    @field_validator("api_url")
    @classmethod
    def _without_trailing_slash(cls, value: SecretUrl) -> SecretUrl:
        if not value.is_web_address():
            raise ValueError(f"{str(value)!r} is not an http(s) URL; give one such as http://127.0.0.1:8000")
        return value.without_trailing_slash()


class PlausibilitySettings(Variables):
    """Which source is implausible. "From" a share includes it, so that a share above 1 is never reached."""

    accept_empty_endpoints: bool = Field(
        False,
        description="true reads an endpoint without a single record as such: for a service that has just opened.",
    )
    plausibility_minimum: int = Field(
        20, ge=1, description="Shares of undated or unknown records are judged from so many records on."
    )
    undated_warn_share: float = Field(0.01, gt=0, description="Share without a readable time that warns.")
    undated_blocking_share: float = Field(
        0.10, gt=0, description="Share without a readable time from which a day is landed but not loaded."
    )
    undated_error_share: float = Field(
        0.5, gt=0, description="Share without a readable time from which nothing is landed."
    )
    vanished_blocking_share: float = Field(
        0.2, gt=0, description="Share of known records gone from which a day is landed but not loaded."
    )
    vanished_error_share: float = Field(
        0.5, gt=0, description="Share of known records gone from which the source counts as made anew."
    )
    clock_tolerance_minutes: float = Field(
        10.0, ge=0, description="How far the machine's clock may be ahead of the source's (its Date header)."
    )


class WarehouseSettings(Variables):
    """What is refused when a partition is loaded."""

    rejected_warn_share: float = Field(0.01, ge=0, le=1, description="Share rejected that warns.")
    rejected_error_share: float = Field(0.10, ge=0, le=1, description="Share rejected that stops the run ...")
    rejected_error_minimum: int = Field(
        50, ge=0, description="... if at least so many records were rejected."
    )


class TrainingSettings(_Thresholds):
    """Training, and what an artifact must pass to be used."""

    holdout_days: int = Field(7, ge=1, description="The last days, on which a candidate is measured.")
    validation_days: int = Field(7, ge=1, description="The days before those, on which choices are made.")
    seed: int = Field(42, description="Same partitions, settings and seed: the same artifact.")
    training_threads: int = Field(1, ge=1, description="More than 1 is faster and not reproducible.")
    models_kept: int = Field(10, ge=2, description="Versions kept beside those that served the days kept.")
    artifact_minimum_coverage: float = Field(ge=0, le=1)
    artifact_minimum_served_share: float = Field(ge=0, le=1)


class PromotionSettings(_Thresholds):
    """What a candidate must reach to be promoted."""

    promotion_metric: Literal["ndcg_at_10", "recall_at_20", "precision_at_10", "map_at_10", "hit_rate_at_10"]
    promotion_minimum_users: int = Field(ge=2)
    promotion_minimum_ratio: float = Field(ge=1)
    promotion_tolerance: float = Field(ge=0, le=1)


class MonitoringSettings(_Thresholds):
    """What counts as drift, and as a drop in quality."""

    drift_threshold: float = Field(gt=0)
    drift_minimum_rows: int = Field(ge=1)
    quality_minimum_users: int = Field(ge=1)
    quality_minimum_ratio: float = Field(ge=0)
    quality_drop: float = Field(gt=0, le=1)
    quality_reference_days: int = Field(ge=1)


class RetrainingSettings(_Thresholds):
    """When a model is trained again, and when a champion is rolled back."""

    automatic_retraining: bool = Field(
        True, description="The switch: false pauses retraining and rollback by themselves; people still can."
    )
    retraining_age_days: int = Field(ge=1)
    retraining_days_in_a_row: int = Field(ge=1)
    retraining_rearm_share: float = Field(gt=0, le=1)
    retraining_cooldown_days: int = Field(ge=1)
    retraining_longest_wait_days: int = Field(ge=1)
    retraining_budget: int = Field(ge=1)
    rollback_first_days: int = Field(ge=1)
    rollback_minimum_days: int = Field(ge=2)
    rollback_drop: float = Field(gt=0, le=1)


class ScheduleSettings(Variables):
    """When runs are started automatically, and when they are given up."""

    nightly_at: str = Field(
        "00:30", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="When the day that ended is run, UTC."
    )
    lookback_days: int = Field(3, ge=1, description="Days that a nightly run covers, for late records.")
    catch_up_days: int = Field(14, ge=1, description="Missed days are filled no further back than this.")
    catch_up_attempts: int = Field(3, ge=1, description="Runs for one and the same last day, if they fail.")
    catch_up_wait_minutes: float = Field(
        30.0, ge=0, description="Wait after a failed run, doubled each time."
    )
    nightly_maximum_hours: float = Field(
        3.0, gt=0, description="A nightly run that takes longer is ended and counts as failed."
    )
    run_maximum_hours: float = Field(
        6.0, gt=0, description="The same for runs of all other jobs; a training is the longest."
    )
    sensor_seconds: int = Field(30, ge=1, description="Between two looks of a sensor.")


class OperationsSettings(Variables):
    """When data is late, who is notified, and what is kept of runs."""

    freshness_hours: float = Field(3.0, gt=0, description="By then the day that ended must have been made.")
    newest_listen_hours: float = Field(
        24.0, gt=0, description="The newest listen of a day that ended may be so much older than its end."
    )
    alert_urls: SecretStr = Field(
        SecretStr(""),
        description="Apprise URLs (mailto://, slack://, json://, ...), by spaces; none: the log.",
    )
    ui_url: str = Field("http://127.0.0.1:3000", description="Of the Dagster UI, for links in alerts.")
    log_format: Literal["text", "json"] = Field(
        "text", description="json: a line per record, for collectors."
    )
    runs_kept_days: int = Field(
        90, ge=14, description="Dagster's records of runs that ended earlier are removed; their results stay."
    )


class MirrorSettings(Variables):
    """The mirror of decisions and models in MLflow."""

    mirror_decisions: bool = Field(True, description="Whether MLflow is told of each decision at once.")
    mlflow_tracking_uri: SecretUrl = Field(
        SecretUrl(),
        description="A tracking server, http(s)://...; without one, mlflow.db in the data folder.",
    )
    mlflow_timeout_seconds: float = Field(
        120.0, gt=0, description="Longer, and writing the mirror is given up; nothing waits for it."
    )

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _server_or_nothing(cls, value: SecretUrl) -> SecretUrl:
        return server_or_nothing(value)


class RecommendationSettings(Variables):
    """Recommendations."""

    recommendations_per_user: int = Field(20, ge=1, le=1000, description="Length of each person's list.")
    recommend_heard_tracks: bool = Field(False, description="Whether tracks a person knows may be listed.")
    recommendations_kept_days: int = Field(14, ge=1, description="Days of recommendations kept.")
    recommendations_expire_hours: int = Field(48, ge=1, description="How long a list may be shown.")


def server_or_nothing(value: SecretUrl) -> SecretUrl:
    """A server's URL without a trailing slash, or nothing.

    Raises:
        ValueError: If it is something else.
    """
    if value and not value.is_web_address():
        raise ValueError(f"{str(value)!r} is not an http(s) URL; leave it out for what is on this machine")
    return value.without_trailing_slash()


def _checked_thresholds(path: Path) -> Path:
    """The path itself, if it is a thresholds file: a key that nobody reads would change nothing in silence.

    Raises:
        UnusableThresholds: If it is not.
    """
    named = f"MOOVITAMIX_THRESHOLDS_FILE = {path}"
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise UnusableThresholds(f"{named}: it cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise UnusableThresholds(f"{named}: it is not YAML ({error})") from error
    known = yaml.safe_load(_THRESHOLDS.read_text())
    if not isinstance(content, dict):
        raise UnusableThresholds(f"{named}: it holds no keys with values, such as promotion_tolerance: 0.1")
    unknown = ", ".join(sorted(str(key) for key in content.keys() - known.keys()))
    if unknown:
        raise UnusableThresholds(f"{named}: {unknown} is unknown; the keys are {', '.join(known)}")
    return path
