"""An enterprise's pages: what is on offer, orders, offers and bids, what was bought, money, webhooks, limits, due dates.

Whoever sells finds its negotiations, trades and money on the same pages. Money moves after a second factor; a bid is covered
by the one that was shown when its deposit was held, so that none is lost to a question.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from exchange import (
    acceptance,
    accounts,
    auctions,
    catalogue,
    controls,
    delivery,
    invoices,
    listings,
    metering,
    money,
    negotiation,
    parties,
    rulebook,
    sales,
    settlement,
    webhooks,
)
from exchange.acts import Caller
from exchange.catalogue import CURSOR, Place, Search
from exchange.errors import Malformed, NotFound, Unprocessable
from exchange.outbound import check_url
from exchange.web.console import CARDS_A_PAGE, lot_standing, newest_bids, render, term_of
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.pictures import mark
from exchange.web.words import MARKET_ZONE
from pricing.auctions import proxy_bid
from pricing.money import MAX_AMOUNT

BUYERS: Final = ("buyer",)
TRADERS: Final = ("buyer", "supplier", "operator")
ROWS: Final = 50
"""Rows of a page of trades, lines or negotiations."""

DAY_US: Final = 86_400_000_000
LINK_S: Final = {"hour": 3600, "day": 86_400, "week": 604_800}
"""For how long a link to a product may work."""

OFFERED: Final = ("auction", "fixed", "negotiated", "metered", "free")
"""How an asset may be had, as the catalogue's facet of prices names it."""


# Finding, watching, and what is due


@desk_page("/desk/discover", nav="discover", roles=BUYERS)
async def discover(visit: Visit) -> Response:
    """The catalogue as it leads on: to an order, an offer, a lot."""
    asked = visit.request.query_params
    text, price, after = asked.get("text", "").strip()[:200], asked.get("price", ""), asked.get("after", "")
    search = Search(
        text=text or None,
        price=price if price in OFFERED else None,
        after=Place.parse(after) if re.fullmatch(CURSOR, after) else None,
        limit=CARDS_A_PAGE,
    )
    found = await visit.read(catalogue.search_assets, search, visit.caller)
    full = len(found["assets"]) == CARDS_A_PAGE
    return await visit.show(
        "desk/discover.html",
        assets=found["assets"],
        text=text,
        price=search.price or "",
        prices=OFFERED,
        next=found["assets"][-1]["place"] if full else None,
        joined=await visit.read(auctions.joined, visit.caller),
        term=term_of(visit.t),
    )


@desk_page("/desk/watch", nav="watch", roles=BUYERS)
async def watch(visit: Visit) -> Response:
    """Lots that the party watches, and what became of those and of the ones that it joined."""
    return await visit.show(
        "desk/watch.html",
        lots=await visit.read(auctions.watched, visit.caller),
        notices=await visit.read(auctions.notices, visit.caller, None, 20),
    )


async def _watch(visit: Visit) -> Response:
    wanted = visit.text("watch") == "yes"
    reply = await visit.perform(auctions.watch_lot, auctions.WatchLot(visit.plain("lot"), wanted))
    return visit.done("lot_watched" if wanted else "lot_unwatched", reply)


watch.on("watch")(_watch)


@desk_page("/desk/dates", nav="dates", roles=TRADERS)
async def dates(visit: Visit) -> Response:
    """What the party has before it, in the order of time."""
    now_us = await visit.gate.now_us()
    return await visit.show("desk/dates.html", dates=await visit.read(_dates, visit.caller, now_us))


