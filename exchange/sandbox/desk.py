"""The counter of the sandbox's bank: its customers' door over HTTP on 127.0.0.1, and the clock that lets it act by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import httpx
import orjson
import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from exchange.client import ClientError
from exchange.errors import ExchangeError, Malformed
from exchange.messages.bank import CustomerMessage, TransferMessage
from exchange.sandbox.bank import Bank, Transfer

TURN_S = 0.2
"""How often the bank looks at the market's clock."""

logger = logging.getLogger(__name__)

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Desk:
    """One bank behind a lock: its own turns and its customers come one after the other."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._lock = threading.Lock()

    async def do(self, act: Callable[[Bank], T]) -> T:
        """Let the bank do something, in a thread: it waits for the exchange's answers."""

        def alone() -> T:
            with self._lock:
                return act(self._bank)

        return await asyncio.to_thread(alone)

    async def turns(self) -> None:
        """Let the bank act by itself until this is cancelled; what fails is tried again, and said once."""
        failing = ""
        while True:
            try:
                await self.do(Bank.turn)
                failing = ""
            except (ClientError, httpx.HTTPError) as error:
                if repr(error) != failing:
                    logger.warning("the exchange did not take what the bank told it: %s", error)
                failing = repr(error)
            await asyncio.sleep(TURN_S)


def create_app(bank: Bank) -> Starlette:
    """The bank's customers: order a transfer, close an outside account, see the account, end the statement."""
    desk = Desk(bank)

    async def transfer(request: Request) -> Response:
        asked = await _asked(request, TransferMessage)

        def order(bank: Bank) -> Transfer:
            ordered = bank.order_transfer(
                asked.payee,
                asked.amount_fen,
                after_us=asked.after_us,
                notices=asked.notices,
                told_fen=asked.told_fen,
            )
            with contextlib.suppress(ClientError):  # an exchange that is away is told at a later turn
                bank.turn()  # what takes no time has arrived when this is answered
            return ordered

        ordered = await desk.do(order)
        return JSONResponse({"reference": ordered.reference, "due_us": str(ordered.due_us)}, 201)

    async def refuse(request: Request) -> Response:
        asked = await _asked(request, CustomerMessage)
        await desk.do(lambda bank: bank.refuse_payouts(asked.party, asked.reason))
        return JSONResponse({}, 201)

    async def account(request: Request) -> Response:
        return JSONResponse({"balance_fen": str(await desk.do(lambda bank: bank.balance_fen))})

    async def turn(_: Request) -> Response:
        await desk.do(Bank.turn)
        return JSONResponse({}, 201)

    async def statement(request: Request) -> Response:
        text, _ = await desk.do(Bank.close_statement)
        return Response(text, 201, media_type="text/csv; charset=utf-8; header=present")

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, ExchangeError)
        return Response(orjson.dumps(error.problem()), error.status, media_type="application/problem+json")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        turning = asyncio.create_task(desk.turns(), name="bank")
        yield
        turning.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await turning

    return Starlette(
        routes=[
            Route("/transfers", transfer, methods=["POST"]),
            Route("/refusals", refuse, methods=["POST"]),
            Route("/account", account),
            Route("/turns", turn, methods=["POST"]),
            Route("/statements", statement, methods=["POST"]),
        ],
        exception_handlers={ExchangeError: refused},
        lifespan=lifespan,
    )


async def _asked(request: Request, form: type[M]) -> M:
    try:
        return form.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors()[0]
        raise Malformed(
            "request.form",
            str(first["msg"]),
            field=".".join(map(str, first["loc"])) or "body",
            rule=str(first["msg"]),
            remedy="see `exchange bank serve --help`",
        ) from error


def serve(bank: Bank, port: int, started: Callable[[str], Any]) -> None:
    """Serve a bank on 127.0.0.1 until the process is told to stop; `started` gets its address."""
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(bank), access_log=False, log_level="warning", timeout_graceful_shutdown=3
            )
        )
        started(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server.run(sockets=[listener])
