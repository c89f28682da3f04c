"""Door 1: JSON for enterprises, departments and regulators; a router a room, one contract over all of them."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from exchange.api import (
    accounts,
    assets,
    audit,
    contract,
    delivery,
    drills,
    identity,
    log,
    market,
    parties,
    streams,
    webhooks,
)
from exchange.api.conventions import Conventions
from exchange.api.doorway import on_defect, on_exchange_error, on_http, on_invalid
from exchange.errors import ExchangeError

routers = (
    market.router,
    parties.router,
    identity.router,
    accounts.router,
    assets.router,
    delivery.router,
    log.router,
    streams.router,
    webhooks.router,
    audit.router,
    drills.router,
)


def mount(app: FastAPI) -> None:
    """Add the API to an application whose `state` serves it: routes, problems, the contract at /openapi.json."""
    for kind, handler in (
        (ExchangeError, on_exchange_error),
        (RequestValidationError, on_invalid),
        (HTTPException, on_http),
        (Exception, on_defect),
    ):
        app.add_exception_handler(kind, handler)
    for router in routers:
        app.include_router(router)
    app.add_middleware(Conventions)
    app.openapi = contract.describe(app, routers)  # type: ignore[method-assign]  # FastAPI's own way to bring another document
