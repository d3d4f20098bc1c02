"""The faults between the source and its reader, on a seeded share of the requests for data.

It sits around the app as ASGI middleware and knows nothing of records. Faults are drawn in the order in which
requests arrive, so a run is repeatable as long as its reader asks in the same order.
Dropping a connection needs the socket, which the protocol of `server.py` hands over in the request's scope.
"""

import asyncio
import random
from typing import Any, Protocol, cast
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mock_api.settings import ENDPOINTS, MockApiSettings

TRANSPORT_EXTENSION = "mock_api.transport"
MOST_TOTAL_SHIFT = 3
HTML_PAGE = "<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>"


class ConnectionDroppedError(ConnectionError):
    """Stands for a closed connection where there is no socket to close, as under a test client."""


class Transport(Protocol):
    """The part of a transport that a fault uses."""

    def abort(self) -> None:
        """Close at once."""

    def close(self) -> None:
        """Close once what was written is sent."""


class FaultInjector:
    """Passes requests on to the app, and makes some of them fail as the settings say."""

    def __init__(self, app: ASGIApp, settings: MockApiSettings) -> None:
        self._app = app
        self._settings = settings
        self._random = random.Random(settings.seed)
        self._to_fail_once = set(settings.fault_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].strip("/") not in ENDPOINTS:
            await self._app(scope, receive, send)
            return
        asked = scope["path"].strip("/"), _page_of(scope)
        fault, late, shift = self._draw(asked)
        if late:
            await asyncio.sleep(self._settings.fault_latency_seconds)
        answer = self._answer_instead(fault)
        if answer is not None:
            await answer(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        state["fault"] = fault
        if fault == "moving_total":
            state["total_shift"] = shift
        state["records_of_page_before"] = asked in self._settings.fault_repeated_page
        state["total_halved"] = asked[0] in self._settings.fault_halved_total
        if fault in ("dropped_connection", "truncated_body"):
            await self._break_off(scope, receive, send, sent_share=0.5 if fault == "truncated_body" else 0.0)
        else:
            await self._app(scope, receive, send)

    def _draw(self, asked: tuple[str, int]) -> tuple[str | None, bool, int]:
        """The fault of this request, whether it is answered late, and how far its total moves.

        Three numbers are drawn for every request, so that one fault's share does not move the others'.
        """
        choice, latency, shift = self._random.random(), self._random.random(), self._random.random()
        late = latency < self._settings.fault_latency
        magnitude = 1 + int(shift * 2 * MOST_TOTAL_SHIFT) % MOST_TOTAL_SHIFT
        signed = magnitude if shift < 0.5 else -magnitude
        if asked in self._settings.fault_always:
            return "unavailable", late, signed
        if asked in self._to_fail_once:
            self._to_fail_once.remove(asked)
            return "unavailable", late, signed
        for fault, share in self._settings.exclusive_faults.items():
            if choice < share:
                return fault, late, signed
            choice -= share
        return None, late, signed

    def _answer_instead(self, fault: str | None) -> Response | None:
        if fault == "too_many_requests":
            retry_after = str(self._settings.fault_retry_after_seconds)
            return JSONResponse({"detail": "Too Many Requests"}, 429, headers={"Retry-After": retry_after})
        if fault == "server_error":
            return PlainTextResponse("Internal Server Error", 500)
        if fault == "unavailable":
            return JSONResponse({"detail": "Service Unavailable"}, 503)
        if fault == "html":
            return HTMLResponse(HTML_PAGE)
        return None

    async def _break_off(self, scope: Scope, receive: Receive, send: Send, sent_share: float) -> None:
        """Let the app answer, send the head and a share of the body (0: nothing at all), and close the connection."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        if sent_share:
            await send(messages[0])
            part = body[: int(len(body) * sent_share)]
            await send({"type": "http.response.body", "body": part, "more_body": True})
        transport = cast(Transport | None, scope.get("extensions", {}).get(TRANSPORT_EXTENSION))
        if transport is None:
            raise ConnectionDroppedError("the connection was dropped on purpose")
        if sent_share:
            transport.close()
        else:
            transport.abort()
        # The server treats an answer that ends early as an error, unless it saw the connection close.
        while (await receive())["type"] != "http.disconnect":
            pass


def _page_of(scope: Scope) -> int:
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("page", ["1"])[-1]
    return int(asked) if asked.isdecimal() else 0
