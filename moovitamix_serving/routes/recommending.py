"""Routes for users and sessions: what to play next.

Which tracks is decided in `generation/snapshot.py`.
"""

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from moovitamix_assets.recommendations.publishing.layout import ArmName
from moovitamix_assets.serving_settings import ServingSettings
from moovitamix_serving.generation.answers import objects, ranking_json, user_json
from moovitamix_serving.metrics import Metrics
from moovitamix_serving.routes.documented import (
    Id,
    SessionRequest,
    TracksAnswer,
    UserAnswer,
    UsersAnswer,
    UsersRequest,
)
from moovitamix_serving.routes.requests import answer, errors, refuse_more, snapshot_of

_ARM: ArmName = "champion"


def recommending_routes(settings: ServingSettings, metrics: Metrics) -> APIRouter:
    """The routes, with the limits of a deployment."""
    routes = APIRouter(prefix="/v1", tags=["recommendations"])
    most, batch = settings.serving_maximum_length, settings.serving_maximum_batch

    @routes.get(
        "/recommendations/{user_id}",
        response_model=UserAnswer,
        responses=errors(422),
        summary="Recommendations of a user",
    )
    async def recommend(
        request: Request,
        user_id: Annotated[Id, Path(description="As in the source.")],
        k: Annotated[int, Query(ge=1, le=most, description="Tracks; no more than were published.")] = 10,
        reasons: Annotated[bool, Query(description="Say why each track is recommended.")] = False,
    ) -> Response:
        """A user who is not known gets popular tracks, with the source `cold_start`."""
        snapshot = snapshot_of(request)
        ranking = snapshot.recommend(user_id, k, time.time(), _ARM)
        metrics.count_ranking(ranking, _ARM)
        return answer(snapshot, user_json(snapshot, user_id, ranking, reasons=reasons))

    @routes.post(
        "/recommendations",
        response_model=UsersAnswer,
        responses=errors(400, 413, 422),
        summary="Of several users",
    )
    async def recommend_many(request: Request, wanted: UsersRequest) -> Response:
        """One answer per id, in the order of the ids."""
        snapshot = snapshot_of(request)
        refuse_more("The number of user_ids", len(wanted.user_ids), batch)
        refuse_more("k", wanted.k, most)
        now, users = time.time(), []
        for user_id in wanted.user_ids:
            ranking = snapshot.recommend(user_id, wanted.k, now, _ARM)
            metrics.count_ranking(ranking, _ARM)
            users.append(user_json(snapshot, user_id, ranking, reasons=wanted.reasons))
        return answer(snapshot, b'"users":' + objects(users))

    @routes.post(
        "/sessions/recommendations",
        response_model=TracksAnswer,
        responses=errors(400, 413, 422),
        summary="For a session of tracks",
    )
    async def recommend_for_session(request: Request, wanted: SessionRequest) -> Response:
        """For whoever just played these tracks; ids that are not known are ignored, and nothing is stored."""
        snapshot = snapshot_of(request)
        refuse_more("The number of track_ids", len(wanted.track_ids), batch)
        refuse_more("k", wanted.k, most)
        ranking = snapshot.recommend_for_session(wanted.track_ids, wanted.k, time.time())
        metrics.count_ranking(ranking, _ARM)
        return answer(snapshot, ranking_json(snapshot, ranking, reasons=wanted.reasons))

    return routes
