"""A server on loopback whose answers never end, a byte at a time: what a timeout between two bytes cannot notice.

No assertion belongs here.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Drip = Literal["silence", "headers", "body", "body_without_length", "refusal"]

BYTE_SECONDS = 0.02
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_NO_DOCUMENT = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_BEGINNINGS = {
    "silence": b"",
    "headers": b"HTTP/1.1 200 OK\r\nX-Endless: ",
    "body": _HEAD + b"Content-Length: 1000000\r\n\r\n",
    "body_without_length": _HEAD + b"Connection: close\r\n\r\n",
    "refusal": b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000000\r\n\r\n",
}


class DrippingSource:
    """Where it listens, and what became of those who asked.

    Attributes:
        url: Its address.
        asked: Set once somebody waits for an answer.
        left: Released once for each who gave up.
    """

    def __init__(self, listener: socket.socket, drip: Drip, undocumented: bool) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.asked = threading.Event()
        self.left = threading.Semaphore(0)
        self.over = threading.Event()
        self._listener, self._drip, self._undocumented = listener, drip, undocumented

    def serve(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                if b"openapi.json" in connection.recv(65536) and self._undocumented:
                    connection.sendall(_NO_DOCUMENT)
                    connection.recv(65536)
                self.asked.set()
                connection.sendall(_BEGINNINGS[self._drip])
                connection.settimeout(BYTE_SECONDS)
                while not self.over.is_set():
                    try:
                        if not connection.recv(1):
                            break
                    except TimeoutError:
                        connection.sendall(b" " if self._drip != "silence" else b"")
            except OSError:
                pass
        self.left.release()


@contextmanager
def dripping(drip: Drip, undocumented: bool = False) -> Iterator[DrippingSource]:
    """Serve until the block ends; `undocumented` refuses the OpenAPI document at once, and drips pages only."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = DrippingSource(listener, drip, undocumented)
        threading.Thread(target=source.serve, daemon=True).start()
        yield source
        source.over.set()
        listener.shutdown(socket.SHUT_RDWR)
