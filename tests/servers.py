"""Real servers on loopback for the channels to meet: some that work, and some that break."""

import base64
import contextlib
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller

BREAK, HANG, DRIP = "break", "hang", "drip"

# With which webhooks are signed.
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()

# A hanging server lets go at the latest after so many seconds; every client gives up long before.
_PATIENCE = 5


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Mailbox:
    """aiosmtpd hands it whatever was accepted; `envelopes` in the order of arrival."""

    def __init__(self) -> None:
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 OK"


@contextlib.contextmanager
def mail_server(mailbox: Mailbox):
    """A mail server that accepts everything; yields its port."""
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@dataclass
class BadMailServer:
    """A mail server that answers by its script: a command of ACCEPT (MESSAGE is the end of the message) -> a
    reply, BREAK or HANG. `messages` holds those that it read to their end."""

    script: dict[str, str]
    messages: list[bytes] = field(default_factory=list)
    _let_go: threading.Event = field(default_factory=threading.Event)

    ACCEPT = {
        "GREETING": "220 hello",
        "EHLO": "250 hello",
        "HELO": "250 hello",
        "MAIL": "250 OK",
        "RCPT": "250 OK",
        "DATA": "354 go on",
        "MESSAGE": "250 OK",
        "RSET": "250 OK",
        "QUIT": "221 bye",
    }

    @contextlib.contextmanager
    def running(self):
        outer = self

        class Conversation(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError, _BrokenOff):
                    outer._converse(self.rfile, self.wfile)

        with _threaded(Conversation) as port:
            try:
                yield port
            finally:
                self._let_go.set()

    def _converse(self, lines, out) -> None:
        self._answer("GREETING", out)
        while line := lines.readline():
            command = line.split()[0].decode().upper()
            self._answer(command, out)
            if command == "DATA":
                message = []
                while (line := lines.readline()) not in (b".\r\n", b""):
                    message.append(line)
                if not line:
                    return  # broken off before its end
                self.messages.append(b"".join(message))
                self._answer("MESSAGE", out)

    def _answer(self, command: str, out) -> None:
        reply = self.script.get(command, self.ACCEPT[command])
        if reply == HANG:
            self._let_go.wait(_PATIENCE)
        if reply in (HANG, BREAK):
            raise _BrokenOff
        out.write(f"{reply}\r\n".encode())
        if not reply.startswith(("2", "354")) and command in ("DATA", "MESSAGE"):
            raise _BrokenOff


class _BrokenOff(Exception):
    pass


@dataclass
class Receiver:
    """An HTTP receiver. `answer` is a status, BREAK, HANG or DRIP (it answers a letter at a time, for ever);
    `requests` holds (path, headers, body) of each request that it read to its end, `came_at` when, by the
    monotonic clock. With `tls` it speaks https."""

    answer: int | str = 200
    headers: dict[str, str] = field(default_factory=dict)
    says: bytes = b""
    tls: ssl.SSLContext | None = None
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    came_at: list[float] = field(default_factory=list)
    _let_go: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self):
        """Yields the address to post to."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), body))
                outer.came_at.append(time.monotonic())
                outer.pause("TAKEN")
                if outer.answer == HANG:
                    outer._let_go.wait(_PATIENCE)
                if outer.answer == DRIP:
                    outer._drip(self.wfile)
                if outer.answer in (HANG, BREAK, DRIP):
                    self.close_connection = True
                    return
                self.send_response(outer.answer)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.says)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(outer.says)
                outer.pause("ANSWERED")

            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers), b""))
                self.send_error(500)

            def log_message(self, *args):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            if self.tls:
                server.socket = self.tls.wrap_socket(
                    server.socket, server_side=True, do_handshake_on_connect=False
                )
            with _serving(server):
                try:
                    scheme = "https" if self.tls else "http"
                    yield f"{scheme}://127.0.0.1:{server.server_port}/hooks/journeys?source=cjo"
                finally:
                    self._let_go.set()

    def pause(self, step: str) -> None:
        """Called when a request was TAKEN, and when it was ANSWERED: for those that can be held there."""

    def _drip(self, out) -> None:
        with contextlib.suppress(OSError):
            for letter in b"HTTP/1.1 200 OK" + b"!" * 1000:
                if self._let_go.wait(0.05):
                    return
                out.write(bytes([letter]))


@contextlib.contextmanager
def _threaded(handler):
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), handler) as server, _serving(server):
        yield server.server_address[1]


@contextlib.contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
