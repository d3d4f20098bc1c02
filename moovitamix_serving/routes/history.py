"""Routes about the service's own past: the model in use, quality, drift and data quality, as they were published."""

from datetime import date, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from moovitamix_serving.generation.snapshot import Snapshot
from moovitamix_serving.routes.documented import DaysAnswer, ModelAnswer
from moovitamix_serving.routes.requests import answer, errors, snapshot_of

Days = Annotated[int, Query(ge=1, le=365, description="The last so many days.")]


def history_routes() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["model and data"])

    @routes.get("/model", response_model=ModelAnswer, responses=errors(), summary="The model in use")
    async def model(request: Request) -> Response:
        """Which version serves, since when and why, what it measured, and all decisions, oldest first."""
        snapshot = snapshot_of(request)
        history = snapshot.publication.history
        return answer(snapshot, orjson.dumps({name: history[name] for name in ("model", "promotions")})[1:-1])

    @routes.get("/quality", response_model=DaysAnswer, responses=errors(422), summary="Quality over time")
    async def quality(request: Request, days: Days = 30) -> Response:
        """Rows of `recommendation_quality`: what was recommended a day earlier, measured on the day's plays."""
        return _rows(snapshot_of(request), "quality", days)

    @routes.get("/drift", response_model=DaysAnswer, responses=errors(422), summary="Drift over time")
    async def drift(request: Request, days: Days = 30) -> Response:
        """Rows of `drift`: how far each day was from what the champion learned from."""
        return _rows(snapshot_of(request), "drift", days)

    @routes.get(
        "/data-quality", response_model=DaysAnswer, responses=errors(422), summary="Data quality over time"
    )
    async def data_quality(request: Request, days: Days = 30) -> Response:
        """Records received, accepted and rejected by day and table, with the number of each reason."""
        return _rows(snapshot_of(request), "data_quality", days)

    return routes


def _rows(snapshot: Snapshot, name: str, days: int) -> Response:
    first = (date.fromisoformat(snapshot.manifest.generated_for) - timedelta(days=days - 1)).isoformat()
    rows: list[dict[str, Any]] = [row for row in snapshot.publication.history[name] if row["day"] >= first]
    return answer(snapshot, b'"rows":' + orjson.dumps(rows))
