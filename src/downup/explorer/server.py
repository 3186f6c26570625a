"""A server for one reader on this machine: it offers the page, and, given a network, what the network says of a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from downup.errors import DownupError
from downup.explorer.files import FILES, read_file

# The page may run its own scripts and the kernels, and nothing may be loaded from elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MOST_UPLOADED = 32 << 20

# What answers a request: the body that was sent -> type and contents.
Answer = Callable[[bytes], tuple[str, bytes]]


class Server(ThreadingHTTPServer):
    """Offers the page on 127.0.0.1 only.

    Args:
        port: where to listen; 0 for any that is free.
        answers: by path, what else is answered; a path of "POST /..." takes a body.
    """

    daemon_threads = True

    def __init__(self, port: int = 0, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        super().__init__(("127.0.0.1", port), _Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a reader who left before the answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Where the page is found."""
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "downup"
    sys_version = ""
    timeout = 60  # a client that stops sending is let go

    def do_GET(self) -> None:
        if not self._is_ours():
            return
        path = urlsplit(self.path).path.removeprefix("/") or "index.html"
        answer = self.server.answers.get(f"GET /{path}")
        if path in FILES:
            contents = read_file(path)
            if path == "index.html" and self.server.answers:  # tells the page to ask for the network
                contents = contents.replace(b"<html ", b"<html data-network ", 1)
            self._send(HTTPStatus.OK, FILES[path], contents)
        elif answer:
            self._answer(answer, b"")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        if not self._is_ours():
            return
        answer = self.server.answers.get(f"POST {urlsplit(self.path).path}")
        if not answer:
            return self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return self._refuse(HTTPStatus.LENGTH_REQUIRED, "send the picture with its length")
        if int(length) > MOST_UPLOADED:
            limit = MOST_UPLOADED >> 20
            return self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the file is larger than {limit} MiB; use a smaller picture",
            )
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return self._refuse(HTTPStatus.BAD_REQUEST, "the file did not arrive whole")
        return self._answer(answer, body)

    def _is_ours(self) -> bool:
        """Whether the request comes from the page: another site may send some under its name, or from its pages."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host not in self.server.hosts or (
            origin is not None and origin not in {f"http://{name}" for name in self.server.hosts}
        ):
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers its own page on this machine only")
            return False
        return True

    def _answer(self, answer: Answer, body: bytes) -> None:
        try:
            kind, contents = answer(body)
        except DownupError as error:
            return self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except MemoryError:
            return self._refuse(
                HTTPStatus.INSUFFICIENT_STORAGE, "the picture is too large for the memory of this machine"
            )
        return self._send(HTTPStatus.OK, kind, contents)

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self.close_connection = True
        self._send(status, "text/plain; charset=utf-8", sentence.encode())

    def _send(self, status: HTTPStatus, kind: str, contents: bytes) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(contents))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(contents)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: the reader's terminal is theirs."""
