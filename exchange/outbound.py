"""Calls to addresses that others chose: only public ones, whatever the name says, and to nobody else on the way.

A name is resolved once, each address that it has must be public, and the connection goes to the one that was checked
(no DNS rebinding); certificates are checked against the name. Redirects are not followed, proxies of the environment not
used, and of the answer only the status is read. OWASP Server-Side Request Forgery Prevention.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from exchange.errors import Unprocessable

PORTS: Final = frozenset({443, 8443})
TIMEOUT_S: Final = 10.0
"""For all of a call: resolving, connecting, sending, and the head of the answer."""

_NAME = re.compile(
    r"(?=.{4,253}$)((?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)(?=[a-z0-9-]*[a-z])[a-z0-9-]{2,63}(?<!-)"
)
# What hides an IPv4 address inside an IPv6 one, or leads through somebody's relay: refused whole.
_HIDING = tuple(
    ipaddress.ip_network(text)
    for text in (
        "::/8",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "fec0::/10",
        "192.88.99.0/24",
        "192.0.0.0/24",
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """An address that nothing is sent to."""


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could be meant by it: no private, loopback, link-local, shared, reserved or
    multicast one, and none that hides another.
    """
    return (
        address.is_global
        and not (
            address.is_multicast or address.is_reserved or address.is_link_local or address.is_unspecified
        )
        and getattr(address, "scope_id", None) is None
        and not any(address.version == net.version and address in net for net in _HIDING)
    )


def check_url(url: str, *, loopback: bool = False) -> None:
    """Refuse a URL that nothing is sent to, as far as the text tells; Unprocessable says why.

    With `loopback`, for a sandbox, http://127.0.0.1 is allowed too, on any port.
    """
    try:
        _parts(url, loopback)
    except Refused as refused:
        raise Unprocessable(
            "webhook.url",
            str(refused),
            field="url",
            rule="https, a public host by name or address, port 443 or 8443, no user, no fragment",
            remedy="give an https address that anybody on the internet can reach",
        ) from None


def _parts(url: str, loopback: bool) -> tuple[SplitResult, str, int]:
    if len(url) > 500 or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Refused("a URL is at most 500 printable ASCII characters; write a name in punycode")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise Refused("this is no URL") from None
    if parts.username is not None or parts.password is not None or parts.fragment or "@" in parts.netloc:
        raise Refused("a URL here has neither user nor fragment")
    if loopback and parts.scheme == "http" and host == "127.0.0.1":
        return parts, host, port or 80
    if parts.scheme != "https":
        raise Refused("only https is called")
    port = 443 if port is None else port
    if port not in PORTS:
        raise Refused(f"port {port} is not called")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # 2130706433, 0177.0.0.1, 0x7f.1 are addresses to a resolver: a name's last label has a letter, and is no number.
        if not _NAME.fullmatch(host) or re.fullmatch(r"0x[0-9a-f]*", host.rpartition(".")[2]):
            raise Refused(f"{host!r} is no public host name") from None
    else:
        if not is_public(address):
            raise Refused(f"{host} is no public address")
    return parts, host, port


async def resolve(host: str, port: int) -> Address:
    """The address to call, resolved once; Refused where any of those that the name has is not public."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(info[4][0]) for info in found]
    for address in addresses:
        if not is_public(address):
            raise Refused(f"{host} leads to {address}, which is no public address")
    if not addresses:
        raise Refused(f"{host} leads nowhere")
    return addresses[0]


@cache
def _trust() -> ssl.SSLContext:
    """The authorities that calls trust, whatever the environment says; read once in a process, for it blocks."""
    return httpx.create_ssl_context(trust_env=False)


async def post(url: str, body: bytes, headers: Mapping[str, str], *, loopback: bool = False) -> int:
    """Send `body` and return the status of the answer.

    Refused where the address is not public now, httpx.HTTPError, OSError or TimeoutError where no answer came.
    """
    parts, host, port = _parts(url, loopback)
    async with asyncio.timeout(TIMEOUT_S):
        pinned = ipaddress.ip_address(host) if loopback and host == "127.0.0.1" else await resolve(host, port)
        literal = f"[{pinned}]" if pinned.version == 6 else str(pinned)
        target = f"{parts.scheme}://{literal}:{port}{parts.path or '/'}" + (
            f"?{parts.query}" if parts.query else ""
        )
        async with (
            httpx.AsyncClient(
                verify=_trust(), trust_env=False, follow_redirects=False, timeout=TIMEOUT_S
            ) as client,
            client.stream(
                "POST",
                target,
                content=body,
                headers={**headers, "Host": parts.netloc},
                extensions={"sni_hostname": host},
            ) as response,
        ):
            return response.status_code
