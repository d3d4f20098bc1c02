"""The forms of answers and requests, for the OpenAPI document; requests are validated by them, answers only described.

Answers are written in `generation/answers.py`; tests compare what is written with what is documented.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from moovitamix_assets.recommendations.publishing.layout import Reason, Source

Id = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Track(BaseModel):
    """A track of the catalogue."""

    track_id: int
    name: str | None
    artist: str | None
    genres: list[str]
    created_at: str | None = Field(description="When the source created it, UTC.")


class Recommendation(BaseModel):
    """A track with its place."""

    rank: int = Field(description="From 1.")
    score: float = Field(description="Higher is better; comparable within one answer only.")
    reason: Reason | None = Field(None, description="With `reasons=true` only.")
    because: str | None = Field(None, description="The reason in words; with `reasons=true` only.")
    track: Track


class Ranked(BaseModel):
    """Tracks in their order."""

    source: Source = Field(
        description="model; cold_start: the model knows nothing of the user; popular: no model serves, or what is "
        "asked for is popularity."
    )
    stale: bool = Field(description="The recommendations expired: these are popular tracks.")
    recommendations: list[Recommendation]


class Origin(BaseModel):
    """The model and the generation that an answer is from; also in the headers X-Model-Version and X-Generation."""

    model_version: str = Field(description="The version that serves, or `popularity`.")
    generation: str
    generated_for: str = Field(description="The day as of which recommendations were made.")
    expires_at: str


class UserRanked(Ranked):
    """The recommendations of a user."""

    user_id: int


class UserAnswer(UserRanked, Origin):
    """The recommendations of a user, with their origin."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": 12103,
                    "source": "model",
                    "stale": False,
                    "recommendations": [
                        {
                            "rank": 1,
                            "score": 3.41827,
                            "track": {
                                "track_id": 40211,
                                "name": "Northern Line",
                                "artist": "The Lanterns",
                                "genres": ["Indie"],
                                "created_at": "2026-09-02T08:15:00Z",
                            },
                        }
                    ],
                    "model_version": "2026-09-21-69993c26",
                    "generation": "000007-2026-09-30-69993c26",
                    "generated_for": "2026-09-30",
                    "expires_at": "2026-10-03T00:00:00Z",
                }
            ]
        }
    )


class UsersAnswer(Origin):
    """The recommendations of several users, in the order in which they were asked for."""

    users: list[UserRanked]


class TracksAnswer(Ranked, Origin):
    """Tracks in their order, with their origin."""


class ModelAnswer(Origin):
    """The model in use, how it measured when it was trained, and every decision about versions so far."""

    model: dict[str, Any]
    promotions: list[dict[str, Any]]


class DaysAnswer(Origin):
    """Rows of the last days, oldest first."""

    rows: list[dict[str, Any]]


class State(BaseModel):
    """How the service is."""

    state: Literal["live", "ready"]


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None


class UsersRequest(BaseModel):
    """The users whose recommendations are asked for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user_ids": [12103, 12104], "k": 5}]}
    )

    user_ids: list[Id] = Field(min_length=1)
    k: int = Field(10, ge=1)
    reasons: bool = False


class SessionRequest(BaseModel):
    """Tracks that were played together; nothing of them is stored."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"track_ids": [40211, 40305], "k": 5}]}
    )

    track_ids: list[Id] = Field(min_length=1)
    k: int = Field(10, ge=1)
    reasons: bool = False
