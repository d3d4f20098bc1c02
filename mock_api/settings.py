"""The settings of the simulated source: the world behind it, its clock, its invalid records and its faults.

Each is read from an environment variable with the prefix `MOCK_API_` or from a flag of `python -m mock_api`.
Nothing but settings belongs here; the pipeline's own are in `moovitamix_assets/settings.py`.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Endpoint = Literal["tracks", "users", "listen_history"]
ENDPOINTS: tuple[Endpoint, ...] = ("tracks", "users", "listen_history")

Share = Annotated[float, Field(ge=0, le=1)]
FailingPages = Annotated[tuple[tuple[Endpoint, int], ...], NoDecode]
FailingEndpoints = Annotated[tuple[Endpoint, ...], NoDecode]


class MockApiSettings(BaseSettings):
    """The settings of one simulated source, immutable once read."""

    model_config = SettingsConfigDict(env_prefix="MOCK_API_", frozen=True, extra="forbid")

    # Where it listens
    host: str = Field("127.0.0.1", description="Address to bind.")
    port: int = Field(8000, ge=0, le=65535, description="Port to bind; 0 takes a free one and prints it.")

    # The world
    seed: int = Field(1, ge=0, description="Same seed and sizes: the same world on every start.")
    now: datetime | None = Field(
        None, description="The source's time, in UTC, standing still; without it the real clock."
    )
    first_day: date = Field(date(2026, 8, 1), description="The first day with listening sessions.")
    people: int = Field(1000, ge=1, description="Users on the first day.")
    tracks: int = Field(2000, ge=1, description="Tracks on the first day.")
    new_people_a_day: float = Field(4.0, ge=0, description="Mean number of users who join on a day.")
    new_tracks_a_day: float = Field(6.0, ge=0, description="Mean number of tracks that appear on a day.")
    sessions_a_day: float = Field(500.0, ge=0, description="Mean number of listening sessions on a day.")
    taste_strength: float = Field(
        1.0,
        ge=0,
        description="How much users follow their taste; 0: all plays are drawn from popularity alone.",
    )
    taste_shift_on: date | None = Field(
        None, description="The day on which all users' tastes change, for good; default never."
    )
    taste_shift_days: int = Field(
        1, ge=1, description="Days from taste_shift_on over which tastes move from the old to the new."
    )
    taste_shift_back_on: date | None = Field(
        None,
        description=(
            "The day from which tastes are as before taste_shift_on; users who joined since keep theirs. Default never."
        ),
    )
    wandering_share: Share = Field(0.07, description="Share of listens drawn from popularity, not taste.")
    repeat_share: Share = Field(0.2, description="Share of listens that repeat one of the user's last.")
    dirty_share: Share = Field(0.0, description="Share of invalid records.")

    # Faults of the three data endpoints: shares of requests, at most one fault each, plus latency
    fault_latency: Share = Field(0.0, description="Share of requests answered late.")
    fault_latency_seconds: float = Field(0.5, ge=0, description="The delay of late answers.")
    fault_429: Share = Field(0.0, description="Share answered 429 with Retry-After.")
    fault_retry_after_seconds: int = Field(1, ge=0, description="The Retry-After of a 429, whole seconds.")
    fault_500: Share = Field(0.0, description="Share answered 500.")
    fault_503: Share = Field(0.0, description="Share answered 503.")
    fault_dropped: Share = Field(0.0, description="Share whose connection closes without an answer.")
    fault_truncated: Share = Field(0.0, description="Share whose body ends before its Content-Length.")
    fault_html: Share = Field(0.0, description="Share answered 200 with an HTML page.")
    fault_moving_total: Share = Field(0.0, description="Share whose total is off by one to three.")
    fault_always: FailingPages = Field(
        (), description="Pages that always answer 503, such as users:2,listen_history:5."
    )
    fault_once: FailingPages = Field((), description="Pages that answer 503 to their first request.")
    fault_repeated_page: FailingPages = Field(
        (), description="Pages that always hold the records of the page before, such as users:3."
    )
    fault_halved_total: FailingEndpoints = Field(
        (), description="Endpoints whose total is always half of what their pages hold, such as users,tracks."
    )

    # What tests compare with
    served_log: Path | None = Field(None, description="File that gets one JSON line per data answer.")

    @field_validator("fault_always", "fault_once", "fault_repeated_page", mode="before")
    @classmethod
    def _parse_pages(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(tuple(name.strip().split(":")) for name in value.split(",") if name.strip())

    @field_validator("fault_halved_total", mode="before")
    @classmethod
    def _parse_endpoints(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("now")
    @classmethod
    def _as_naive_utc(cls, value: datetime | None) -> datetime | None:
        if value is None or value.tzinfo is None:
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    @model_validator(mode="after")
    def _at_most_one_fault_each(self) -> Self:
        if sum(self.exclusive_faults.values()) > 1:
            raise ValueError(f"the shares of faults add up to more than 1: {self.exclusive_faults}")
        return self

    @model_validator(mode="after")
    def _back_after_the_shift(self) -> Self:
        on, back_on = self.taste_shift_on, self.taste_shift_back_on
        if back_on is not None and (on is None or back_on <= on):
            raise ValueError(f"taste_shift_back_on {back_on} needs an earlier taste_shift_on, which is {on}")
        return self

    def taste_shift_share(self, day: date) -> float:
        """Return how far tastes have moved on a day: 0 is where they were before the shift, 1 after it."""
        on, back_on = self.taste_shift_on, self.taste_shift_back_on
        if on is None or day < on or (back_on is not None and day >= back_on):
            return 0.0
        return min(1.0, ((day - on).days + 1) / self.taste_shift_days)

    @property
    def exclusive_faults(self) -> dict[str, float]:
        """Share of requests by fault, for the faults of which a request gets at most one."""
        return {
            "too_many_requests": self.fault_429,
            "server_error": self.fault_500,
            "unavailable": self.fault_503,
            "dropped_connection": self.fault_dropped,
            "truncated_body": self.fault_truncated,
            "html": self.fault_html,
            "moving_total": self.fault_moving_total,
        }

    @property
    def any_fault(self) -> bool:
        """Return whether any request can meet a fault."""
        return bool(
            self.fault_latency
            or self.fault_always
            or self.fault_once
            or self.fault_repeated_page
            or self.fault_halved_total
            or any(self.exclusive_faults.values())
        )
