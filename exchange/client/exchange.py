"""The exchange as its users call it: one class that waits and one to be awaited, in the words of the market.

Both offer the same calls, which are written once (`exchange.client.calls`) and done by a carrier.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import httpx

from exchange.client.calls import Calls
from exchange.client.carriers import AsyncLine, Line, Walk
from exchange.client.wire import Steps
from ledger.checkpoint import Checkpoint
from ledger.policy import Policy

P = ParamSpec("P")
T = TypeVar("T")


class One(Generic[P, T]):
    """A call with one answer: returned by `Exchange`, awaited of `AsyncExchange`."""

    def __init__(self, steps: Callable[Concatenate[Calls, P], Steps[T]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, market: Exchange, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, market: AsyncExchange, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, market: None, owner: type) -> One[P, T]: ...
    def __get__(self, market: Exchange | AsyncExchange | None, owner: type) -> Any:
        if market is None:
            return self

        @functools.wraps(self._steps)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return market.line.carry(self._steps(market.calls, *args, **kwargs))

        return call


class Many(Generic[P, T]):
    """A call with many answers, asked for page by page: iterated of `Exchange`, with `async for` of `AsyncExchange`."""

    def __init__(self, steps: Callable[Concatenate[Calls, P], Walk[T]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, market: Exchange, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, market: AsyncExchange, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(self, market: None, owner: type) -> Many[P, T]: ...
    def __get__(self, market: Exchange | AsyncExchange | None, owner: type) -> Any:
        if market is None:
            return self

        @functools.wraps(self._steps)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return market.line.walk(self._steps(market.calls, *args, **kwargs))

        return call


class Market:
    """What both classes offer; `calls` does it, and holds what is known of the exchange."""

    calls: Calls

    make_key = staticmethod(Calls.make_key)
    fresh_identifier = staticmethod(Calls.fresh_identifier)

    @property
    def url(self) -> str:
        """Where the exchange is."""
        return self.calls.url

    def newest_seen(self) -> Checkpoint | None:
        """The newest checkpoint that this client has verified, without asking."""
        return self.calls.newest_seen()

    def newest_note(self) -> str:
        """The signed note of that checkpoint; empty before the first."""
        return self.calls.newest_note()

    # the market, and who calls

    market = One(Calls.market)
    me = One(Calls.me)
    enrol = One(Calls.enrol)
    add_key = One(Calls.add_key)
    rotate_key = One(Calls.rotate_key)
    revoke_key = One(Calls.revoke_key)
    keys = One(Calls.keys)
    add_signing_key = One(Calls.add_signing_key)
    signing_keys = One(Calls.signing_keys)
    revoke_signing_key = One(Calls.revoke_signing_key)
    controls = One(Calls.controls)
    set_controls = One(Calls.set_controls)
    heartbeat = One(Calls.heartbeat)
    stop_trading = One(Calls.stop_trading)
    resume_trading = One(Calls.resume_trading)

    # live events

    follow_lot = Many(Calls.follow_lot)
    follow_account = Many(Calls.follow_account)

    # parties and money

    register_party = One(Calls.register_party)
    set_party_state = One(Calls.set_party_state)
    erase = One(Calls.erase)
    invite = One(Calls.invite)
    agree_operation = One(Calls.agree_operation)
    top_up = One(Calls.top_up)
    withdraw = One(Calls.withdraw)
    move_clock = One(Calls.move_clock)

    # accounts

    accounts = Many(Calls.accounts)
    account = One(Calls.account)
    statement = Many(Calls.statement)
    statement_sheet = One(Calls.statement_sheet)
    trial_balance = One(Calls.trial_balance)
    trial_balance_sheet = One(Calls.trial_balance_sheet)

    # an asset's path

    declare_asset = One(Calls.declare_asset)
    file_risk_assessment = One(Calls.file_risk_assessment)
    authorize = One(Calls.authorize)
    authorization = One(Calls.authorization)
    authorization_document = One(Calls.authorization_document)
    upload = One(Calls.upload)
    release = One(Calls.release)
    assign_theme = One(Calls.assign_theme)
    register_asset = One(Calls.register_asset)
    appraise = One(Calls.appraise)
    assets = Many(Calls.assets)
    asset = One(Calls.asset)
    certificate = One(Calls.certificate)

    # offers, lots, bids

    offer_fixed_price = One(Calls.offer_fixed_price)
    listings = One(Calls.listings)
    buy = One(Calls.buy)
    open_lot = One(Calls.open_lot)
    lots = One(Calls.lots)
    lot = One(Calls.lot)
    bids = One(Calls.bids)
    join_lot = One(Calls.join_lot)
    place_bid = One(Calls.place_bid)
    dry_run_bid = One(Calls.dry_run_bid)
    dry_run_purchase = One(Calls.dry_run_purchase)
    place_bids = One(Calls.place_bids)
    bid_up_to = One(Calls.bid_up_to)

    # trades and delivery

    trades = One(Calls.trades)
    licences = Many(Calls.licences)
    link = One(Calls.link)
    download = One(Calls.download)

    # the record

    lookup = One(Calls.lookup)
    checkpoint = One(Calls.checkpoint)
    compare = One(Calls.compare)
    entry_bundle = One(Calls.entry_bundle)
    receipt = One(Calls.receipt)
    log_entry = One(Calls.log_entry)
    tlog_proof = One(Calls.tlog_proof)
    witnessed = One(Calls.witnessed)
    complete = One(Calls.complete)
    anchors = One(Calls.anchors)
    anchor_watch = One(Calls.anchor_watch)
    drills = One(Calls.drills)
    record_drill = One(Calls.record_drill)
    audit_bundle = One(Calls.audit_bundle)


class Exchange(Market):
    """One exchange, seen with one key (or none: then only what everybody may see).

    Amounts are integers in fen, times integers in microseconds of the market's clock.

    - Every write carries an identifier, drawn here unless given. Lost connections, timeouts and 502 to 504 are
      tried again under the same identifier until `timeout_s` is over; then `Unknown` carries it.
    - Every answered write is verified before it is returned: the entry's body says what the outcome says,
      under this identifier; its leaf is in the log; the exchange's key signed that log; and that log is the one
      this client has seen before, only longer (`Forked` otherwise). A recorded refusal raises `Refused`, as
      well verified.
    - `vkey` is the exchange's public key. Get it by a way that does not pass through the exchange. Without it
      the first answer of `/v1/market` is believed (trust on first use): whoever stands between you and the
      exchange at that moment could put a key of his own there.
    - `remember` names a file that keeps key and newest checkpoint over the end of the process; one file, one
      client. With it the first use is the first ever, and a rollback between two runs is noticed.
    - `policy` says which witnesses have to have seen the log (`witnessed`, `complete`). It names the log's key
      as well: where it names one log, `vkey` may be left out.

    A context manager; safe for threads.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        vkey: str | None = None,
        *,
        policy: Policy | None = None,
        timeout_s: float = 60.0,
        remember: Path | None = None,
        signing_key: bytes | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        """Nothing is sent yet. `signing_key`, 32 bytes that are registered, signs every write. `http` brings a client of your own (proxies, certificates), which stays yours."""
        self.calls = Calls(url, key, vkey, policy, timeout_s, remember, signing_key)
        self.line = Line(http)

    def __enter__(self) -> Exchange:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self.line.close()

    @property
    def vkey(self) -> str:
        """The key that this client verifies with; asks for it where none was given (trust on first use)."""
        return self.line.carry(self.calls.vkey())


class AsyncExchange(Market):
    """The same exchange for programs on an event loop: every call is awaited, and gives, refuses and verifies as that
    of `Exchange` does. Cancelling a write leaves its outcome unknown: look its identifier up.

        async with AsyncExchange("https://exchange.example.cn", key, vkey=vkey) as market:
            done = await market.place_bid("lot-…", 1_250_000)
            async for line in market.statement(account):
                print(line.balance)

    An asynchronous context manager; for one event loop.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        vkey: str | None = None,
        *,
        policy: Policy | None = None,
        timeout_s: float = 60.0,
        remember: Path | None = None,
        signing_key: bytes | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """As `Exchange`. Nothing is sent yet."""
        self.calls = Calls(url, key, vkey, policy, timeout_s, remember, signing_key)
        self.line = AsyncLine(http)

    async def __aenter__(self) -> AsyncExchange:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self.line.close()

    async def vkey(self) -> str:
        """The key that this client verifies with; asks for it where none was given (trust on first use)."""
        return await self.line.carry(self.calls.vkey())