async def _dates(session: AsyncSession, caller: Caller, now_us: int) -> list[dict[str, Any]]:
    """Moments to come, each with what then happens, to what, and where one sees it."""
    found: list[tuple[str, str, str, Any]] = []
    for lot in await auctions.joined(session, caller):
        path = f"/desk/lots/{lot['id']}"
        won = lot["winner_code"] == lot["place"]["code"]
        if lot["state"] == "open":
            found.append(("opens", lot["asset_title"], path, lot["opens_us"]))
            found.append(("closes", lot["asset_title"], path, lot["closes_us"]))
        if lot["state"] == "sold" and won and not lot["settled"]:
            found.append(("pay_by", lot["asset_title"], path, lot["pay_by_us"]))
        if lot["state"] != "open" and lot["place"]["state"] == "admitted" and not won:
            found.append(("refund_by", lot["asset_title"], path, lot["refund_by_us"]))
    for lot in await auctions.watched(session, caller):
        if lot["state"] == "open":
            found.append(("watched", lot["asset_title"], f"/desk/lots/{lot['id']}", lot["closes_us"]))
    for one in await negotiation.negotiations(session, caller, None, ROWS):
        if one["state"] == "open":
            found.append(("offer", one["listing"], "/desk/negotiations", one["expires_us"]))
    for one in await acceptance.acceptances_of(session, caller, now_us, limit=1000):
        if one["state"] == "open" and one["buyer"] == caller.party:
            found.append(("acceptance", one["licence"], "/desk/licences", one["ends_us"]))
        elif one["state"] in ("objected", "mediation"):
            found.append(("mediation", one["licence"], "/desk/licences", one["due_us"]))
    for used in await metering.subscriptions(session, caller, None, ROWS):
        if used["state"] == "open":
            found.append(("statement", used["id"], f"/desk/subscriptions/{used['id']}", used["next_us"]))
    for licence in await delivery.licences_of(session, caller, limit=100):
        if licence["state"] == "active":
            found.append(("licence", licence["id"], "/desk/licences", licence["ends_us"]))
    return [
        {"what": what, "about": about, "path": path, "at_us": int(at_us)}
        for what, about, path, at_us in sorted(found, key=lambda one: int(one[3] or 0))
        if at_us is not None and int(at_us) > now_us
    ]


# Orders and offers


@desk_page("/desk/listings/{listing}", roles=BUYERS)
async def listing(visit: Visit) -> Response:
    """One listing: an order at its price, or an offer where it is negotiated; a lot, and what is charged by use, have pages
    of their own.
    """
    return await _show_listing(visit, None)


async def _show_listing(visit: Visit, looked: dict[str, Any] | None) -> Response:
    found = await visit.read(listings.listing, visit.request.path_params["listing"])
    if found["mode"] == "auction":
        return RedirectResponse(f"/{visit.t.language}/desk/lots/{found['lot']}", 303)
    if found["mode"] == "metered":
        return RedirectResponse(f"/{visit.t.language}/desk/listings/{found['id']}/subscription", 303)
    if found["mode"] not in ("fixed", "negotiated"):  # by tender: the asset's page says how
        return RedirectResponse(f"/{visit.t.language}/assets/{found['asset']}", 303)
    return await visit.show(
        "desk/listing.html",
        offer=found,
        looked=looked,
        cite=(await visit.read(rulebook.at, await visit.gate.now_us())).behind,
        purposes=await purposes_for(visit, found["purposes"]),
        account=await visit.read(parties.account_of, visit.caller),
    )


async def purposes_for(visit: Visit, allowed: list[str]) -> list[tuple[str, str]]:
    """What a buyer may state; those that the asset is opened for, where it is opened for some alone."""
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    known = [name for name in rules.words("opening.purposes") if not allowed or name in allowed]
    options = [(name, visit.t.named("purpose", name)) for name in known]
    return options if allowed else [("", visit.t("order_form.no_purpose")), *options]


def _order(visit: Visit) -> sales.Buy:
    licences = visit.whole("licences", at_most=1_000_000)
    purpose = visit.text("purpose", at_most=40, needed=False)
    return sales.Buy(visit.request.path_params["listing"], licences, None, purpose)


@listing.on("look")
async def look(visit: Visit) -> Response:
    """Show the whole cost of an order, by deciding it and undoing it again."""
    act = _order(visit)
    outcome = orjson.loads(await visit.gate.rehearse(sales.buy, act, caller=visit.caller))
    told = await visit.read(sales.rehearsed, visit.caller, act, outcome, await visit.gate.now_us())
    if told["reason"] is not None:
        raise refused(told["reason"])
    return await _show_listing(visit, {**told["cost"], "licences": act.licences, "purpose": act.purpose})


@listing.on("buy", fresh=True)
async def buy(visit: Visit) -> Response:
    """Buy at the fixed price."""
    reply = await visit.perform(sales.buy, _order(visit))
    trade = orjson.loads(reply.outcome)["voucher"]["trade"]
    return visit.done("bought", reply, to=f"/desk/trades/{trade}")


