"""The console's pages: what they show, in which language, under which headers.

Every page is whole without scripts. With them, an open page hears of each new head of the log and fetches its
live parts (`/{language}/live/…`) again. Nothing is ever requested from another host.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

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

from exchange import (
    auctions,
    catalogue,
    lineage,
    listings,
    ratings,
    rulebook,
    settlement,
    statistics,
    usecases,
    venue,
)
from exchange.catalogue import CURSOR, Place, Search
from exchange.database import driver
from exchange.errors import ExchangeError, NotFound
from exchange.gate import Gate
from exchange.registration import register
from exchange.registration.path import STEPS
from exchange.taxonomy import KINDS, THEMES
from exchange.vault import Vault
from exchange.web.pictures import Kin, descent, division, mark, radar
from exchange.web.reference import reference
from exchange.web.words import LANGUAGES, Language, Words, iso, minus, preferred, words
from ledger import log
from ledger.anchors import anchors, watch
from pricing.auctions import AscendingRules, Standing, least_admissible_fen
from pricing.quality import Measured, Quality

HERE: Final = Path(__file__).parent

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)

BIDS_SHOWN: Final = 50
CARDS_A_PAGE: Final = 12
ROWS_OF_MARKET: Final = 20
"""Of each table of the market page: what closes next, what was offered or closed last; the API pages through all."""
LEAVES_A_PAGE: Final = 40
LEAVES_ON_TAPE: Final = 12
YEAR_S: Final = 31_536_000

SEARCHED: Final = (
    "text", "kind", "theme", "base_library", "opening", "price", "freshness", "grade", "supplier",
)  # fmt: skip
"""What the public catalogue is searched by, in the order of its page."""

Handler = Callable[[Request], Awaitable[Response]]
Page = Callable[[Request, Words], Awaitable[Response]]


def mount(app: FastAPI, more: Sequence[tuple[str, Page]], forms: Sequence[tuple[str, Page]]) -> None:
    """Add the console to an application whose `state.gate` serves it: `/`, `/zh`, `/en` and `/static`.

    `more` are further pages, `forms` those that also take forms.
    """
    guarded = [Middleware(Headers)]
    static = StaticFiles(directory=HERE / "static")
    app.router.routes.extend(
        [
            Route("/", choose, include_in_schema=False),
            *(
                Mount(
                    f"/{language}",
                    routes=[
                        *(
                            Route(path, _page(page, language), methods=["GET", "POST"])
                            for path, page in forms
                        ),
                        *(Route(path, _page(page, language)) for path, page in (*more, *PAGES)),
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
            response = await problem_page(request, speak, error)
        response.headers.setdefault("Cache-Control", "no-store")
        if request.cookies.get("lang") != language and "/live/" not in request.url.path:
            response.set_cookie("lang", language, max_age=YEAR_S, httponly=True, samesite="lax")
        return response

    return serve


async def market(request: Request, t: Words) -> Response:
    """What trades now, what was offered and sold, and the end of the log."""
    gate = gate_of(request)
    shelf = await gate.read(catalogue.search_assets, Search(limit=1), None)
    return await render(
        request,
        t,
        "market.html",
        **await gate.read(_market_floor),
        total=shelf["total"],
        counts={
            facet: {one["value"]: one["assets"] for one in shelf["facets"][facet]}
            for facet in ("kind", "price")
        },
        kinds=KINDS,
        ways=WAYS,
        term=term_of(t),
    )


WAYS: Final = ("free", "fixed", "auction", "negotiated", "metered", "tender")
"""How an asset is had, as the catalogue's facet names it."""


async def find(request: Request, t: Words) -> Response:
    """From the number on a paper to what stands behind it: a certificate's page, or the entry of a voucher or of the log."""
    number = request.query_params.get("number", "").strip()[:100]
    if not number:
        return await render(request, t, "find.html", number="", unknown=False)
    try:
        leads = await _found(request, number)
    except NotFound:
        response = await render(request, t, "find.html", number=number, unknown=True)
        response.status_code = 404
        return response
    return RedirectResponse(f"/{t.language}{leads}", 303)


async def _found(request: Request, number: str) -> str:
    """The path of the page that a number leads to; NotFound where nothing has it."""
    gate = gate_of(request)
    if place := re.fullmatch(r"#?([0-9]{1,18})", number):
        _, head = await gate.read(_shared)
        if int(place[1]) >= head.edge.size:
            raise NotFound("log.unknown", f"no entry {number}", field="number", remedy="check the number")
        return f"/log?entry={place[1]}#check"
    if number.startswith("trade-"):
        return f"/log?entry={await gate.read(settlement.entry_of, number)}#check"
    return f"/certificates/{(await gate.read(register.certificate, number))['code']}"


