"""Errors as `application/problem+json` (RFC 9457): one form for all of them.

Which error is raised where is the affair of routes and guards.
"""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """An answer that says what is wrong, and what to do about it."""
    title = HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(orjson.dumps(content), status, headers=headers, media_type=MEDIA_TYPE)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """The answer to an error that a route raised, or that no route matched."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, str(error.detail), headers)


async def answer_invalid(request: Request, error: Exception) -> Response:
    """The answer to a request of another form: each place with what is wrong there, without what was given."""
    assert isinstance(error, RequestValidationError)
    found = [
        {"place": [str(part) for part in each["loc"]], "message": each["msg"]} for each in error.errors()
    ]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not of the documented form.", errors=found
    )