@listing.on("offer", fresh=True)
async def make_offer(visit: Visit) -> Response:
    """Offer a price for what is up for negotiation."""
    act = negotiation.MakeOffer(
        visit.request.path_params["listing"],
        visit.fen("price"),
        visit.whole("licences", at_most=1_000_000),
        visit.instant("expires"),
        visit.text("purpose", at_most=40, needed=False),
    )
    return visit.done("offer_made", await visit.perform(negotiation.make_offer, act), to="/desk/negotiations")


def refused(reason: dict[str, Any]) -> Unprocessable:
    return Unprocessable(
        reason["code"],
        reason["detail"],
        field=reason.get("field"),
        rule=reason.get("rule"),
        remedy=reason.get("remedy"),
    )


@desk_page("/desk/negotiations", nav="negotiations", roles=TRADERS)
async def negotiations(visit: Visit) -> Response:
    """Offers and counter-offers, whose turn it is, and what accepting would cost."""
    before = index_in(visit, "before")
    rows = await visit.read(negotiation.negotiations, visit.caller, before, ROWS)
    now_us = await visit.gate.now_us()
    rules = await visit.read(rulebook.at, now_us)
    for row in rows:
        row["mine"] = "buyer" if row["buyer"] == visit.caller.party else "seller"
        row["over"] = row["state"] != "open" or int(row["expires_us"]) <= now_us
        price_fen = min(int(row["price_fen"]) * int(row["licences"]), MAX_AMOUNT)
        row["parts"] = settlement.split(price_fen, rules, None)
        row["listed"] = await visit.read(listings.listing, row["listing"])
    return await visit.show("desk/negotiations.html", rows=rows, older=_older(rows), cite=rules.behind)


@negotiations.on("accept", fresh=True)
async def accept(visit: Visit) -> Response:
    """Accept the offer on the table, as it was read."""
    act = negotiation.AcceptOffer(visit.plain("negotiation"), visit.whole("seen"))
    reply = await visit.perform(negotiation.accept_offer, act)
    trade = orjson.loads(reply.outcome)["voucher"]["trade"]
    return visit.done("offer_accepted", reply, to=f"/desk/trades/{trade}")


@negotiations.on("counter", fresh=True)
async def counter(visit: Visit) -> Response:
    """Answer an offer with another."""
    act = negotiation.CounterOffer(
        visit.plain("negotiation"),
        visit.whole("seen"),
        visit.fen("price"),
        visit.whole("licences", at_most=1_000_000),
        visit.instant("expires"),
    )
    return visit.done("offer_countered", await visit.perform(negotiation.counter_offer, act))


@negotiations.on("reject")
async def reject(visit: Visit) -> Response:
    """Say no, which ends the negotiation."""
    act = negotiation.RejectOffer(visit.plain("negotiation"), visit.text("reason", needed=False))
    return visit.done("offer_rejected", await visit.perform(negotiation.reject_offer, act))


@negotiations.on("withdraw")
async def take_back(visit: Visit) -> Response:
    """Take the own offer off the table."""
    act = negotiation.WithdrawOffer(visit.plain("negotiation"))
    return visit.done("offer_withdrawn", await visit.perform(negotiation.withdraw_offer, act))


# Bidding


@desk_page("/desk/lots/{lot}", roles=BUYERS)
async def lot(visit: Visit) -> Response:
    """One lot as its bidder sits before it: where it stands, the own place, what the next bid is and costs."""
    identifier, now_us = visit.request.path_params["lot"], await visit.gate.now_us()
    found = await visit.read(_bidding, visit.caller, identifier, now_us)
    return await visit.show(
        "desk/lot.html",
        **found,
        **await visit.read(newest_bids, identifier, -1),
        purposes=await purposes_for(visit, found["card"].get("purposes") or []),
        watched={one["id"] for one in await visit.read(auctions.watched, visit.caller)},
    )


@desk_page("/desk/lots/{lot}/place", roles=BUYERS)
async def place(visit: Visit) -> Response:
    """The part of that page that changes with every bid, for its script."""
    now_us = await visit.gate.now_us()
    found = await visit.read(_bidding, visit.caller, visit.request.path_params["lot"], now_us)
    return await render(visit.request, visit.t, "parts/place.html", visit=visit, **found)


