"""A small real HTTP server on loopback that speaks the source's contract and misbehaves as scripted.

What is tested against it is in test_source_api.py, test_paging.py and test_source_faults.py; no assertion belongs here.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from moovitamix_assets.ingestion.client.pull import Pull
from moovitamix_assets.ingestion.client.source_api import SourceApi

ENDPOINTS = ("users", "tracks", "listen_history")
FIRST = datetime(2026, 9, 1)
FAR = datetime(2030, 1, 1)


def openapi(
    *filtered: str, parameters: tuple[str, ...] = ("updated_since", "updated_before")
) -> dict[str, Any]:
    """An OpenAPI document in which the endpoints `filtered` list the filters."""
    paths = {
        f"/{endpoint}": {
            "get": {
                "parameters": [
                    {"name": name, "in": "query"}
                    for name in ("page", "size", *(parameters if endpoint in filtered else ()))
                ]
            }
        }
        for endpoint in ENDPOINTS
    }
    return {"openapi": "3.1.0", "info": {"title": "MooVitamix", "version": "1.1"}, "paths": paths}


class ScriptedSource:
    """The state of the server; tests change it between and within pulls.

    Attributes:
        records: Of each endpoint, in order.
        largest_page: A larger `size` is cut down to it.
        document: The OpenAPI document; None answers 404.
        faults: For (endpoint, page) what the next requests get instead of the page; see `_Handler`.
        always: The same, for every request.
        change: Alters an envelope before it is sent; gets it and the number of the request for that page.
        dated: The `Date` header of every answer; None sends none.
        filtering: Whether the filters that the document lists work.
        asked: The path and query of every request.
        authorizations: The `Authorization` header of every request.
        api_keys: The `X-Api-Key` header of every request.
        connections: Number of connections opened.
    """

    def __init__(self) -> None:
        self.url = ""
        self.release = threading.Event()
        self.reset()

    def reset(self) -> None:
        self.records: dict[str, list[Any]] = {endpoint: [] for endpoint in ENDPOINTS}
        self.largest_page = 100
        self.document: dict[str, Any] | None = None
        self.faults: dict[tuple[str, int], list[Any]] = defaultdict(list)
        self.always: dict[tuple[str, int], Any] = {}
        self.change: Callable[[dict[str, Any], int], object] = lambda envelope, visit: envelope
        self.dated: str | None = None
        self.filtering = True
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.authorizations: list[str | None] = []
        self.api_keys: list[str | None] = []
        self.connections = 0
        self.visits: dict[tuple[str, int], int] = defaultdict(int)

    def pages_asked(self, endpoint: str) -> list[int]:
        return [int(query["page"]) for path, query in self.asked if path == f"/{endpoint}"]

    def page(self, endpoint: str, query: dict[str, str]) -> object:
        number, size = int(query["page"]), min(int(query["size"]), self.largest_page)
        records = self.records[endpoint]
        if self.document is not None and self.filtering and "updated_before" in query:
            low, high = query.get("updated_since", ""), query["updated_before"]
            records = [r for r in records if low <= max(r["created_at"], r["updated_at"]) < high]
        envelope = {
            "items": records[(number - 1) * size : number * size],
            "total": len(records),
            "page": number,
            "size": size,
            "pages": -(-len(records) // size),
        }
        self.visits[endpoint, number] += 1
        return self.change(envelope, self.visits[endpoint, number])


class _Handler(BaseHTTPRequestHandler):
    """A fault is a word (see the branches), a status, or a (status, headers) pair, or (200, headers, body)."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    server: "_Server"

    def log_message(self, *_: object) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.server.source.connections += 1

    def do_GET(self) -> None:
        source, parts = self.server.source, urlsplit(self.path)
        query, endpoint = dict(parse_qsl(parts.query)), parts.path[1:]
        source.asked.append((parts.path, query))
        source.authorizations.append(self.headers.get("Authorization"))
        source.api_keys.append(self.headers.get("X-Api-Key"))
        key = (endpoint, int(query.get("page", 0)))
        pending = source.faults.get(key)
        fault = pending.pop(0) if pending else source.always.get(key)
        if fault is not None:
            self._misbehave(fault, query)
        elif endpoint == "openapi.json" and source.document is not None:
            self._send(200, json.dumps(source.document).encode())
        elif endpoint in ENDPOINTS:
            self._send(200, json.dumps(source.page(endpoint, query)).encode())
        else:
            self._send(404, b'{"detail": "Not Found"}')

    def _misbehave(self, fault: Any, query: dict[str, str]) -> None:
        if isinstance(fault, int):
            self._send(fault, b"<h1>no</h1>")
        elif isinstance(fault, tuple):
            self._send(fault[0], fault[2] if len(fault) > 2 else b"no", fault[1])
        else:
            endpoint = self.path[1:].split("?")[0]
            page = self.server.source.page(endpoint, query) if endpoint in ENDPOINTS else {}
            body = json.dumps(page).encode()
            self._break_off(fault, body)

    def _break_off(self, fault: str, body: bytes) -> None:
        self.close_connection = True
        if fault == "dropped":
            return
        if fault == "stalled":
            self.server.source.release.wait(5)
        elif fault == "stalled_body":
            self._send(200, body[:10], length=len(body))
            self.server.source.release.wait(5)
        elif fault == "truncated":
            self._send(200, body[: len(body) // 2], length=len(body))
        elif fault == "truncated_whole_json":
            self._send(200, body, length=len(body) + 100)
        else:
            raise ValueError(fault)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response_only(status)
        if self.server.source.dated is not None:
            self.send_header("Date", self.server.source.dated)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    source: ScriptedSource

    def handle_error(self, *_: object) -> None:
        """A client that hung up is no news."""


@contextmanager
def serving() -> Iterator[ScriptedSource]:
    """Serve a source until the block ends."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.source = ScriptedSource()
        server.source.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server.source
        server.source.release.set()
        server.shutdown()
        thread.join()


def users(count: int, first_id: int = 1) -> list[dict[str, Any]]:
    """Users who changed one hour apart; every other one was updated before being created."""
    rows = []
    for i in range(count):
        times = [(FIRST + timedelta(hours=i)).isoformat(), (FIRST - timedelta(days=9)).isoformat()]
        rows.append({"id": first_id + i, "created_at": times[i % 2], "updated_at": times[1 - i % 2]})
    return rows


def ids(pull: Pull) -> list[int]:
    """The ids of the records that a pull brought, in their order."""
    return [int(record.json.split('"id":')[1].split(",")[0]) for record in pull.records]


def client(source: ScriptedSource, **settings: Any) -> SourceApi:
    """A client that waits for nothing."""
    return SourceApi(source.url, **{"sleep": lambda _: None, "timeout_seconds": 5.0, **settings})
