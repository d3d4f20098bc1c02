"""The settings of each stage: typed, with their defaults and a line of explanation.

Each is read from the environment variable of the same name in capitals with the prefix `MOOVITAMIX_`, whatever its
group. Thresholds have their defaults in `thresholds.yaml`. Settings of the whole deployment are in
`settings.py`.
"""

import json
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from foundation.secret_url import SecretUrl
from moovitamix_assets.setting_sources import Thresholds, Variables


class SourceSettings(Variables):
    """Reading the source API."""

    api_url: SecretUrl = Field(
        SecretUrl("http://127.0.0.1:8000"), description="The source API, without a trailing slash."
    )
    api_token: SecretStr = Field(
        SecretStr(""), description="Sent with each request as `Authorization: Bearer <token>`; never shown."
    )
    api_headers: SecretStr = Field(
        SecretStr(""),
        description='More headers for each request, as a JSON object: {"X-Api-Key": "..."}; never shown.',
    )
    page_size: int = Field(100, ge=1, le=100, description="Records a page; the source allows 100.")
    pages_in_flight: int = Field(
        2, ge=1, le=16, description="Concurrent requests; two saturate the original server."
    )
    request_timeout_seconds: float = Field(30.0, gt=0, description="For connecting, and between two bytes.")
    request_deadline_seconds: float = Field(
        120.0, gt=0, le=86_400, description="For a request from its connection to its last byte."
    )
    pull_deadline_minutes: float = Field(
        60.0, gt=0, le=100_000, description="For reading an endpoint, repetitions included; then it fails."
    )
    connect_patience_seconds: float = Field(
        20.0,
        ge=0,
        description="Retry period for an address where no source answers, until the first usable answer in a run.",
    )
    request_retries: int = Field(
        6, ge=0, description="Retries of a request, for errors that may be temporary."
    )
    retry_backoff_seconds: float = Field(
        0.5, ge=0, description="The first wait, doubled each time, with jitter."
    )
    retry_backoff_limit_seconds: float = Field(30.0, ge=0, description="No wait is longer (Retry-After too).")
    pull_attempts: int = Field(
        5, ge=2, description="Complete pulls of an endpoint whose records change while paging."
    )

    @field_validator("api_url")
    @classmethod
    def _without_trailing_slash(cls, value: SecretUrl) -> SecretUrl:
        if not value.is_web_address():
            raise ValueError(f"{str(value)!r} is not an http(s) URL; give one such as http://127.0.0.1:8000")
        return value.without_trailing_slash()

    @field_validator("api_headers")
    @classmethod
    def _names_and_texts(cls, value: SecretStr) -> SecretStr:
        try:
            headers = json.loads(value.get_secret_value() or "{}")
        except ValueError:
            headers = None
        if not isinstance(headers, dict) or not all(isinstance(text, str) for text in headers.values()):
            raise ValueError('it is not a JSON object of texts; give one such as {"X-Api-Key": "..."}')
        if not all(_is_header(name) and _is_header(text) for name, text in headers.items()):
            raise ValueError("a name or text holds a line break or another character that no header may hold")
        return value

    @field_validator("api_token")
    @classmethod
    def _of_one_line(cls, value: SecretStr) -> SecretStr:
        # Secrets that are mounted as files end with a line break.
        token = value.get_secret_value().strip()
        if not _is_header(token):
            raise ValueError("it holds a line break or another character that no header may hold")
        return SecretStr(token)

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        if self.api_token.get_secret_value() and self.api_url.credentials:
            raise ValueError(
                "MOOVITAMIX_API_TOKEN and a user in MOOVITAMIX_API_URL exclude each other; leave one out"
            )
        return self

    @property
    def request_headers(self) -> dict[str, str]:
        """The secret headers of each request."""
        headers: dict[str, str] = json.loads(self.api_headers.get_secret_value() or "{}")
        token = self.api_token.get_secret_value()
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})


class PlausibilitySettings(Variables):
    """When a source is implausible. "From" a share includes it, so that a share above 1 is never reached."""

    accept_empty_endpoints: bool = Field(
        False,
        description="Whether an endpoint without a single record is accepted: for a service that has just opened.",
    )
    plausibility_minimum: int = Field(
        20, ge=1, description="Number of records from which shares of undated or unknown records are judged."
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
        0.5, gt=0, description="Share of known records gone from which the source counts as regenerated."
    )
    clock_tolerance_minutes: float = Field(
        10.0, ge=0, description="How far the machine's clock may be ahead of the source's (its Date header)."
    )


class WarehouseSettings(Variables):
    """The copy for readers, and limits on a run's records: what is rejected, and what is accepted and unusual."""

    warehouse_copy: bool = Field(
        True,
        description="Whether `warehouse_copy.duckdb` is written after each run, for notebooks that stay open.",
    )
    rejected_warn_share: float = Field(0.01, ge=0, le=1, description="Share rejected that warns.")
    rejected_error_share: float = Field(
        0.10, ge=0, le=1, description="Share rejected that refuses the day ..."
    )
    rejected_error_minimum: int = Field(
        50, ge=0, description="... if at least this many records were rejected."
    )
    updated_before_created_warn_share: float = Field(
        0.6,
        gt=0,
        description="Share of users or tracks updated before they were created that warns; a quarter is normal ...",
    )
    orphan_listens_warn_share: float = Field(
        0.2,
        gt=0,
        description="Share of listens of unknown users or tracks that warns; 0.01 is normal, 0.1 on a small day ...",
    )
    repeated_emails_warn_share: float = Field(
        0.05, gt=0, description="Share of users with an email of others that warns; 0.01 is normal ..."
    )
    unusual_minimum: int = Field(20, ge=1, description="... for all three: if at least so many are affected.")


