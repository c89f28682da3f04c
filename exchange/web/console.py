"""The console's pages: what they show, in which language, under which headers.

Every page is whole without scripts. With them, an open page hears of each new head of the log and fetches its
live parts (`/{language}/live/…`) again. Nothing is ever requested from another host.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exchange import auctions, listings, rulebook, venue
from exchange.database import driver
from exchange.errors import ExchangeError, NotFound
from exchange.gate import Gate
from exchange.web.reference import reference
from exchange.web.words import LANGUAGES, Language, Words, iso, preferred, words
from ledger import log
from ledger.anchors import anchors, watch
from pricing.auctions import AscendingRules, Standing, least_admissible_fen

HERE: Final = Path(__file__).parent

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)

BIDS_SHOWN: Final = 50
LEAVES_A_PAGE: Final = 40
LEAVES_ON_TAPE: Final = 12
YEAR_S: Final = 31_536_000

Handler = Callable[[Request], Awaitable[Response]]
Page = Callable[[Request, Words], Awaitable[Response]]


def mount(app: FastAPI) -> None:
    """Add the console to an application whose `state.gate` serves it: `/`, `/zh`, `/en` and `/static`."""
    guarded = [Middleware(Headers)]
    static = StaticFiles(directory=HERE / "static")
    app.router.routes.extend(
        [
            Route("/", choose, include_in_schema=False),
            *(
                Mount(
                    f"/{language}",
                    routes=[
                        Route(path, _page(handler, language), name=f"{language}:{handler.__name__}")
                        for path, handler in PAGES
                    ],
                    middleware=guarded,
                )
                for language in LANGUAGES
            ),
            Mount("/static", routes=[Mount("/", static)], middleware=[Middleware(Headers, revalidate=True)]),
        ]
    )


class Headers:
    """Puts the security headers on every answer of the console, files and errors included."""

    def __init__(self, app: ASGIApp, *, revalidate: bool = False) -> None:
        self.app = app
        self.extra = HEADERS + (((b"cache-control", b"no-cache"),) if revalidate else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.extra]
            await send(message)

        await self.app(scope, receive, send_with_headers)


async def choose(request: Request) -> Response:
    """Send the reader to the pages of the language chosen before, or of the browser's."""
    language = preferred(request.cookies.get("lang"), request.headers.get("accept-language", ""))
    return RedirectResponse(
        f"/{language}/", 303, {"Vary": "Accept-Language, Cookie", "Cache-Control": "no-store"}
    )


def _page(handler: Page, language: Language) -> Handler:
    """Serve `handler` in one language: remembers the choice, and tells of an error on a page of its own."""
    speak = words(language)

    async def serve(request: Request) -> Response:
        try:
            response = await handler(request, speak)
        except ExchangeError as error:
            response = await _problem(request, speak, error)
        response.headers.setdefault("Cache-Control", "no-store")
        if request.cookies.get("lang") != language and "/live/" not in request.url.path:
            response.set_cookie("lang", language, max_age=YEAR_S, httponly=True, samesite="lax")
        return response

    return serve


async def market(request: Request, t: Words) -> Response:
    """What trades now, what was offered and sold, and the end of the log."""
    gate = _gate(request)
    return await _render(request, t, "market.html", **await gate.read(_market_floor))


async def live_market(request: Request, t: Words) -> Response:
    """The live part of the market page."""
    gate = _gate(request)
    return await _render(request, t, "parts/floor.html", **await gate.read(_market_floor))


async def _market_floor(session: AsyncSession) -> dict[str, Any]:
    lots = await auctions.lots(session)
    return {
        "open_lots": [lot for lot in lots if lot["state"] == "open"],
        "ended_lots": sorted(
            (lot for lot in lots if lot["state"] != "open"), key=lambda lot: -int(lot["closes_us"])
        ),
        "offers": [row for row in await listings.listings(session) if row["mode"] == "fixed"],
        "leaves": await _leaves(session, None, LEAVES_ON_TAPE),
        "bids": sum(int(lot["bids"]) for lot in lots),
        "volume_fen": sum(int(lot["price_fen"] or 0) for lot in lots if lot["state"] == "sold"),
    }


async def lot(request: Request, t: Words) -> Response:
    """One lot: where it stands, how its price came about, its terms, its bids."""
    gate = _gate(request)
    found = await gate.read(_lot, request.path_params["lot"])
    return await _render(request, t, "lot.html", **found, **await gate.read(_bids, found["lot"]["id"], -1))


async def live_lot(request: Request, t: Words) -> Response:
    """Where a lot stands now."""
    return await _render(
        request, t, "parts/standing.html", **await _gate(request).read(_lot, request.path_params["lot"])
    )


async def live_bids(request: Request, t: Words) -> Response:
    """The newest bids of a lot, from behind log index `after`."""
    after = request.query_params.get("after", "")
    behind = int(after) if after.isdecimal() and len(after) < 19 else -1
    found = await _gate(request).read(_bids, request.path_params["lot"], behind)
    return await _render(request, t, "parts/bids.html", **found)


