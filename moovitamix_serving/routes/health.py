"""Routes for those who run the service: is it alive, is it ready, and its metrics."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from moovitamix_serving.metrics import Metrics
from moovitamix_serving.routes.documented import State
from moovitamix_serving.routes.requests import errors, snapshot_of


def health_routes(metrics: Metrics) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["health"])

    @routes.get("/health/live", summary="Alive")
    async def live() -> State:
        """The process answers."""
        return State(state="live")

    @routes.get("/health/ready", responses=errors(), summary="Ready")
    async def ready(request: Request) -> State:
        """A generation is mapped, verified and warmed up; 503 until then."""
        snapshot_of(request)
        return State(state="ready")

    @routes.get("/metrics", response_class=Response, responses=errors(), summary="Metrics for Prometheus")
    async def show_metrics() -> Response:
        """Requests, their time, what was served, and the generation it is from."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
