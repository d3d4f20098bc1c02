"""Connections that another thread can cut, so that no request lasts longer than it may.

A timeout of the socket does not suffice: it restarts with each byte. Here are sockets and the hooks of requests
and urllib3; when to cut is decided in http_session.py.
"""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class Lifeline:
    """The sockets of one thread, which makes one request at a time; cut, every read from them ends at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._request = 0
        self._cut = False

    @property
    def was_cut(self) -> bool:
        """Return whether the newest request was cut."""
        return self._cut

    def begin(self) -> int:
        """Begin the next request, and return its number."""
        with self._lock:
            self._request += 1
            self._cut = False
            return self._request

    def hold(self, opened: socket.socket) -> None:
        """Remember a socket for as long as it lives."""
        with self._lock:
            self._sockets.add(opened)
            if self._cut:
                _shut(opened)

    def cut(self, request: int) -> None:
        """Cut a request, unless another one has begun since."""
        with self._lock:
            if request == self._request:
                self._cut = True
                for opened in self._sockets:
                    _shut(opened)


def open_session(lifeline: Lifeline, headers: Mapping[str, str]) -> requests.Session:
    """A session whose connections can all be cut by a lifeline.

    Args:
        lifeline: Of the thread.
        headers: Secret ones, sent to the server asked and to no other one that it redirects to.
    """
    session = _DiscreetSession()
    session.headers.update(headers)
    session.secret_headers = frozenset(headers)
    for prefix in ("http://", "https://"):
        session.mount(prefix, _CuttableAdapter(lifeline))
    return session


def _shut(opened: socket.socket) -> None:
    # A socket that is closed, or that the other side has left, needs nothing. Not SSLSocket's own method, which would
    # remove the encryption while another thread reads.
    with suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


class _DiscreetSession(requests.Session):
    """Keeps secret headers from other servers; requests does so for `Authorization` alone.

    Attributes:
        secret_headers: Their names.
    """

    secret_headers: frozenset[str] = frozenset()

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        original, target = response.request.url, prepared_request.url
        if self.secret_headers and (not original or not target or self.should_strip_auth(original, target)):  # type: ignore[no-untyped-call]
            for name in self.secret_headers:
                prepared_request.headers.pop(name, None)
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]


class _CuttableAdapter(HTTPAdapter):
    def __init__(self, lifeline: Lifeline) -> None:
        self._pools = _pools(lifeline)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(lifeline: Lifeline) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Cuttable, HTTPConnection):
        line = lifeline

    class Encrypted(_Cuttable, HTTPSConnection):
        line = lifeline

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


class _Cuttable(HTTPConnection):
    """The additions to urllib3's connections."""

    line: Lifeline
    _handshaking: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        opened: socket.socket = super()._new_conn()
        # TLS takes the socket's place before its handshake is done, and a handshake can drip as well.
        self._handshaking = opened.dup()
        self.line.hold(self._handshaking)
        return opened

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            if self._handshaking is not None:
                self._handshaking.close()
        if self.sock is not None:
            self.line.hold(self.sock)
