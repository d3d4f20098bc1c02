"""The one layer around all routes: snapshot, key, size of the body, headers, metrics.

One ASGI layer in place of several: each costs as much as an answer. It also turns an unforeseen error into a problem.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moovitamix_serving.access.keys import ApiKeys
from moovitamix_serving.access.problems import problem
from moovitamix_serving.generation.watching import Served
from moovitamix_serving.metrics import Metrics

OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/openapi.json", "/docs"})
"""Nothing about users or models is behind these, and those who ask have no key."""

_BEARER = b"bearer "
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_CONTENT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
# Swagger's page is made of scripts.
_WITH_SCRIPTS = "/docs"

_log = logging.getLogger(__name__)


class Guard:
    """Wraps the application."""

    def __init__(
        self, app: ASGIApp, served: Served, keys: ApiKeys, metrics: Metrics, most_bytes: int
    ) -> None:
        """Guard an application.

        Args:
            app: The application.
            served: Where each request takes its snapshot from, once.
            keys: Which keys are accepted.
            metrics: Where requests are counted.
            most_bytes: A longer body is refused.
        """
        self._app, self._served, self._keys, self._metrics = app, served, keys, metrics
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        snapshot = self._served.snapshot
        scope.setdefault("state", {})["snapshot"] = snapshot
        more = [*_HEADERS] if scope["path"] == _WITH_SCRIPTS else [*_HEADERS, _CONTENT_POLICY]
        if snapshot is not None:
            more += [
                (b"x-model-version", snapshot.manifest.model_version.encode()),
                (b"x-generation", snapshot.name.encode()),
            ]
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        refused = self._refusal(scope)
        if refused is None and scope["method"] not in ("GET", "HEAD"):
            refused, receive = await self._with_body(scope, receive)
        try:
            await (refused or self._app)(scope, receive, send_with_headers)
        except Exception:
            _log.exception("%s %s failed.", scope["method"], getattr(scope.get("route"), "path", "a request"))
            if status:
                raise
            failed = problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "This is a defect of the service: see its log."
            )
            await failed(scope, receive, send_with_headers)
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.count_request(route, status, time.perf_counter() - begun)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request without a key that is known, where one is needed; None for all others."""
        if not self._keys or scope["path"] in OPEN_PATHS:
            return None
        for name, value in scope["headers"]:
            if name == b"authorization":
                allowed = self._keys.scope_of(value[len(_BEARER) :]) if value[:7].lower() == _BEARER else None
                if allowed is not None:
                    scope["state"]["scope"] = allowed
                    return None
        return problem(
            HTTPStatus.UNAUTHORIZED,
            "Send a key that is known: `Authorization: Bearer <key>`.",
            {"WWW-Authenticate": "Bearer"},
        )

    async def _with_body(
        self, scope: Scope, receive: Receive
    ) -> tuple[Response | None, Callable[[], Awaitable[Message]]]:
        """Read the body up to the limit; what was read is handed on."""
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        parts: list[bytes] = []
        total = int(length) if length.isdigit() else 0
        more = total <= self._most_bytes
        while more and total <= self._most_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None, receive
            parts.append(message.get("body", b""))
            total, more = sum(map(len, parts)), message.get("more_body", False)
        if total > self._most_bytes:
            limit = f"The body is longer than {self._most_bytes} bytes: ask in several requests."
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, limit, {"Connection": "close"}), receive
        return None, _replay(b"".join(parts), receive)


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A body that was read, once; then whatever comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