async def _lot(session: AsyncSession, identifier: str) -> dict[str, Any]:
    view = await auctions.lot(session, identifier)
    terms = AscendingRules(
        start_price_fen=int(view["start_price_fen"]),
        increment_fen=int(view["increment_fen"]),
        opens_at_us=int(view["opens_us"]),
        closes_at_us=int(view["first_closes_us"]),
        soft_close_window_us=int(view["soft_close_window_us"]),
        soft_close_extension_us=int(view["soft_close_extension_us"]),
        ceiling_fen=None if view["ceiling_fen"] is None else int(view["ceiling_fen"]),
    )
    price = view["standing_price_fen"]
    standing = Standing(
        None if price is None else int(price),
        view["standing_code"],
        None,
        int(view["bids"]),
        int(view["closes_us"]),
    )
    rules = rulebook.load((await venue.about(session))["profile"])
    return {
        "lot": view,
        "least_fen": least_admissible_fen(terms, standing) if view["state"] == "open" else None,
        "cite": lambda name: rules[name].cite(),
    }


async def _bids(session: AsyncSession, identifier: str, after: int) -> dict[str, Any]:
    """The newest bids, newest first; `behind` is where the next look may start, so that it reads no more than it shows."""
    shown: deque[dict[str, Any]] = deque(maxlen=BIDS_SHOWN + 1)
    at = after
    while page := await auctions.bids(session, identifier, at):
        shown.extend(page)
        at = int(page[-1]["index"])
    behind = int(shown.popleft()["index"]) if len(shown) > BIDS_SHOWN else after
    return {"bids": list(reversed(shown)), "behind": behind, "lot_id": identifier}


async def log_page(request: Request, t: Words) -> Response:
    """The public log: checkpoint, entries, anchors, and a check that runs in the reader's browser."""
    gate = _gate(request)
    before = request.query_params.get("before", "")
    newest = int(before) if before.isdecimal() and len(before) < 19 else None
    return await _render(request, t, "log.html", **await gate.read(_log, newest))


async def live_log(request: Request, t: Words) -> Response:
    """The newest entries of the log."""
    return await _render(request, t, "parts/entries.html", **await _gate(request).read(_log, None))


async def _log(session: AsyncSession, before: int | None) -> dict[str, Any]:
    leaves = await _leaves(session, before, LEAVES_A_PAGE)
    connection = await driver(session)
    seen = await watch(connection)
    return {
        "leaves": leaves,
        "before": before,
        "anchors": (await anchors(connection))[::-1],
        "trouble": None if seen is None else seen.trouble,
    }


async def _leaves(session: AsyncSession, before: int | None, limit: int) -> list[dict[str, Any]]:
    return [
        {"index": i, "kind": leaf.kind, "time_us": leaf.time_us, "digest": leaf.digest.hex()}
        for i, leaf in await log.newest(await driver(session), before, limit)
    ]


async def enrol(request: Request, t: Words) -> Response:
    """Where a one-time link leads: the page makes a key and sends only its digest."""
    return await _render(request, t, "enrol.html")


async def api(request: Request, t: Words) -> Response:
    """The API's contract as people read it."""
    document = await asyncio.to_thread(request.app.openapi)
    return await _render(request, t, "api.html", **reference(document, t.language))


async def missing(request: Request, t: Words) -> Response:
    """Whatever has no page."""
    raise NotFound("page.unknown", request.url.path, field="path")


PAGES: Final[tuple[tuple[str, Page], ...]] = (
    ("/", market),
    ("/lots/{lot}", lot),
    ("/log", log_page),
    ("/enrol", enrol),
    ("/api", api),
    ("/live/market", live_market),
    ("/live/lots/{lot}", live_lot),
    ("/live/lots/{lot}/bids", live_bids),
    ("/live/log", live_log),
    ("/{rest:path}", missing),
)


async def _problem(request: Request, t: Words, error: ExchangeError) -> Response:
    """An error in the reader's language, with its code; a live part that fails leaves the page as it was."""
    if "/live/" in request.url.path:
        return Response(status_code=error.status)
    response = await _render(request, t, "problem.html", error=error, path=request.url.path)
    response.status_code = error.status
    return response


async def _render(request: Request, t: Words, template: str, **found: Any) -> HTMLResponse:
    """A template with what all of them show: the market, its time, its newest checkpoint."""
    gate = _gate(request)
    view, head = await gate.read(_shared)
    path = request.url.path.split("/", 2)[2]
    page = templates().get_template(template)
    text = page.render(
        t=t,
        lang=t.language,
        other={"zh": "en", "en": "zh"}[t.language],
        rest=path + (f"?{request.url.query}" if request.url.query else ""),
        market=view,
        now_us=await gate.now_us(),
        size=head.edge.size,
        root=head.edge.root().hex(),
        origin=gate.signer.name,
        vkey=gate.signer.vkey,
        **found,
    )
    return HTMLResponse(text)


async def _shared(session: AsyncSession) -> tuple[dict[str, Any], log.Head]:
    return await venue.about(session), await log.read_head(await driver(session))


@cache
def templates() -> Environment:
    """Templates that escape everything and know no undefined name."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["iso"] = iso
    environment.filters["json"] = lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    environment.globals["asset"] = _asset
    return environment


@cache
def _asset(name: str) -> str:
    """The address of a static file, which changes with its content."""
    digest = sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate
