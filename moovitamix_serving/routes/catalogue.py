"""Routes for the catalogue: similar, popular and new tracks, the same for everyone.

Which tracks is decided in `generation/snapshot.py`.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.exceptions import HTTPException

from moovitamix_assets.serving_settings import ServingSettings
from moovitamix_serving.generation.answers import ranking_json
from moovitamix_serving.routes.documented import Id, TracksAnswer
from moovitamix_serving.routes.requests import answer, errors, snapshot_of


def catalogue_routes(settings: ServingSettings) -> APIRouter:
    """The routes, with the limits of a deployment."""
    routes = APIRouter(prefix="/v1", tags=["catalogue"])
    most = settings.serving_maximum_length

    @routes.get(
        "/tracks/{track_id}/similar",
        response_model=TracksAnswer,
        responses=errors(404, 422),
        summary="Similar tracks",
    )
    async def similar(
        request: Request,
        track_id: Annotated[Id, Path(description="As in the source.")],
        k: Annotated[int, Query(ge=1, le=most)] = 10,
    ) -> Response:
        """The nearest by the champion's vectors; popular ones of its genre for a track that is newer than these."""
        snapshot = snapshot_of(request)
        ranking = snapshot.similar(track_id, k)
        if ranking is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"Track {track_id} is not in the catalogue.")
        return answer(snapshot, ranking_json(snapshot, ranking, reasons=False))

    @routes.get("/popular", response_model=TracksAnswer, responses=errors(404, 422), summary="Popular tracks")
    async def popular(
        request: Request,
        k: Annotated[int, Query(ge=1, le=most)] = 10,
        genre: Annotated[
            str | None, Query(max_length=100, description="In any case.", examples=["Rock"])
        ] = None,
    ) -> Response:
        """The most played of the last days, of all tracks or of a genre."""
        snapshot = snapshot_of(request)
        if genre is not None and not snapshot.knows_genre(genre):
            known = ", ".join(snapshot.manifest.genres)
            raise HTTPException(HTTPStatus.NOT_FOUND, f"No track is of that genre; there are: {known}.")
        return answer(snapshot, ranking_json(snapshot, snapshot.popular(k, genre), reasons=False))

    @routes.get("/new", response_model=TracksAnswer, responses=errors(422), summary="New tracks")
    async def new(request: Request, k: Annotated[int, Query(ge=1, le=most)] = 10) -> Response:
        """The tracks that came last, newest first."""
        snapshot = snapshot_of(request)
        return answer(snapshot, ranking_json(snapshot, snapshot.newest(k), reasons=False))

    return routes
