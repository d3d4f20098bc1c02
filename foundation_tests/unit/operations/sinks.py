"""Somebody who takes alerts: a mail server and a webhook on this machine, kept to what the tests need."""

import email
import email.policy
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MailSession)
        self.mails: list[EmailMessage] = []


class _MailSession(socketserver.StreamRequestHandler):
    server: _MailServer

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline():
            match line.split()[0].upper():
                case b"EHLO":
                    self._say("250-here\r\n250 AUTH PLAIN")
                case b"AUTH":
                    self._say("235 welcome")
                case b"DATA":
                    self._say("354 go on")
                    self._take_mail()
                    self._say("250 taken")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 fine")

    def _take_mail(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        self.server.mails.append(cast(EmailMessage, mail))

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Webhook(ThreadingHTTPServer):
    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _WebhookCall)
        self.status = status
        self.calls: list[dict[str, Any]] = []


class _WebhookCall(BaseHTTPRequestHandler):
    server: _Webhook

    def do_POST(self) -> None:
        self.server.calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def mail_sink() -> Iterator[tuple[str, list[EmailMessage]]]:
    """The Apprise URL of a mail server, and the mails that it took."""
    with _MailServer() as server, _served(server):
        port = server.server_address[1]
        url = f"mailto://robot:s3cret@127.0.0.1:{port}?from=robot@example.org&to=a@example.org&mode=insecure"
        yield url, server.mails


@contextmanager
def webhook_sink(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The Apprise URL of a webhook that answers with a status, and what it was called with."""
    with _Webhook(status) as server, _served(server):
        yield f"json://127.0.0.1:{server.server_address[1]}/alerts?+x=1,2", server.calls


@contextmanager
def _served(server: socketserver.TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
