"""What a department's assets earn: a wizard that puts one on offer under the rules that it shows, and the split of each sale."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from exchange import auctions, catalogue, metering, negotiation, parties, rulebook, sales, settlement
from exchange.errors import NotFound, Unprocessable
from exchange.listings import GRANTS, Offer
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.enterprise import title_of
from exchange.web.pictures import division
from pricing.metering import Meter, Unit

DEPARTMENT: Final = ("supplier",)
TRADES_SHOWN: Final = 50

FIELDS: Final = (
    "mode", "grant", "licences", "term_days", "price", "ceiling", "reason", "increment", "deposit", "opens", "closes",
    "unit", "unit_price", "unit_ceiling",
)  # fmt: skip
"""What the wizard asks, and carries from its preview to its publication."""

MODES: Final = ("auction", "fixed", "negotiated", "metered")
"""The ways to sell that the wizard offers."""

EXAMPLES: Final = {Unit.CALL: 1_000_000, Unit.DAY: 30, Unit.ROW: 1_000_000, Unit.MEGABYTE: 1_000}
"""So many units show what a price by use comes to."""

Offering = sales.OfferFixedPrice | auctions.OpenLot | negotiation.OfferNegotiated | metering.OfferMetered


@desk_page("/desk/assets/{asset}/offer", roles=DEPARTMENT)
async def offer(visit: Visit) -> Response:
    """Each term with the rule that binds it; after a check also what would come of it."""
    return await _show_offer(visit, None)


async def _show_offer(visit: Visit, checked: Offering | None) -> Response:
    identifier = visit.request.path_params["asset"]
    found = await visit.read(catalogue.dossier, identifier, visit.caller)
    card = found["asset"]
    if card["supplier"] != visit.caller.party:
        raise NotFound("asset.unknown", f"no asset {identifier!r}", field="asset")
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    appraised = found["appraisals"][-1]["value_fen"] if found["appraisals"] else None
    low = rules.value("auction.start_of_appraisal_at_least_ppm")
    given = {name: value for name in FIELDS if isinstance(value := visit.form.get(name, ""), str)}
    price_fen, example = (None, None) if checked is None else _example(checked)
    parts = None if price_fen is None else settlement.split(price_fen, rules, None)
    return await visit.show(
        "desk/offer.html",
        card=card,
        appraised_fen=appraised,
        least_fen=None if appraised is None else -(-appraised * low // 1_000_000),
        given=given,
        checked=checked,
        example=example,
        flow=None if parts is None else division(visit.t, _parts_of(parts)),
        operated=card["operator"] is not None,
        grants=GRANTS,
        modes=MODES,
        units=[(unit.value, visit.t.named("per", unit.value)) for unit in Unit],
        value=rules.value,
        cite=rules.behind,
    )


def _example(terms: Offering) -> tuple[int | None, int | None]:
    """What a sale under these terms pays, and for how much where it is charged by use; no price while none is agreed."""
    if isinstance(terms, metering.OfferMetered):
        unit = Unit(terms.unit)
        quantity = EXAMPLES[unit] * unit.counted
        return Meter(unit, terms.unit_price_micro).charge_fen(quantity), quantity
    if isinstance(terms, negotiation.OfferNegotiated):
        return terms.offer.price_fen or None, None
    return terms.offer.price_fen, None


def _parts_of(parts: settlement.Split) -> dict[str, int]:
    return {
        "price_fen": parts.price_fen,
        "buyer_fee_fen": parts.buyer_fee_fen,
        "seller_fee_fen": parts.seller_fee_fen,
        "tax_fen": parts.tax_fen,
        "shares_fen": sum(fen for _, fen in parts.holders_fen),
    }


def _act(visit: Visit) -> tuple[Any, Offering]:
    """What the form offers, and the room that decides it. A price that comes later, and one by use, are no price of the offer."""
    mode, grant = visit.text("mode", at_most=10), visit.text("grant", at_most=10)
    if mode not in MODES:
        raise Unprocessable(
            "listing.mode", mode, field="mode", rule=f"one of {', '.join(MODES)}", remedy="choose one"
        )
    asset = visit.request.path_params["asset"]

    def said(name: str) -> bool:
        return bool(visit.text(name, at_most=25, needed=False))

    priced = mode in ("fixed", "auction") or (mode == "negotiated" and said("price"))
    terms = Offer(
        grant,
        visit.whole("licences", at_most=10**9),
        visit.whole("term_days", at_most=10**6),
        visit.fen("price") if priced else 0,
        visit.fen("ceiling") if mode != "metered" and said("ceiling") else None,
        visit.text("reason", needed=False),
    )
    if mode == "fixed":
        return sales.offer_fixed_price, sales.OfferFixedPrice(asset, terms)
    if mode == "negotiated":
        return negotiation.offer_negotiated, negotiation.OfferNegotiated(asset, terms)
    if mode == "metered":
        ceiling = visit.millionths("unit_ceiling") if said("unit_ceiling") else None
        price = visit.millionths("unit_price")
        return metering.offer_metered, metering.OfferMetered(
            asset, terms, visit.text("unit", at_most=20), price, ceiling
        )
    lot = auctions.OpenLot(
        asset,
        terms,
        visit.fen("increment"),
        visit.fen("deposit"),
        visit.instant("opens"),
        visit.instant("closes"),
    )
    return auctions.open_lot, lot


@offer.on("check")
async def check(visit: Visit) -> Response:
    """Let the rules decide what would come of it, and record nothing."""
    decide, act = _act(visit)
    await visit.gate.rehearse(decide, act, caller=visit.caller)
    return await _show_offer(visit, act)


@offer.on("publish", fresh=True)
async def publish(visit: Visit) -> Response:
    """Put it on offer."""
    decide, act = _act(visit)
    reply = await visit.perform(decide, act)
    return visit.done("offered", reply, to=f"/desk/assets/{act.asset}")


@desk_page("/desk/income", nav="income", roles=DEPARTMENT)
async def income(visit: Visit) -> Response:
    """The department's account, and each of its sales and statements of use with how the price was divided."""
    account = await visit.read(parties.account_of, visit.caller)
    made = await visit.read(settlement.trades, visit.caller, None, TRADES_SHOWN)
    earned = [one for one in made if one["seller"] == visit.caller.party]
    earned += await visit.read(metering.charged, visit.caller, TRADES_SHOWN)
    earned.sort(key=lambda one: -int(one["index"]))
    sold = []
    for one in earned[:TRADES_SHOWN]:
        split = one["split"]
        said = {
            "price_fen": int(one["price_fen"]),
            "buyer_fee_fen": int(split["buyer_fee_fen"]),
            "seller_fee_fen": int(split["seller_fee_fen"]),
            "tax_fen": int(split["tax_fen"]),
            "shares_fen": sum(int(fen) for fen in split["shares_fen"]),
        }
        kept = said["price_fen"] - said["seller_fee_fen"] - said["tax_fen"] - said["shares_fen"]
        flow = division(visit.t, said) if said["price_fen"] else None
        title = await visit.read(title_of, one["asset"], visit.caller)
        sold.append({"of": one, "title": title, **said, "kept_fen": kept, "flow": flow})
    return await visit.show("desk/income.html", account=account, sold=sold)


PAGES: Final[tuple[DeskPage, ...]] = (income, offer)
