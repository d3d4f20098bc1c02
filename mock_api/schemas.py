"""The shapes of records and pages, as the endpoints declare them in the OpenAPI document.

They are for the document alone: answers are written as bytes in `app.py`, without passing through here.
"""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, Field

Record = TypeVar("Record")


class TracksOut(BaseModel):
    """One track."""

    id: int
    name: str
    artist: str
    songwriters: str
    duration: str
    genres: str
    album: str
    created_at: datetime
    updated_at: datetime


class UsersOut(BaseModel):
    """One user."""

    id: int
    first_name: str
    last_name: str
    email: str
    gender: str
    favorite_genres: str
    created_at: datetime
    updated_at: datetime


class ListenHistoryOut(BaseModel):
    """One listening session."""

    user_id: int | None
    items: list[int] | None
    created_at: datetime
    updated_at: datetime


class PageCustomized(BaseModel, Generic[Record]):
    """One page of records, and how many there are."""

    items: list[Record]
    total: Annotated[int, Field(ge=0)] | None
    page: Annotated[int, Field(ge=1)] | None
    size: Annotated[int, Field(ge=1)] | None
    pages: Annotated[int, Field(ge=0)] | None = None
