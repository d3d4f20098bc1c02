"""The source as the original serves it: fixed records, the recorded contract, and no filter unless it is asked for.

Records have the original's shape: ids from 1 to 100000 in no order, sessions of five tracks drawn uniformly, two
years of naive timestamps with six fraction digits, but for one that has none because its microseconds are zero.
"""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Records = dict[str, list[dict[str, Any]]]

_OPENAPI = Path(__file__).parents[1] / "unit" / "mock_api" / "recorded_openapi.json"
_YEARS = timedelta(days=730)
_GENDERS = [
    "Agender", "Bigender", "Female", "Gender nonconforming", "Gender questioning", "Genderfluid", "Genderqueer",
    "Male", "Non-binary",
]  # fmt: skip
_GENRES = [
    "Alternative", "Blues", "Classical", "Country", "Electronic", "Folk", "Funk", "Hip Hop", "Indie", "Jazz",
    "Metal", "Pop", "Punk", "R&B", "Reggae", "Rock", "Techno",
]  # fmt: skip


def original_records(clock: datetime, count: int = 1000, seed: int = 1) -> Records:
    """As many users, tracks and sessions as asked for, all older than the clock."""
    draw = random.Random(seed)
    user_ids, track_ids = (draw.sample(range(1, 100_001), count) for _ in range(2))
    emails = [f"person{number}@example.com" for number in range(count)]
    emails[-4:] = emails[:4]
    users = [
        {
            "id": user_id,
            "first_name": f"First{number}",
            "last_name": f"Last{number}",
            "email": email,
            "gender": draw.choice(_GENDERS),
            "favorite_genres": draw.choice(_GENRES),
            **_profile_times(draw, clock, updated_first=number % 4 == 0),
        }
        for number, (user_id, email) in enumerate(zip(user_ids, emails, strict=True))
    ]
    tracks = [
        {
            "id": track_id,
            "name": f"word{number}",
            "artist": f"Artist {number % 700}",
            "songwriters": f"Writer {number % 800}",
            "duration": f"{draw.randrange(60):02d}:{draw.randrange(2, 60):02d}",
            "genres": f"free{number % 600}",
            "album": f"album{number % 500}",
            **_profile_times(draw, clock, updated_first=number % 4 == 1),
        }
        for number, track_id in enumerate(track_ids)
    ]
    sessions = [
        {"user_id": user_id, "items": draw.sample(track_ids, 5), **_times(draw, clock)}
        for user_id in user_ids
    ]
    if users:
        # The moment that counts for its partition, on a whole second: it is written without a fraction.
        users[2]["updated_at"] = (clock - timedelta(hours=7)).replace(microsecond=0).isoformat()
    return {"users": users, "tracks": tracks, "listen_history": sessions}


def _times(draw: random.Random, clock: datetime) -> dict[str, str]:
    created = clock - _YEARS * draw.random()
    updated = created + (clock - created) * draw.random()
    return {"created_at": _text(created), "updated_at": _text(updated)}


def _profile_times(draw: random.Random, clock: datetime, updated_first: bool) -> dict[str, str]:
    times = _times(draw, clock)
    if updated_first:
        times = {"created_at": times["updated_at"], "updated_at": times["created_at"]}
    return times


def _text(moment: datetime) -> str:
    # Never a whole second by chance: there is one, and it is put there.
    return moment.replace(microsecond=moment.microsecond or 1).isoformat()


@contextmanager
def serving(records: Records, filtering: bool = False) -> Iterator[str]:
    """Serve records by the original's contract on loopback; yields the URL.

    Args:
        records: By endpoint; what is changed in them is served from then on.
        filtering: Whether it filters by change time, and says so. Undated records come without a lower bound only.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, records, filtering))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, records: Records, filtering: bool, *arguments: Any) -> None:
        self._records = records
        self._filtering = filtering
        super().__init__(*arguments)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        endpoint = url.path.removeprefix("/")
        if url.path == "/openapi.json":
            self._answer(200, _document(self._filtering))
        elif endpoint not in self._records:
            self._answer(404, {"detail": "Not Found"})
        else:
            # Whatever else stands in the query is ignored, as the original does.
            query = dict(parse_qsl(url.query))
            page, size = int(query.get("page", 1)), int(query.get("size", 100))
            shown = self._records[endpoint]
            if self._filtering and "updated_before" in query:
                since, before = query.get("updated_since", ""), query["updated_before"]
                shown = [record for record in shown if since <= _changed(record) < before]
            self._answer(*_page(shown, page, size))

    def _answer(self, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def _document(filtering: bool) -> Any:
    document = json.loads(_OPENAPI.read_text())
    if filtering:
        for path in document["paths"].values():
            listed = path["get"].setdefault("parameters", [])
            listed += [{"name": name, "in": "query"} for name in ("updated_since", "updated_before")]
    return document


def _changed(record: dict[str, Any]) -> str:
    """When a record changed, as text, which sorts as time does; empty where no time is a text."""
    return max(
        (time for time in (record["created_at"], record["updated_at"]) if isinstance(time, str)), default=""
    )


def _page(records: list[dict[str, Any]], page: int, size: int) -> tuple[int, Any]:
    if page < 1 or not 1 <= size <= 100:
        return 422, {"detail": [{"type": "value_error", "loc": ["query"], "msg": "out of range"}]}
    items = records[(page - 1) * size : page * size]
    total = len(records)
    return 200, {"items": items, "total": total, "page": page, "size": size, "pages": -(-total // size)}
