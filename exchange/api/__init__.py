"""Door 1: JSON for enterprises, departments and regulators; a router a room, one contract over all of them."""

import orjson
from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from exchange.api import (
    acceptance,
    accounts,
    assets,
    audit,
    bank,
    books,
    bulk,
    complaints,
    contract,
    contracts,
    contributions,
    corrections,
    deletion,
    delivery,
    demands,
    drills,
    identity,
    inquiries,
    lineage,
    listings,
    log,
    market,
    metering,
    offers,
    parties,
    ratings,
    registration,
    revenue,
    rules,
    sandbox,
    signin,
    statistics,
    statute,
    streams,
    tenders,
    usecases,
    webhooks,
)
from exchange.api.conventions import Conventions
from exchange.api.doorway import on_defect, on_exchange_error, on_http, on_invalid
from exchange.errors import ExchangeError

routers = (
    market.router,
    listings.router,
    offers.router,
    metering.router,
    revenue.router,
    statute.router,
    tenders.router,
    demands.router,
    parties.router,
    rules.router,
    identity.router,
    signin.router,
    accounts.router,
    bank.router,
    books.router,
    assets.router,
    bulk.router,
    contributions.router,
    lineage.router,
    registration.router,
    contracts.router,
    delivery.router,
    corrections.router,
    acceptance.router,
    ratings.router,
    complaints.router,
    inquiries.router,
    deletion.router,
    usecases.router,
    log.router,
    streams.router,
    webhooks.router,
    audit.router,
    drills.router,
    statistics.router,
)


def mount(app: FastAPI, *, sandbox_clock: bool) -> None:
    """Add the API to an application whose `state` serves it: routes, problems, the contract at /openapi.json.

    `sandbox_clock` adds the route that moves a sandbox's clock, which elsewhere is neither there nor in the contract.
    """
    mounted = (*routers, sandbox.router) if sandbox_clock else routers
    for kind, handler in (
        (ExchangeError, on_exchange_error),
        (RequestValidationError, on_invalid),
        (HTTPException, on_http),
        (Exception, on_defect),
    ):
        app.add_exception_handler(kind, handler)
    # As they are: `include_router` would build every route a second time, and ask each router anew at every request.
    app.router.routes += [route for router in mounted for route in router.routes]
    app.add_middleware(Conventions)
    app.openapi = contract.describe(app, mounted)  # type: ignore[method-assign]  # FastAPI's own way to bring another document

    @app.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        """The contract, from a thread: while it is made for the first time, everybody else is served."""
        return Response(orjson.dumps(app.openapi()), media_type="application/json")