async def _bidding(session: AsyncSession, caller: Caller, identifier: str, now_us: int) -> dict[str, Any]:
    """A lot, the caller's place on it, and the bid that would lead now, with its whole cost and what would come of it."""
    found = await lot_standing(session, identifier)
    view = found["lot"]
    mine = await auctions.joined(session, caller, identifier)
    own = mine[0]["place"] if mine else None
    open_now = view["state"] == "open" and int(view["opens_us"]) <= now_us < int(view["closes_us"])
    next_fen = found["least_fen"]
    if own is not None:
        next_fen = proxy_bid(found["terms"], found["standing"], own["code"], MAX_AMOUNT) if open_now else None
    asked_fen = next_fen or int(view["standing_price_fen"] or view["start_price_fen"])
    would = await auctions.rehearse_bid(session, caller, auctions.PlaceBid(identifier, asked_fen), now_us)
    dossier = await catalogue.dossier(session, view["asset"], caller)
    return {
        **found,
        "own": own,
        "leading": own is not None
        and (view["standing_code"] == own["code"] or own["code"] in view["at_ceiling"]),
        "won": own is not None and view["winner_code"] == own["code"],
        "open_now": open_now,
        "next_fen": next_fen,
        "would": would,
        "card": dossier["asset"],
    }


lot.on("watch")(_watch)


@lot.on("join", fresh=True)
async def join(visit: Visit) -> Response:
    """Have the deposit held, and get a code."""
    nonce = visit.text("nonce", at_most=64, needed=False)
    act = auctions.JoinLot(
        visit.request.path_params["lot"], visit.text("purpose", at_most=40, needed=False), nonce or None
    )
    return visit.done("lot_joined", await visit.perform(auctions.join_lot, act))


@lot.on("bid")
async def bid(visit: Visit) -> Response:
    """Bid; what the deposit covers was confirmed when it was held."""
    act = auctions.PlaceBid(visit.request.path_params["lot"], visit.fen("price_fen"))
    return visit.done("bid_admitted", await visit.perform(auctions.place_bids, act))


# What was bought


@desk_page("/desk/trades", nav="trades", roles=TRADERS)
async def trades(visit: Visit) -> Response:
    """The party's trades, newest first."""
    rows = await visit.read(settlement.trades, visit.caller, index_in(visit, "before"), ROWS)
    titles = {row["asset"]: await visit.read(title_of, row["asset"], visit.caller) for row in rows}
    return await visit.show("desk/trades.html", rows=rows, titles=titles, older=_older(rows))


@desk_page("/desk/trades/{trade}", roles=TRADERS)
async def trade(visit: Visit) -> Response:
    """The confirmation and voucher of one trade, to be printed; its code leads to the proof."""
    found = await visit.read(settlement.trade, visit.caller, visit.request.path_params["trade"])
    return await visit.show(
        "desk/trade.html",
        trade=found,
        invoice=await visit.read(invoices.invoice, visit.caller, found["trade"]),
        title=await visit.read(title_of, found["asset"], visit.caller),
        mark=mark(visit.request, visit.t.language, found["index"]),
    )


async def title_of(session: AsyncSession, asset: str, caller: Caller) -> str:
    """What an asset is called; its identifier where it was withdrawn."""
    try:
        title: str = (await catalogue.dossier(session, asset, caller))["asset"]["title"]
    except NotFound:  # it was withdrawn since
        return asset
    return title


@desk_page("/desk/licences", nav="licences", roles=BUYERS)
async def licences(visit: Visit) -> Response:
    """What the party may use, until when, and whether it accepted what was delivered."""
    return await _show_licences(visit, None)


async def _show_licences(visit: Visit, link: dict[str, Any] | None) -> Response:
    now_us = await visit.gate.now_us()
    after = visit.request.query_params.get("after", "")
    rows = await visit.read(
        lambda session: delivery.licences_of(
            session, visit.caller, after=after if re.fullmatch("[A-Za-z0-9_-]{1,64}", after) else None
        )
    )
    told = await visit.read(
        lambda session: acceptance.acceptances_of(session, visit.caller, now_us, limit=1000)
    )
    rules = await visit.read(rulebook.at, now_us)
    return await visit.show(
        "desk/licences.html",
        rows=[
            {
                **row,
                "title": await visit.read(title_of, row["asset"], visit.caller),
                "accesses": await visit.read(delivery.accesses_of, row["id"], visit.caller),
                "ended": row["ends_us"] <= now_us,
            }
            for row in rows
        ],
        acceptances={one["licence"]: one for one in told},
        link=link,
        spans=[(name, visit.t.named("link_span", name)) for name in LINK_S],
        grounds=[(name, visit.t.named("ground", name)) for name in rules.words("acceptance.grounds")],
        next=rows[-1]["id"] if len(rows) == 20 else None,
    )


