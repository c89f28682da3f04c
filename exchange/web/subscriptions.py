"""What is charged by use, at the desk: its whole cost before one subscribes, usage against the quota, statements line by line."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from starlette.responses import RedirectResponse, Response

from exchange import contracting, discounts, invoices, listings, metering, parties, rulebook, settlement
from exchange.errors import NotFound
from exchange.rulebook import Rulebook
from exchange.sheets import BOM, CSV, sheet_lines
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.enterprise import BUYERS, ROWS, TRADERS, index_in, purposes_for, refused, title_of
from exchange.web.pictures import mark, used_of
from pricing.errors import PricingError
from pricing.metering import Meter, Unit

RECORDS_SHOWN: Final = 100
"""Records of a statement on its page; its sheet has all of them."""


@desk_page("/desk/listings/{listing}/subscription", roles=BUYERS)
async def subscribing(visit: Visit) -> Response:
    """A listing that is charged by use: what a unit costs and what some quantities come to, and a quota to choose."""
    return await _show(visit, None)


async def _show(visit: Visit, looked: dict[str, Any] | None) -> Response:
    found = await visit.read(listings.listing, visit.request.path_params["listing"])
    if found["mode"] != "metered":
        return RedirectResponse(f"/{visit.t.language}/desk/listings/{found['id']}", 303)
    now_us = await visit.gate.now_us()
    rules = await visit.read(rulebook.at, now_us)
    meter = Meter(Unit(found["unit"]), int(found["unit_price_micro"]))
    register = await visit.read(discounts.discounts, found["id"])
    return await visit.show(
        "desk/metered.html",
        offer=found,
        looked=looked,
        menu=menu(meter, int(found["term_days"]), rules),
        discounts=[one for one in register if int(one["ends_us"]) > now_us],
        every_days=rules.value("metering.statement_every_days"),
        cite=rules.behind,
        purposes=await purposes_for(visit, found["purposes"]),
        account=await visit.read(parties.account_of, visit.caller),
    )


def menu(meter: Meter, term_days: int, rules: Rulebook) -> list[dict[str, int]]:
    """What some round quantities cost, with the buyer's fee: of days those that fill a term, of all else from a yuan on. Pure."""
    if meter.unit is Unit.DAY:
        units = sorted({min(days, term_days) for days in (1, 7, 30, term_days)})
    else:
        least = next((10**n for n in range(7) if meter.unit_price_micro * 10**n >= 1_000_000), 1)
        units = [least * 10**n for n in range(4)]
    rows = []
    for count in units:
        try:
            parts = settlement.split(meter.charge_fen(count * meter.unit.counted), rules, None)
        except PricingError:  # more than any account holds
            break
        rows.append(
            {
                "quantity": count * meter.unit.counted,
                "price_fen": parts.price_fen,
                "fee_fen": parts.buyer_fee_fen,
                "total_fen": parts.price_fen + parts.buyer_fee_fen,
            }
        )
    return rows


async def _act(visit: Visit) -> metering.Subscribe:
    """What the form asks for; megabytes are read to the byte."""
    identifier = visit.request.path_params["listing"]
    unit = (await visit.read(listings.listing, identifier))["unit"]
    quota = visit.millionths("quota") if unit == Unit.MEGABYTE else visit.whole("quota")
    purpose = visit.text("purpose", at_most=40, needed=False)
    return metering.Subscribe(identifier, quota, visit.text("pay", at_most=10) == "ahead", purpose)


@subscribing.on("look")
async def look(visit: Visit) -> Response:
    """Show the whole cost of a quota, by deciding the subscription and undoing it again."""
    outcome = orjson.loads(
        await visit.gate.rehearse(metering.subscribe, act := await _act(visit), caller=visit.caller)
    )
    if outcome["state"] == "refused":
        raise refused(outcome["reason"])
    cost = await visit.read(metering.rehearsed, visit.caller, outcome, await visit.gate.now_us())
    said = {name: visit.text(name, needed=False) for name in ("quota", "pay")}
    return await _show(visit, {**cost, "said": said, "purpose": act.purpose})


@subscribing.on("subscribe", fresh=True)
async def subscribe(visit: Visit) -> Response:
    """Subscribe: the quota's price is held, or paid ahead."""
    reply = await visit.perform(metering.subscribe, await _act(visit))
    name = orjson.loads(reply.outcome)["subscription"]
    return visit.done("subscribed", reply, to=f"/desk/subscriptions/{name}")


@desk_page("/desk/subscriptions", nav="subscriptions", roles=TRADERS)
async def subscriptions(visit: Visit) -> Response:
    """The subscriptions that the party has, sells or meters: how much of each quota is used, and when it is charged next."""
    rows = await visit.read(metering.subscriptions, visit.caller, index_in(visit, "before"), ROWS)
    return await visit.show(
        "desk/subscriptions.html",
        rows=rows,
        titles={row["asset"]: await visit.read(title_of, row["asset"], visit.caller) for row in rows},
        used_of=used_of,
        older=rows[-1]["index"] if len(rows) == ROWS else None,
    )


@desk_page("/desk/subscriptions/{subscription}", roles=TRADERS)
async def subscription(visit: Visit) -> Response:
    """One subscription: its quota as a picture, its terms, its statements."""
    row = await visit.read(metering.subscription, visit.caller, visit.request.path_params["subscription"])
    side = next((name for name in ("buyer", "seller") if row[name] == visit.caller.party), None)
    contract = None if side is None else await visit.read(contracting.contract, row["trade"], visit.caller)
    return await visit.show(
        "desk/subscription.html",
        row=row,
        side=side,
        title=await visit.read(title_of, row["asset"], visit.caller),
        contract=contract,
        signed=contract is not None and contract[f"{side}_index"] is not None,
        statements=(await visit.read(metering.statements, visit.caller, row["id"]))[::-1],
        used_of=used_of,
    )


@subscription.on("end", fresh=True)
async def end(visit: Visit) -> Response:
    """End it: what was used is charged, what is held beyond it goes back."""
    act = metering.EndSubscription(visit.request.path_params["subscription"])
    return visit.done("subscription_ended", await visit.perform(metering.end_subscription, act))


STATEMENT: Final = "/desk/subscriptions/{subscription}/statements/{number}"


@desk_page(STATEMENT, roles=TRADERS)
async def statement(visit: Visit) -> Response:
    """One statement: the records that it sums up, what they cost, and the lines to book it by."""
    told = await _told(visit)
    row = await visit.read(metering.subscription, visit.caller, told["subscription"])
    return await visit.show(
        "desk/statement.html",
        told=told,
        row=row,
        title=await visit.read(title_of, row["asset"], visit.caller),
        shown=RECORDS_SHOWN,
        lines=invoices.lines_of(told),
        mark=mark(visit.request, visit.t.language, told["index"]),
    )


@desk_page(f"{STATEMENT}/sheet.csv", roles=TRADERS)
async def sheet(visit: Visit) -> Response:
    """The same as a sheet, as the API writes it."""
    told = await _told(visit)
    name = f"{told['subscription']}-{told['number']}.csv"
    return Response(
        BOM + sheet_lines(metering.sheet(told)),
        media_type=CSV,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _told(visit: Visit) -> dict[str, Any]:
    name, number = (visit.request.path_params[one] for one in ("subscription", "number"))
    if not re.fullmatch("[1-9][0-9]{0,8}", number):
        raise NotFound("statement.unknown", f"no statement {number!r}", field="number")
    return await visit.read(metering.statement, visit.caller, name, int(number))


PAGES: Final[tuple[DeskPage, ...]] = (subscriptions, subscribing, subscription, statement, sheet)
