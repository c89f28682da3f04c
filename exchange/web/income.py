"""What a department's assets earn: a wizard that puts one on offer under the rules that it shows, and the split of each sale."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from exchange import auctions, catalogue, parties, rulebook, sales, settlement
from exchange.errors import NotFound, Unprocessable
from exchange.listings import GRANTS, Offer
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.pictures import division

DEPARTMENT: Final = ("supplier",)
TRADES_SHOWN: Final = 50

FIELDS: Final = (
    "mode", "grant", "licences", "term_days", "price", "ceiling", "reason", "increment", "deposit", "opens", "closes",
)  # fmt: skip
"""What the wizard asks, and carries from its preview to its publication."""


@desk_page("/desk/assets/{asset}/offer", roles=DEPARTMENT)
async def offer(visit: Visit) -> Response:
    """Each term with the rule that binds it; after a check also what would come of it."""
    return await _show_offer(visit, None)


async def _show_offer(visit: Visit, price_fen: int | None) -> Response:
    identifier = visit.request.path_params["asset"]
    found = await visit.read(catalogue.dossier, identifier, visit.caller)
    card = found["asset"]
    if card["supplier"] != visit.caller.party:
        raise NotFound("asset.unknown", f"no asset {identifier!r}", field="asset")
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    appraised = found["appraisals"][-1]["value_fen"] if found["appraisals"] else None
    low = rules.value("auction.start_of_appraisal_at_least_ppm")
    given = {name: value for name in FIELDS if isinstance(value := visit.form.get(name, ""), str)}
    parts = None if price_fen is None else settlement.split(price_fen, rules, None)
    return await visit.show(
        "desk/offer.html",
        card=card,
        appraised_fen=appraised,
        least_fen=None if appraised is None else -(-appraised * low // 1_000_000),
        given=given,
        price_fen=price_fen,
        flow=None if parts is None else division(visit.t, _parts_of(parts)),
        operated=card["operator"] is not None,
        grants=GRANTS,
        value=rules.value,
        cite=rules.cite,
    )


def _parts_of(parts: settlement.Split) -> dict[str, int]:
    return {
        "price_fen": parts.price_fen,
        "buyer_fee_fen": parts.buyer_fee_fen,
        "seller_fee_fen": parts.seller_fee_fen,
        "tax_fen": parts.tax_fen,
        "shares_fen": sum(fen for _, fen in parts.holders_fen),
    }


def _act(visit: Visit) -> tuple[Any, Any]:
    """What the form offers, and the room that decides it."""
    mode, grant = visit.text("mode", at_most=10), visit.text("grant", at_most=10)
    if mode not in ("fixed", "auction"):
        raise Unprocessable("listing.mode", mode, field="mode", rule="fixed or auction", remedy="choose one")
    asset = visit.request.path_params["asset"]
    ceiling = visit.fen("ceiling") if visit.text("ceiling", at_most=25, needed=False) else None
    terms = Offer(
        grant,
        visit.whole("licences", at_most=10**9),
        visit.whole("term_days", at_most=10**6),
        visit.fen("price"),
        ceiling,
        visit.text("reason", needed=False),
    )
    if mode == "fixed":
        return sales.offer_fixed_price, sales.OfferFixedPrice(asset, terms)
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
    return await _show_offer(visit, act.offer.price_fen)


@offer.on("publish", fresh=True)
async def publish(visit: Visit) -> Response:
    """Put it on offer."""
    decide, act = _act(visit)
    reply = await visit.perform(decide, act)
    return visit.done("offered", reply, to=f"/desk/assets/{act.asset}")


@desk_page("/desk/income", nav="income", roles=DEPARTMENT)
async def income(visit: Visit) -> Response:
    """The department's account, and each of its sales with how the price was divided."""
    account = await visit.read(parties.account_of, visit.caller)
    made = await visit.read(settlement.trades, visit.caller, None, TRADES_SHOWN)
    sold = []
    for trade in made:
        if trade["seller"] != visit.caller.party:
            continue
        split = trade["split"]
        said = {
            "price_fen": int(trade["price_fen"]),
            "buyer_fee_fen": int(split["buyer_fee_fen"]),
            "seller_fee_fen": int(split["seller_fee_fen"]),
            "tax_fen": int(split["tax_fen"]),
            "shares_fen": sum(int(fen) for fen in split["shares_fen"]),
        }
        kept = said["price_fen"] - said["seller_fee_fen"] - said["tax_fen"] - said["shares_fen"]
        sold.append({"trade": trade, **said, "kept_fen": kept, "flow": division(visit.t, said)})
    return await visit.show("desk/income.html", account=account, sold=sold)


PAGES: Final[tuple[DeskPage, ...]] = (income, offer)
