"""Addresses that others chose: every trick that leads inside is refused, by text or when the name is resolved."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import pytest

from exchange import outbound
from exchange.errors import Unprocessable

pytestmark = pytest.mark.anyio

HOSTILE = (
    "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/",
    "https://example.com:22/", "https://example.com:8000/", "https://example.com:99999/", "https://example.com:0/",
    "https://user:pw@example.com/", "https://example.com@127.0.0.1/", "https://example.com#@127.0.0.1/",
    "https://example.com\\@127.0.0.1/", "https://exam ple.com/", "https://example.com/\n", "https://例子.com/",
    "https://localhost/", "https://localhost./", "https://intranet/", "https://example.com./",
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/", "https://0x7f000001/",
    "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://017700000001/", "https://127.0.0.0x1/", "https://0/",
    "https://0.0.0.0/", "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/", "https://198.18.0.1/", "https://192.0.0.8/", "https://192.88.99.1/",
    "https://224.0.0.1/", "https://240.0.0.1/", "https://255.255.255.255/", "https://127.0.0.1.:443/",
    "https://[::1]/", "https://[::]/", "https://[::127.0.0.1]/", "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/", "https://[::ffff:0:127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::10.0.0.1]/", "https://[64:ff9b:1::a00:1]/", "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fc00::1]/",
    "https://[fd12:3456::1]/", "https://[fec0::1]/", "https://[ff02::1]/", "https://[2001:db8::1]/", "https://[",
    "https://" + "a" * 600 + ".com/", "https:///path", "https://-a.com/", "https://a..com/", "https://１２７.0.0.1/",
)  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_address_is_refused_by_its_text(url: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        outbound.check_url(url)
    assert refused.value.code == "webhook.url"
    with pytest.raises(outbound.Refused):
        await outbound.post(url, b"{}", {})


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/in?x=1",
        "https://EXAMPLE.com:8443",
        "https://xn--fsqu00a.com/",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]/",
        "https://0x7f.example.com/",
    ],
)
async def test_a_public_address_is_taken(url: str) -> None:
    outbound.check_url(url)


async def test_only_a_sandbox_that_says_so_calls_its_own_machine() -> None:
    outbound.check_url("http://127.0.0.1:9000/x", loopback=True)
    for url in ("http://127.0.0.1:9000/x", "http://127.0.0.2/", "http://localhost/", "http://10.0.0.1/"):
        with pytest.raises(Unprocessable):
            outbound.check_url(url, loopback=url.endswith(("2/", "t/", "10.0.0.1/")))


@pytest.mark.parametrize(
    "inside", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
)
async def test_a_name_that_leads_inside_is_refused_even_beside_a_public_address(
    inside: str,
) -> None:
    class Loop(asyncio.SelectorEventLoop):
        async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
            return [(0, 0, 0, "", (address, port)) for address in ("1.1.1.1", inside)]

    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(outbound.post("https://rebinding.example.com/", b"{}", {}))

    with pytest.raises(outbound.Refused, match="no public address"):
        await asyncio.to_thread(run)


async def test_a_name_is_resolved_once_and_the_checked_address_is_called() -> None:
    """The second answer of a rebinding name would lead inside; nobody asks for it."""
    asked: list[str] = []
    called: list[Any] = []

    class Loop(asyncio.SelectorEventLoop):
        async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
            asked.append(host)
            if host == "203.0.114.7":  # the checked address itself, on its way into the connection
                called.append((host, port))
                raise OSError("no network in tests")
            return [(0, 0, 0, "", ("203.0.114.7" if len(asked) == 1 else "127.0.0.1", port))]

        async def sock_connect(self, sock: Any, address: Any) -> None:
            called.append(address)
            raise OSError("no network in tests")

    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(outbound.post("https://rebinding.example.com/", b"{}", {}))

    assert outbound.is_public(ipaddress.ip_address("203.0.114.7"))
    with pytest.raises(Exception, match=r"no network|attempts failed|connect"):
        await asyncio.to_thread(run)
    assert asked.count("rebinding.example.com") == 1
    assert {address[0] for address in called} == {"203.0.114.7"}
