"""Shared by all routes: the snapshot of a request, its limits, and an answer with its origin."""

from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from moovitamix_serving.generation.answers import origin_json
from moovitamix_serving.generation.snapshot import Snapshot
from moovitamix_serving.routes.documented import Problem

MEDIA_TYPE = "application/json"


def snapshot_of(request: Request) -> Snapshot:
    """The snapshot that a request is answered from, whatever is published meanwhile.

    Raises:
        HTTPException: 503 before anything was published.
    """
    snapshot: Snapshot | None = request.scope["state"]["snapshot"]
    if snapshot is None:
        raise HTTPException(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Nothing was published yet: `moovitamix run`, or the next nightly run, publishes.",
            {"Retry-After": "30"},
        )
    return snapshot


def refuse_more(name: str, number: int, most: int) -> None:
    """Refuse more than is allowed.

    Raises:
        HTTPException: 422.
    """
    if number > most:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} is at most {most}, and {number} was asked for."
        )


def answer(snapshot: Snapshot, members: bytes) -> Response:
    """An answer with some members, and those that tell its origin."""
    return Response(b"{%b,%b}" % (members, origin_json(snapshot)), media_type=MEDIA_TYPE)


def errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer, for the OpenAPI document; those of every route included."""
    return {
        code: {"model": Problem, "description": HTTPStatus(code).phrase}
        for code in sorted({401, 503, *codes})
    }
