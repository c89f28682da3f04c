"""The SDK: the whole market from Python, every answered write verified before it is believed.

    from exchange.client import AsyncExchange, Exchange

    with Exchange("https://exchange.example.cn", key, vkey="exchange.example.cn/log+1a2b3c4d+AXyz…") as market:
        done = market.place_bid("lot-…", 1_250_000)   # fen
        done.receipt                                  # proves the bid to anybody, offline

`AsyncExchange` is the same to be awaited. Over httpx; loads no server code. What a bidder keeps secret (a maximum, a key) stays in this process.
"""

from __future__ import annotations

from exchange.client.answers import Agent, Done, Endpoint, Invited, Link, LogEntry, Tracked
from exchange.client.errors import (
    ClientError,
    Conflict,
    ExchangeProblem,
    Forbidden,
    Forked,
    LogEnded,
    Malformed,
    NotFound,
    Refused,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unknown,
    Unprocessable,
    Unproven,
    Unreachable,
    Untrusted,
)
from exchange.client.events import StreamEvent
from exchange.client.exchange import AsyncExchange, Exchange
from exchange.client.sandbox import AsyncSandbox, AsyncSandboxBank, Sandbox, SandboxBank, SandboxUnavailable

__all__ = [
    "Agent",
    "AsyncExchange",
    "AsyncSandbox",
    "AsyncSandboxBank",
    "ClientError",
    "Conflict",
    "Done",
    "Endpoint",
    "Exchange",
    "ExchangeProblem",
    "Forbidden",
    "Forked",
    "Invited",
    "Link",
    "LogEnded",
    "LogEntry",
    "Malformed",
    "NotFound",
    "Refused",
    "Sandbox",
    "SandboxBank",
    "SandboxUnavailable",
    "StreamEvent",
    "TooLarge",
    "TooMany",
    "Tracked",
    "Unauthenticated",
    "Unknown",
    "Unprocessable",
    "Unproven",
    "Unreachable",
    "Untrusted",
]
