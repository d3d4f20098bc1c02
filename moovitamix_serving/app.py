"""The application: routes, guard and errors put together, and its OpenAPI document.

Assembly only. Starting a server is in `server.py`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from foundation.publishing.generations import Generations
from moovitamix_assets.serving_settings import ServingSettings
from moovitamix_serving.access.guarding import OPEN_PATHS, Guard
from moovitamix_serving.access.keys import ApiKeys
from moovitamix_serving.access.problems import MEDIA_TYPE, answer_http_error, answer_invalid
from moovitamix_serving.generation.watching import Served
from moovitamix_serving.metrics import Metrics
from moovitamix_serving.routes.catalogue import catalogue_routes
from moovitamix_serving.routes.direct import DirectAnswers
from moovitamix_serving.routes.health import health_routes
from moovitamix_serving.routes.history import history_routes
from moovitamix_serving.routes.recommending import recommending_routes

_DESCRIPTION = (
    "Hands out what was published: recommendations, popular, similar and new tracks, and the history of the model. "
    "Every answer names its model version and generation."
)


def create_app(generations: Generations, settings: ServingSettings, keys: ApiKeys) -> FastAPI:
    """The application for one deployment.

    Args:
        generations: Where generations are published.
        settings: Limits, and how often a new generation is looked for.
        keys: Which keys are accepted; without any, all requests are.
    """
    served = Served(generations, settings.serving_watch_seconds)
    metrics = Metrics(served)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        served.open()
        try:
            yield
        finally:
            served.close()

    app = FastAPI(
        title="MooVitamix recommendations",
        version=metadata.version("moovitamix-assets"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        exception_handlers={HTTPException: answer_http_error, RequestValidationError: answer_invalid},
    )
    for routes in (
        recommending_routes(settings, metrics),
        catalogue_routes(settings),
        history_routes(),
        health_routes(metrics),
    ):
        app.include_router(routes)
    app.add_middleware(DirectAnswers, metrics=metrics, most=settings.serving_maximum_length)
    # Added last, so that it is the outermost.
    app.add_middleware(
        Guard, served=served, keys=keys, metrics=metrics, most_bytes=settings.serving_maximum_body_bytes
    )
    app.openapi = lambda: _document(app, keys=bool(keys))  # type: ignore[method-assign]
    return app


def _document(app: FastAPI, *, keys: bool) -> dict[str, Any]:
    """The OpenAPI document: errors are problems, and keys are needed where they are."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            if keys and path not in OPEN_PATHS:
                operation["security"] = [{"key": []}]
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if keys:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    app.openapi_schema = document
    return document