@licences.on("link")
async def link(visit: Visit) -> Response:
    """Make a link to the product that works for a while without a key, and show it once."""
    licence, span = visit.plain("licence"), visit.text("span")
    if span not in LINK_S:
        raise Malformed(
            "form.field", span, field="span", rule="an hour, a day or a week", remedy="choose one"
        )
    reply = await visit.perform(delivery.make_link, delivery.MakeLink(licence, LINK_S[span]))
    expires_us = int(orjson.loads(reply.outcome)["expires_us"])
    signature = delivery.sign_link(visit.request.app.state.link_key, licence, expires_us)
    path = f"/v1/deliveries/{licence}?expires={expires_us}&signature={signature}"
    told = {"licence": licence, "path": path, "expires_us": expires_us, "index": reply.index}
    return await _show_licences(visit, {**told, "base": str(visit.request.base_url).rstrip("/")})


@licences.on("accept")
async def accept_delivery(visit: Visit) -> Response:
    """Accept what was delivered."""
    act = acceptance.AcceptDelivery(visit.plain("licence"))
    return visit.done("delivery_accepted", await visit.perform(acceptance.accept_delivery, act))


@licences.on("object")
async def object_to(visit: Visit) -> Response:
    """Object to what was delivered, on a ground."""
    evidence = visit.text("scan", at_most=64, needed=False)
    act = acceptance.ObjectToDelivery(
        visit.plain("licence"),
        visit.text("ground"),
        visit.text("text"),
        visit.digest("scan").hex() if evidence else None,
    )
    return visit.done("delivery_objected", await visit.perform(acceptance.object_to_delivery, act))


# Money


@desk_page("/desk/money", nav="money", roles=TRADERS)
async def money_page(visit: Visit) -> Response:
    """What the party has, what is held and why, the statement, payouts."""
    own = await visit.read(parties.account_of, visit.caller)
    now_us = await visit.gate.now_us()
    since_us, until_us = _period(visit, now_us)
    found: dict[str, Any] = {"holds": [], "statement": None}
    if own["account"] is not None:
        after = index_in(visit, "after") or 0
        period = accounts.Period(since_us=since_us, until_us=until_us)
        found = {
            "holds": (await visit.read(accounts.account_at, visit.caller, own["account"], None))["holds"],
            "statement": await visit.read(
                accounts.statement, visit.caller, own["account"], period, after, ROWS
            ),
        }
    return await visit.show(
        "desk/money.html",
        own=own,
        **found,
        why={one["place"]["hold"]: one for one in await visit.read(auctions.joined, visit.caller)},
        payouts=await visit.read(money.withdrawals, visit.caller, None, None, 20),
        since=_day(since_us),
        until=_day(until_us - DAY_US),
    )


@money_page.on("withdraw", fresh=True)
async def withdraw(visit: Visit) -> Response:
    """Pay out what is free."""
    return visit.done(
        "withdrawn", await visit.perform(money.withdraw, money.Withdraw(visit.fen("amount_fen")))
    )