async def live_market(request: Request, t: Words) -> Response:
    """The live part of the market page."""
    gate = gate_of(request)
    return await render(request, t, "parts/floor.html", **await gate.read(_market_floor))


async def _market_floor(session: AsyncSession) -> dict[str, Any]:
    return {
        "open_lots": await auctions.open_lots(session, ROWS_OF_MARKET),
        "ended_lots": await auctions.ended_lots(session, ROWS_OF_MARKET),
        "offers": await listings.listings(session, limit=ROWS_OF_MARKET, mode="fixed"),
        "leaves": await _leaves(session, None, LEAVES_ON_TAPE),
        "totals": await auctions.totals(session),
    }


async def lot(request: Request, t: Words) -> Response:
    """One lot: where it stands, how its price came about, its terms, its bids."""
    gate = gate_of(request)
    found = await gate.read(lot_standing, request.path_params["lot"])
    view = found["lot"]
    split = await gate.read(settlement.divided, view["listing"]) if view["settled"] else None
    return await render(
        request,
        t,
        "lot.html",
        **found,
        **await gate.read(newest_bids, view["id"], -1),
        flow=None if split is None else division(t, split),
    )


async def live_lot(request: Request, t: Words) -> Response:
    """Where a lot stands now."""
    return await render(
        request,
        t,
        "parts/standing.html",
        **await gate_of(request).read(lot_standing, request.path_params["lot"]),
    )


def index_asked(request: Request, name: str) -> int | None:
    """The log index that a parameter of an address names; None where it is missing or none."""
    asked = request.query_params.get(name, "")
    return int(asked) if asked.isdecimal() and len(asked) < 19 else None


async def live_bids(request: Request, t: Words) -> Response:
    """The newest bids of a lot, from behind log index `after`."""
    after = index_asked(request, "after")
    found = await gate_of(request).read(
        newest_bids, request.path_params["lot"], -1 if after is None else after
    )
    return await render(request, t, "parts/bids.html", **found)


async def lot_standing(session: AsyncSession, identifier: str) -> dict[str, Any]:
    """A lot as the public sees it, the least price that it takes now, and the rules that it goes by."""
    view = await auctions.lot(session, identifier)
    terms = AscendingRules(
        start_price_fen=int(view["start_price_fen"]),
        increment_fen=int(view["increment_fen"]),
        opens_at_us=int(view["opens_us"]),
        closes_at_us=int(view["first_closes_us"]),
        soft_close_window_us=int(view["soft_close_window_us"]),
        soft_close_extension_us=int(view["soft_close_extension_us"]),
        ceiling_fen=None if view["ceiling_fen"] is None else int(view["ceiling_fen"]),
        priority=tuple(view["priority"]),
        draw_at_ceiling=view["draw"] is not None,
    )
    price = view["standing_price_fen"]
    standing = Standing(
        None if price is None else int(price),
        view["standing_code"],
        None,
        int(view["bids"]),
        int(view["closes_us"]),
        tuple(view["at_ceiling"]),
    )
    rules = await rulebook.at(session, int(view["opens_us"]))
    return {
        "terms": terms,
        "standing": standing,
        "lot": view,
        "least_fen": least_admissible_fen(terms, standing) if view["state"] == "open" else None,
        "cite": rules.behind,
    }


async def newest_bids(session: AsyncSession, identifier: str, after: int) -> dict[str, Any]:
    """The newest bids, newest first; `behind` is where the next look may start, so that it reads no more than it shows."""
    shown: deque[dict[str, Any]] = deque(maxlen=BIDS_SHOWN + 1)
    at = after
    while page := await auctions.bids(session, identifier, at):
        shown.extend(page)
        at = int(page[-1]["index"])
    behind = int(shown.popleft()["index"]) if len(shown) > BIDS_SHOWN else after
    return {"bids": list(reversed(shown)), "behind": behind, "lot_id": identifier}


