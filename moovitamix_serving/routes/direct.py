"""The plain request for a user's recommendations, answered without FastAPI's handling of parameters.

That handling takes several times as long as the answer itself. Only the plain form is answered here, with the bytes of
the documented route in `recommending.py`; all else, wrong values included, goes on to it.
"""

import re
import time
from types import SimpleNamespace

from starlette.types import ASGIApp, Receive, Scope, Send

from moovitamix_assets.recommendations.publishing.layout import ArmName
from moovitamix_serving.generation.answers import origin_json, user_json
from moovitamix_serving.generation.snapshot import Snapshot
from moovitamix_serving.metrics import Metrics

# No more digits than surely fit into an id, and none that another spelling has too.
_PATH = re.compile(r"/v1/recommendations/(0|[1-9][0-9]{0,17})")
_QUERY = re.compile(rb"(?:k=([1-9][0-9]{0,3}))?")
_ROUTE = SimpleNamespace(path="/v1/recommendations/{user_id}")
_USUAL = 10
_ARM: ArmName = "champion"


class DirectAnswers:
    """Wraps the application, inside the guard."""

    def __init__(self, app: ASGIApp, metrics: Metrics, most: int) -> None:
        """Answer in place of an application where the request is plain.

        Args:
            app: The application.
            metrics: Where rankings are counted.
            most: Greatest `k`.
        """
        self._app, self._metrics, self._most = app, metrics, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and scope["method"] == "GET":
            path, query = _PATH.fullmatch(scope["path"]), _QUERY.fullmatch(scope["query_string"])
            snapshot: Snapshot | None = scope["state"]["snapshot"]
            if path is not None and query is not None and snapshot is not None:
                k = int(query[1] or _USUAL)
                if k <= self._most:
                    scope["route"] = _ROUTE
                    await _send(send, self._body(snapshot, int(path[1]), k))
                    return
        await self._app(scope, receive, send)

    def _body(self, snapshot: Snapshot, user_id: int, k: int) -> bytes:
        ranking = snapshot.recommend(user_id, k, time.time(), _ARM)
        self._metrics.count_ranking(ranking, _ARM)
        members = user_json(snapshot, user_id, ranking, reasons=False)
        return b"{%b,%b}" % (members, origin_json(snapshot))


async def _send(send: Send, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