def _period(visit: Visit, now_us: int) -> tuple[int, int]:
    """The days that the statement is asked for, in the market's zone: the last thirty, unless others are named."""
    today = datetime.fromtimestamp(now_us // 1_000_000, MARKET_ZONE).replace(hour=0, minute=0, second=0)
    days = {"since": today - timedelta(days=29), "until": today}
    for name in days:
        said = visit.request.query_params.get(name, "")
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", said):
            try:
                days[name] = datetime.fromisoformat(said).replace(tzinfo=MARKET_ZONE)
            except ValueError:  # no such day: as if none were named
                continue
    since, until = (int(day.timestamp()) * 1_000_000 for day in days.values())
    return max(0, since), max(0, until) + DAY_US


def _day(us: int) -> str:
    return f"{datetime.fromtimestamp(us // 1_000_000, MARKET_ZONE):%Y-%m-%d}"


# Programs: webhooks, and what the party forbids itself


@desk_page("/desk/webhooks", nav="webhooks", roles=TRADERS)
async def webhooks_page(visit: Visit) -> Response:
    """Where the party is told of what concerns it, and how that fares."""
    return await _show_webhooks(visit, None)


async def _show_webhooks(visit: Visit, told: dict[str, Any] | None) -> Response:
    size = (await visit.gate.head()).edge.size
    rows = await visit.read(webhooks.endpoints, visit.caller, size)
    return await visit.show("desk/webhooks.html", rows=rows, told=told)


async def _with_secret(visit: Visit, decide: Any, act: Any) -> Response:
    reply = await visit.perform(decide, act)
    outcome = orjson.loads(reply.outcome)
    secret = webhooks.told_secret(
        visit.request.app.state.link_key, outcome["id"], int(outcome.get("version", "0"))
    )
    return await _show_webhooks(visit, {"id": outcome["id"], "secret": secret, "index": reply.index})


@webhooks_page.on("add", fresh=True)
async def add_webhook(visit: Visit) -> Response:
    """Be told at an address; the secret of the signatures is shown once."""
    url = visit.text("url", at_most=500)
    check_url(url, loopback=visit.request.app.state.webhook_loopback)
    kinds = visit.text("kinds", needed=False).replace(",", " ").split()
    if len(kinds) > 50 or not all(re.fullmatch("[a-z_]{1,40}", kind) for kind in kinds):
        raise Malformed(
            "form.field", "kinds", field="kinds", rule="names of kinds, at most 50", remedy="leave it empty"
        )
    return await _with_secret(visit, webhooks.add_webhook, webhooks.AddWebhook(url, tuple(kinds)))


@webhooks_page.on("rotate", fresh=True)
async def rotate_secret(visit: Visit) -> Response:
    """Take a new secret; the old one signs beside it for a day."""
    act = webhooks.RotateWebhookSecret(visit.plain("webhook"))
    return await _with_secret(visit, webhooks.rotate_webhook_secret, act)


@webhooks_page.on("replay")
async def replay(visit: Visit) -> Response:
    """Be told again from an entry on."""
    act = webhooks.ReplayWebhook(visit.plain("webhook"), visit.whole("sequence"))
    return visit.done("webhook_replayed", await visit.perform(webhooks.replay_webhook, act))


@webhooks_page.on("remove")
async def remove(visit: Visit) -> Response:
    """Be told nothing there any more."""
    act = webhooks.RemoveWebhook(visit.plain("webhook"))
    return visit.done("webhook_removed", await visit.perform(webhooks.remove_webhook, act))


@desk_page("/desk/controls", nav="controls", roles=TRADERS)
async def controls_page(visit: Visit) -> Response:
    """The kill switch, and the limits that the party sets itself."""
    now = await visit.read(controls.controls, visit.caller)
    limits = [
        None if now[name] is None else int(now[name])
        for name in ("sign_above_fen", "order_limit_fen", "heartbeat_us")
    ]
    return await visit.show("desk/controls.html", now=now, seen=controls.version(*limits))


@controls_page.on("limit", fresh=True)
async def limit(visit: Visit) -> Response:
    """Set all limits; an empty field lifts one."""

    def fen(name: str) -> int | None:
        return visit.fen(name) if visit.text(name, needed=False) else None

    beat = visit.whole("heartbeat_us", at_most=86_400) if visit.text("heartbeat_us", needed=False) else None
    act = controls.SetControls(
        fen("sign_above_fen"),
        fen("order_limit_fen"),
        None if beat is None else beat * 1_000_000,
        visit.text("seen", at_most=32),
    )
    return visit.done("controls_set", await visit.perform(controls.set_controls, act))


@controls_page.on("stop")
async def stop(visit: Visit) -> Response:
    """Pull the kill switch: at once, without another question."""
    act = controls.StopTrading(visit.caller.party)
    return visit.done("trading_stopped", await visit.perform(controls.stop_trading, act))


@controls_page.on("resume", fresh=True)
async def resume(visit: Visit) -> Response:
    """Let the party act again."""
    act = controls.ResumeTrading()
    return visit.done("trading_resumed", await visit.perform(controls.resume_trading, act))


def index_in(visit: Visit, name: str) -> int | None:
    """A log index or line number in the address; None for none."""
    said = visit.request.query_params.get(name, "")
    return int(said) if re.fullmatch("[0-9]{1,18}", said) else None


def _older(rows: list[dict[str, Any]]) -> str | None:
    return rows[-1]["index"] if len(rows) == ROWS else None


PAGES: Final[tuple[DeskPage, ...]] = (
    discover, watch, dates, negotiations, trades, licences, money_page, webhooks_page, controls_page, listing, place, lot,
    trade,
)  # fmt: skip