async def catalogue_page(request: Request, t: Words) -> Response:
    """What there is, found by words and narrowed by facets: links and one form, so that it needs no script."""
    asked = {name: value for name in SEARCHED if (value := request.query_params.get(name, "").strip()[:200])}
    after = request.query_params.get("after", "")
    search = Search(
        **asked, after=Place.parse(after) if re.fullmatch(CURSOR, after) else None, limit=CARDS_A_PAGE
    )
    found = await gate_of(request).read(catalogue.search_assets, search, None)

    def narrowed(**changed: str | None) -> str:
        """The address of this page with other filters, from its first page on."""
        kept = {name: value for name, value in {**asked, **changed}.items() if value}
        return f"/{t.language}/catalogue{'?' + urlencode(kept) if kept else ''}"

    full = len(found["assets"]) == CARDS_A_PAGE
    return await render(
        request,
        t,
        "catalogue.html",
        **found,
        asked=asked,
        first=search.after is None,
        next=narrowed(after=found["assets"][-1]["place"]) if full else None,
        narrowed=narrowed,
        term=term_of(t),
        facet_names=[name for name in SEARCHED if name != "text"],
    )


async def asset_page(request: Request, t: Words) -> Response:
    """One registered asset: what it is, what it states, its columns and first rows, and how it is had."""
    gate, identifier = gate_of(request), request.path_params["asset"]
    found = await gate.read(catalogue.dossier, identifier, None)
    columns, rows = None, []
    if found["product"] is not None:
        columns, shown = await gate.read(catalogue.dictionary, identifier, None)
        if shown:
            vault: Vault = request.app.state.vault
            with suppress(ExchangeError):  # the page is whole without them
                rows = await asyncio.to_thread(catalogue.sample, vault, columns["product_digest"])
    said = await gate.read(ratings.ratings_of_asset, identifier, None)
    kin = await gate.read(lineage.lineage, identifier, None)
    return await render(
        request,
        t,
        "asset.html",
        ratings=said,
        stars=_stars,
        descent=_descent(t, found["asset"]["title"], kin),
        newest=None if kin["newest"] == identifier else kin["newest"],
        quality=_quality(t, await gate.read(catalogue.quality, identifier, None)),
        use_cases=await gate.read(usecases.use_cases_of_asset, identifier, None, await gate.now_us()),
        card=found.pop("asset"),
        **found,
        columns=columns,
        rows=rows,
        term=term_of(t),
        steps=STEPS,
    )