class TrainingSettings(Thresholds):
    """Training, and the requirements that an artifact must meet."""

    holdout_days: int = Field(7, ge=1, description="The last days, on which a candidate is measured.")
    validation_days: int = Field(7, ge=1, description="The days before those, on which choices are made.")
    seed: int = Field(42, description="Same partitions, settings and seed: the same artifact.")
    training_threads: int = Field(1, ge=1, description="More than 1 is faster and not reproducible.")
    models_kept: int = Field(
        10, ge=2, description="Versions kept in addition to those that served the days kept."
    )
    artifact_minimum_coverage: float = Field(ge=0, le=1)
    artifact_minimum_served_share: float = Field(ge=0, le=1)


class PromotionSettings(Thresholds):
    """The requirements for the promotion of a candidate."""

    promotion_metric: Literal["ndcg_at_10", "recall_at_20", "precision_at_10", "map_at_10", "hit_rate_at_10"]
    promotion_minimum_users: int = Field(ge=2)
    promotion_minimum_ratio: float = Field(ge=1)
    promotion_tolerance: float = Field(ge=0, le=1)
    shadow_days: int = Field(ge=0)


class MonitoringSettings(Thresholds):
    """Limits for drift and for a drop in quality."""

    drift_threshold: float = Field(gt=0)
    drift_minimum_rows: int = Field(ge=1)
    quality_minimum_users: int = Field(ge=1)
    quality_minimum_ratio: float = Field(ge=0)
    quality_drop: float = Field(gt=0, le=1)
    quality_reference_days: int = Field(ge=1)


class RetrainingSettings(Thresholds):
    """When a model is trained again, and when a champion is rolled back or replaced by popular tracks."""

    automatic_retraining: bool = Field(
        True, description="false pauses automatic training, rollback, fallback and decisions about shadow."
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
    fallback_days: int = Field(ge=0)


class ScheduleSettings(Variables):
    """When runs are started automatically, and when they are given up."""

    nightly_at: str = Field(
        "00:30",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="When the run for the day that ended starts, UTC.",
    )
    lookback_days: int = Field(3, ge=1, description="Days that a nightly run covers, for late records.")
    catch_up_days: int = Field(14, ge=1, description="Missed days are filled no further back than this.")
    catch_up_attempts: int = Field(3, ge=1, description="Runs for the same last day, if they fail.")
    catch_up_wait_minutes: float = Field(
        30.0, ge=0, description="Wait after a failed run, doubled each time."
    )
    nightly_maximum_hours: float = Field(
        3.0, gt=0, description="A nightly run that takes longer is terminated and counts as failed."
    )
    run_maximum_hours: float = Field(
        6.0, gt=0, description="The same for runs of all other jobs; training takes longest."
    )
    sensor_seconds: int = Field(30, ge=1, description="Seconds between two ticks of a sensor.")


class OperationsSettings(Variables):
    """When data is late, who is notified, and what is kept of runs."""

    freshness_hours: float = Field(
        3.0, gt=0, description="Hours after the nightly run by which the day that ended must be materialized."
    )
    newest_listen_hours: float = Field(
        24.0, gt=0, description="The newest listen of a day that ended may be this much older than its end."
    )
    alert_urls: SecretStr = Field(
        SecretStr(""),
        description="Apprise URLs (mailto://, slack://, json://, ...), separated by spaces; empty: the log.",
    )
    ui_url: str = Field("http://127.0.0.1:3000", description="URL of the Dagster UI, for links in alerts.")
    log_format: Literal["text", "json"] = Field(
        "text", description="json: one line per record, for log collectors."
    )
    runs_kept_days: int = Field(
        90, ge=14, description="Dagster's records of older runs are removed; their results stay."
    )


class MirrorSettings(Variables):
    """The mirror of decisions and models in MLflow."""

    mirror_decisions: bool = Field(True, description="Whether each decision is written to MLflow at once.")
    mlflow_tracking_uri: SecretUrl = Field(
        SecretUrl(),
        description="A tracking server, http(s)://...; without one, mlflow.db in the data folder.",
    )
    mlflow_timeout_seconds: float = Field(
        120.0, gt=0, description="After this, writing the mirror is abandoned; nothing waits for it."
    )

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _server_or_nothing(cls, value: SecretUrl) -> SecretUrl:
        return server_or_nothing(value)


class RecommendationSettings(Variables):
    """How many tracks a user is recommended, which, and how long recommendations are kept."""

    recommendations_per_user: int = Field(20, ge=1, le=1000, description="Recommendations for each user.")
    recommend_heard_tracks: bool = Field(
        False, description="Whether tracks that a user has already played may be recommended."
    )
    recommendations_kept_days: int = Field(14, ge=1, description="Days of recommendations kept.")
    recommendations_expire_hours: int = Field(48, ge=1, description="How long recommendations may be shown.")


def server_or_nothing(value: SecretUrl) -> SecretUrl:
    """A server's URL without a trailing slash, or nothing.

    Raises:
        ValueError: If it is something else.
    """
    if value and not value.is_web_address():
        raise ValueError(f"{str(value)!r} is not an http(s) URL; leave it out for the local one")
    return value.without_trailing_slash()


def _is_header(text: str) -> bool:
    """Tell whether a text can be sent in a header as it is."""
    return text.isascii() and (text.isprintable() or not text) and text == text.strip()
