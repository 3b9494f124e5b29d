"""Posting one message over HTTP, and knowing whether it went out.

`post` returns an Answer, or raises NotSent or MaybeSent: see approvals/mailing.py. It follows no redirects.
"""

import http.client
import ipaddress
import math
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from queue import Empty, SimpleQueue
from time import monotonic
from urllib.parse import urlsplit

from standardwebhooks import Webhook

from approvals.mailing import MaybeSent, NotSent

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

ANYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
USER_AGENT = "customer-journey-orchestrator"

# Counted as public by Python 3.11, and of no use to anybody outside: addresses by which a cloud answers its
# own machines, old ways of wrapping IPv4 into IPv6, and prefixes for use within a network.
_NEVER_OUTSIDE = tuple(
    ipaddress.ip_network(network)
    for network in ("168.63.129.16/32", "192.0.0.0/24", "2002::/16", "64:ff9b:1::/48", "fec0::/10")
)
# By which a network that speaks IPv6 only reaches IPv4: the address meant stands in the last 32 bits.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said: `excerpt` are the first bytes of the body, or else the reason beside the
    status."""

    status: int
    excerpt: bytes


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: float,
    inside: Iterable[Network],
    quote: int,
) -> Answer:
    """Post it once. `timeout`: seconds for all of it, from resolving the name to the end of the answer.

    `inside` are the networks that may be posted to beside the public internet, and the only ones without
    TLS. The name is resolved once, all its addresses are checked, and one that was checked is connected to.
    `quote`: as many bytes of the answer's body are read. Raises NotSent or MaybeSent.
    """
    until = monotonic() + timeout
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    secure = parts.scheme == "https"
    try:
        # It is given its socket below, and connects by itself to nowhere; the host is for the Host header.
        if secure:
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=_tls())
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port)
        found = _resolve(connection.host, connection.port, until)
        _check(found, tuple(inside), secure=secure)
        connection.sock = _connect(found, until, server_name=parts.hostname if secure else "")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotSent(f"The receiver was not reached: {error}", permanent=False) from error
    with closing(connection):
        try:
            connection.sock.settimeout(_left(until))
            connection.request(
                "POST",
                target,
                body,
                {"Content-Type": "application/json", "User-Agent": USER_AGENT, **headers},
            )
            response = connection.getresponse()
        except http.client.InvalidURL as error:  # refused by our own side, before a byte was written
            raise NotSent(f"The address cannot be asked for: {error}", permanent=True) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MaybeSent(f"The receiver broke off without an answer: {error!r}") from error
        excerpt = b""
        # The status says it all; a body that does not come changes nothing about it.
        with suppress(OSError, http.client.HTTPException, ValueError):
            excerpt = response.read1(quote)
        return Answer(response.status, excerpt or response.reason.encode()[:quote])


def is_allowed(address: Address, inside: Iterable[Network]) -> bool:
    """Whether it may be posted to: it is of the public internet, or in one of the networks."""
    address = _meant(address)
    return _is_outside(address) or _is_in(address, inside)


def signature_headers(*, secrets: Iterable[str], message_id: str, at: datetime, body: str) -> dict[str, str]:
    """The three headers of Standard Webhooks, with a signature by each secret. `at` may be in any zone: the
    library reads the clock's hands and not the zone, so it is given UTC."""
    at = at.astimezone(UTC)
    signatures = [Webhook(secret).sign(msg_id=message_id, timestamp=at, data=body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


# ---- addresses


def _resolve(host: str, port: int, until: float) -> list[tuple]:
    """The addresses of a name. In a thread, as nothing else ends a resolver that hangs."""
    answers = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_left(until))
    except Empty:
        raise TimeoutError(f"the name {host} was not resolved in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _check(found: list[tuple], inside: tuple[Network, ...], *, secure: bool) -> None:
    """Raises NotSent where any of the addresses is not to be posted to: a name that has some of each is not
    to be trusted either."""
    for *_, place in found:
        address = _meant(ipaddress.ip_address(place[0]))
        if not is_allowed(address, inside):
            raise NotSent(
                f"The address {address} is inside the network: nothing is sent there.", permanent=True
            )
        if not (secure or _is_in(address, inside)):
            raise NotSent(f"To {address} nothing is sent without TLS.", permanent=True)


def _meant(address: Address) -> Address:
    """The IPv4 address where IPv6 only wraps one."""
    if address.version == 4:
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def _is_outside(address: Address) -> bool:
    special = address.is_multicast or address.is_reserved or not address.is_global
    return not (special or _is_in(address, _NEVER_OUTSIDE))


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


# ---- sockets


class _Reading:
    """All that is read has to be there by one moment: a receiver that drips would else hold us for ever."""

    until = math.inf

    def recv_into(self, *arguments):
        self.settimeout(_left(self.until))
        return super().recv_into(*arguments)


class _Socket(_Reading, socket.socket):
    pass


class _SecureSocket(_Reading, ssl.SSLSocket):
    pass


@cache
def _tls() -> ssl.SSLContext:
    """Made once a process, as reading the certificates of all authorities takes its time."""
    context = ssl.create_default_context()
    context.sslsocket_class = _SecureSocket
    return context


def _connect(found: list[tuple], until: float, *, server_name: str) -> socket.socket:
    """A connection to the first address that answers; with a server name over TLS. Raises OSError."""
    for place, (family, kind, protocol, _, address) in enumerate(found):
        connected = _Socket(family, kind, protocol)
        try:
            # An address that is silent leaves time for those behind it.
            connected.settimeout(_left(until) / (len(found) - place))
            connected.connect(address)
        except OSError:
            connected.close()
            if place == len(found) - 1:
                raise
            continue
        break
    if server_name:
        connected.settimeout(_left(until))
        connected = _tls().wrap_socket(connected, server_hostname=server_name)
    connected.until = until
    return connected


def _left(until: float) -> float:
    """Seconds. Raises TimeoutError where none are."""
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError("the time for it is over")
    return left