def _quality(t: Words, found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The six scores of an asset's file, each with what was counted or why nothing was; drawn where three make a shape."""
    if found is None:
        return None
    told = Quality.from_json(found["counted"])
    scores = [
        (each.dimension.words(t.language).capitalize(), told.score_ppm(each.dimension))
        for each in told.dimensions
    ]
    rows = [
        {
            "name": name,
            "score_ppm": score_ppm,
            "judged": sum(one.judged for one in each.evidence) if isinstance(each, Measured) else 0,
            "why": "" if isinstance(each, Measured) else each.words(t.language),
        }
        for (name, score_ppm), each in zip(scores, told.dimensions, strict=True)
    ]
    return {
        "rows": rows,
        "picture": radar(t("asset.quality"), scores)
        if sum(ppm is not None for _, ppm in scores) >= 3
        else None,
        "standard": told.standard,
        "index": found["index"],
    }


KIN_SHOWN = 12
"""Of the assets that one was made of, and of those that were made of it."""


def _descent(t: Words, title: str, kin: Mapping[str, Any]) -> Any:
    """The picture of an asset's descent; None for one that has no kin."""
    if not (kin["parents"] or kin["children"]):
        return None
    shown = [
        [
            Kin(
                one["title"],
                t.named("kin", f"{side}_{one['relation']}"),
                f"/{t.language}/assets/{one['asset']}",
            )
            for one in kin[side][:KIN_SHOWN]
        ]
        for side in ("parents", "children")
    ]
    return descent(t("asset.kin"), title, *shown)


def _stars(hundredths: str | None) -> str:
    """A mean in hundredths of a star as people read it."""
    return "–" if hundredths is None else f"{int(hundredths) // 100}.{int(hundredths) % 100:02d}"


def term_of(t: Words) -> Callable[[str, str], str]:
    """What a value of a facet is called: kinds and themes as the taxonomy names them, others as the catalogue of words."""

    def named(facet: str, value: str) -> str:
        match facet:
            case "kind" if value in KINDS:
                return KINDS[value].zh if t.language == "zh" else KINDS[value].en
            case "theme" | "base_library" if value in THEMES:
                return THEMES[value].zh if t.language == "zh" else THEMES[value].en
            case "grade":
                return t.named("grade", value)
            case _:
                return t.named(f"facet_{facet}", value)

    return named


async def log_page(request: Request, t: Words) -> Response:
    """The public log: checkpoint, entries, anchors, and a check that runs in the reader's browser."""
    gate = gate_of(request)
    return await render(request, t, "log.html", **await gate.read(_log, index_asked(request, "before")))


async def live_log(request: Request, t: Words) -> Response:
    """The newest entries of the log."""
    return await render(request, t, "parts/entries.html", **await gate_of(request).read(_log, None))


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


async def statistics_page(request: Request, t: Words) -> Response:
    """What the market came to: pictures whose figures stand beside them."""
    gate = gate_of(request)
    found = await gate.read(statistics.statistics, await gate.now_us())
    term = term_of(t)
    shelves = {
        facet: [
            {
                "name": row["name"] or term(facet, row["value"]),
                "count": row["assets"],
                "href": f"/{t.language}/catalogue?{urlencode({facet: row['value']})}",
            }
            for row in rows
        ]
        for facet, rows in found["facets"].items()
    }
    top_fen = max((int(row["volume_fen"]) for row in found["months"]), default=0)
    return await render(request, t, "statistics.html", found=found, shelves=shelves, top_fen=max(top_fen, 1))


async def certificate(request: Request, t: Words) -> Response:
    """A registration certificate by its public code, as a page and, printed, as a sheet."""
    gate = gate_of(request)
    found = await gate.read(register.certificate, request.path_params["code"])
    kind, theme = KINDS[found["kind"]], THEMES.get(found["theme"])
    steps = [
        {"name": name, **found[part][name]}
        for part, names in (("evidence", STEPS), ("steps", ("applied", "accepted", "reviewed")))
        for name in names
        if name in found[part]
    ]
    return await render(
        request,
        t,
        "certificate.html",
        found=found,
        kind=getattr(kind, t.language),
        theme=None if theme is None else getattr(theme, t.language),
        steps=steps,
        mark=mark(request, t.language, max(int(step["index"]) for step in steps)),
        cite=(await gate.read(rulebook.at, await gate.now_us())).behind,
    )


async def api(request: Request, t: Words) -> Response:
    """The API's contract as people read it."""
    document = await asyncio.to_thread(request.app.openapi)
    return await render(request, t, "api.html", **reference(document, t.language))


async def missing(request: Request, t: Words) -> Response:
    """Whatever has no page."""
    raise NotFound("page.unknown", request.url.path, field="path")


PAGES: Final[tuple[tuple[str, Page], ...]] = (
    ("/", market),
    ("/catalogue", catalogue_page),
    ("/assets/{asset}", asset_page),
    ("/lots/{lot}", lot),
    ("/certificates/{code}", certificate),
    ("/find", find),
    ("/log", log_page),
    ("/statistics", statistics_page),
    ("/api", api),
    ("/live/market", live_market),
    ("/live/lots/{lot}", live_lot),
    ("/live/lots/{lot}/bids", live_bids),
    ("/live/log", live_log),
    ("/{rest:path}", missing),
)


async def problem_page(request: Request, t: Words, error: ExchangeError) -> Response:
    """An error in the reader's language, with its code; a live part that fails leaves the page as it was."""
    if "/live/" in request.url.path:
        return Response(status_code=error.status)
    response = await render(request, t, "problem.html", error=error, path=request.url.path)
    response.status_code = error.status
    return response


async def render(request: Request, t: Words, template: str, **found: Any) -> HTMLResponse:
    """A template with what all of them show: the market, its time, its newest checkpoint; of a refusal its rules as well."""
    gate = gate_of(request)
    view, head = await gate.read(_shared)
    now_us = await gate.now_us()
    problem = found["visit"].problem if "visit" in found else found.get("problem")
    refused_by: Sequence[rulebook.Rule] = ()
    if problem is not None and problem.code in rulebook.GATES:
        refused_by = (await gate.read(rulebook.at, now_us)).behind(problem.code)
    path = request.url.path.split("/", 2)[2]
    page = templates().get_template(template)
    text = page.render(
        t=t,
        lang=t.language,
        other={"zh": "en", "en": "zh"}[t.language],
        rest=path + (f"?{request.url.query}" if request.url.query else ""),
        market=view,
        now_us=now_us,
        refused_by=refused_by,
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
    environment.filters["minus"] = minus
    environment.filters["json"] = lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    environment.globals["asset"] = _asset
    return environment


@cache
def _asset(name: str) -> str:
    """The address of a static file, which changes with its content."""
    digest = sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


def gate_of(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate
