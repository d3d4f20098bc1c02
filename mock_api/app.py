"""The contract of the source: routes, envelope, limits, errors and the two filters.

The records come from `simulation/world.py`, the faults on the way from `faults.py`. Answers are written as bytes,
so that a page costs no validation of what is known to be right.
"""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import RedirectResponse
from pydantic import AfterValidator, BaseModel, BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mock_api.clock import Clock
from mock_api.faults import FaultInjector
from mock_api.schemas import ListenHistoryOut, PageCustomized, TracksOut, UsersOut
from mock_api.served_log import ServedLog
from mock_api.settings import Endpoint, MockApiSettings
from mock_api.simulation.world import World

ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:$|[T ])")


def _only_iso_8601(value: object) -> object:
    # Pydantic would also take seconds since 1970, which the contract does not.
    if isinstance(value, str) and not ISO_DATE.match(value):
        raise PydanticCustomError(
            "datetime_from_date_parsing", "Input should be a valid datetime or date, not in ISO 8601"
        )
    return value


def _naive_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise PydanticCustomError(
            "datetime_range", "Input should be a moment of the years 1 to 9999 in UTC"
        ) from error


# Naive and UTC once read, whatever its offset was.
IsoMoment = Annotated[datetime, BeforeValidator(_only_iso_8601), AfterValidator(_naive_utc)]
Page = Annotated[int, Query(ge=1, description="Page number")]
Size = Annotated[int, Query(ge=1, le=100)]
Since = Annotated[IsoMoment | None, Query(description="Only records changed at or after this moment (UTC)")]
Before = Annotated[IsoMoment | None, Query(description="Only records changed before this moment (UTC)")]


class ClockSetting(BaseModel):
    """The time that the clock is set to."""

    now: IsoMoment


class PageWriter:
    """Writes the pages of a world at its clock's time."""

    def __init__(self, world: World, clock: Clock, log: ServedLog | None) -> None:
        self._world = world
        self._clock = clock
        self._log = log

    def write(
        self,
        request: Request,
        endpoint: Endpoint,
        page: int,
        size: int,
        since: datetime | None,
        before: datetime | None,
    ) -> Response:
        """Answer one request for a page."""
        shown = max(1, page - 1) if getattr(request.state, "records_of_page_before", False) else page
        records, total = self._world.records(endpoint, self._clock.now(), shown, size, since, before)
        total = max(0, total + getattr(request.state, "total_shift", 0))
        pages = -(-total // size)
        if getattr(request.state, "total_halved", False):
            total //= 2
        if self._log is not None:
            answer: dict[str, object] = {"endpoint": endpoint, "page": page, "size": size, "total": total}
            answer |= {"updated_since": since, "updated_before": before}
            self._log.write(answer | {"fault": getattr(request.state, "fault", None)}, records)
        envelope = f',"total":{total},"page":{page},"size":{size},"pages":{pages}}}'
        body = b'{"items":' + orjson.dumps(records) + envelope.encode()
        return Response(body, media_type="application/json")


class DateHeader:
    """Puts the time of the source's clock on every answer, as its `Date`."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                moment = self._clock.now().replace(tzinfo=UTC)
                MutableHeaders(scope=message)["Date"] = format_datetime(moment, usegmt=True)
            await send(message)

        await self._app(scope, receive, send_dated)


def create_app(settings: MockApiSettings) -> FastAPI:
    """Build the source over a fresh world, generated up to the current time."""
    clock = Clock(settings.now)
    world = World(settings)
    world.advance(clock.now().date())
    app = FastAPI(title="MooVitamix", description="A music recommendation system.", version="1.1")
    _add_routes(
        app, PageWriter(world, clock, ServedLog(settings.served_log) if settings.served_log else None)
    )
    _add_clock(app, clock, world)
    app.openapi = lambda: _openapi_document(app)  # type: ignore[method-assign]
    if settings.any_fault:
        app.add_middleware(FaultInjector, settings=settings)
    app.add_middleware(DateHeader, clock=clock)  # the outermost: answers made by a fault are dated too
    return app


def _add_routes(app: FastAPI, writer: PageWriter) -> None:
    @app.get("/", response_model=None)
    async def docs_redirect() -> RedirectResponse:
        return RedirectResponse("/docs")

    @app.get("/tracks", tags=["HTTP methods"], response_model=PageCustomized[TracksOut])
    async def get_tracks(
        request: Request,
        page: Page = 1,
        size: Size = 100,
        updated_since: Since = None,
        updated_before: Before = None,
    ) -> Response:
        return writer.write(request, "tracks", page, size, updated_since, updated_before)

    @app.get("/users", tags=["HTTP methods"], response_model=PageCustomized[UsersOut])
    async def get_users(
        request: Request,
        page: Page = 1,
        size: Size = 100,
        updated_since: Since = None,
        updated_before: Before = None,
    ) -> Response:
        return writer.write(request, "users", page, size, updated_since, updated_before)

    @app.get("/listen_history", tags=["HTTP methods"], response_model=PageCustomized[ListenHistoryOut])
    async def get_listen_history(
        request: Request,
        page: Page = 1,
        size: Size = 100,
        updated_since: Since = None,
        updated_before: Before = None,
    ) -> Response:
        return writer.write(request, "listen_history", page, size, updated_since, updated_before)


def _add_clock(app: FastAPI, clock: Clock, world: World) -> None:
    """The route outside the contract with which a test or a demonstration advances the time."""

    @app.post("/_clock", include_in_schema=False)
    async def set_clock(setting: ClockSetting) -> dict[str, datetime]:
        clock.set(setting.now)
        world.advance(clock.now().date())
        return {"now": clock.now()}

    @app.get("/_clock", include_in_schema=False)
    async def get_clock() -> dict[str, datetime]:
        return {"now": clock.now()}


def _openapi_document(app: FastAPI) -> dict[str, Any]:
    """The document as the original publishes it, which is older than this FastAPI, plus the two filters."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = document["components"]["schemas"]
        for later_addition in ("input", "ctx"):
            schemas["ValidationError"]["properties"].pop(later_addition, None)
        for schema in schemas.values():
            schema.pop("description", None)
        app.openapi_schema = document
    return app.openapi_schema
