"""From award to money: price, fee, tax and the operator's shares as one linked chain, with the licence in it.

Delivery versus payment: the transfers, the trade, the licence and the voucher are one act, so none of them
exists without the others. Final once made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import delivery
from exchange.acts import Caller, Transaction, plain
from exchange.errors import Conflict, NotFound
from exchange.money import FEES, MONEY, TAX
from exchange.rulebook import Rulebook
from exchange.tables import (
    Asset,
    Listing,
    OperatingAgreement,
    Party,
    Shareholding,
    Trade,
)
from ledger.postings import Transfer
from pricing.money import Rounding, divide, quotient, scale


@dataclass(frozen=True, slots=True)
class Shares:
    """Who holds the operator: accounts with their parts in millionths, summing to a million."""

    operator_ppm: int
    holders: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Split:
    """What one price becomes, in fen. The buyer pays `price_fen + buyer_fee_fen`; the rest is the seller's."""

    price_fen: int
    buyer_fee_fen: int
    seller_fee_fen: int
    tax_fen: int
    holders_fen: tuple[tuple[str, int], ...]


def split(price_fen: int, rules: Rulebook, shares: Shares | None) -> Split:
    """Divide a price by the rulebook; tax is contained in the price (价内), fees round half up, shares to the fen.

    The operator's part is taken of the price net of tax and divided by shareholding, largest remainder; it
    never passes what tax and fee leave of the price, so that no seller pays for having sold.
    """
    tax_ppm = rules.value("fees.value_added_tax_ppm")
    tax_fen = quotient(price_fen * tax_ppm, 1_000_000 + tax_ppm, Rounding.HALF_UP)
    seller_fee_fen = scale(price_fen, rules.value("fees.seller_commission_ppm"), Rounding.HALF_UP)
    holders: tuple[tuple[str, int], ...] = ()
    if shares is not None:
        agreed = scale(price_fen - tax_fen, shares.operator_ppm, Rounding.DOWN)
        pool = min(agreed, price_fen - tax_fen - seller_fee_fen)
        parts = divide(pool, [ppm for _, ppm in shares.holders])
        holders = tuple((account, part) for (account, _), part in zip(shares.holders, parts, strict=True))
    return Split(
        price_fen=price_fen,
        buyer_fee_fen=scale(price_fen, rules.value("fees.buyer_commission_ppm"), Rounding.HALF_UP),
        seller_fee_fen=seller_fee_fen,
        tax_fen=tax_fen,
        holders_fen=holders,
    )


def chain(trade: str, parts: Split, buyer: str, seller: str, hold: Transfer | None) -> list[Transfer]:
    """The linked chain of a settlement: the deposit's hold is released, the price paid, the parts taken from it."""
    steps: list[tuple[str, str, str, int]] = [
        ("price", buyer, seller, parts.price_fen),
        ("buyer_fee", buyer, FEES, parts.buyer_fee_fen),
        ("seller_fee", seller, FEES, parts.seller_fee_fen),
        ("tax", seller, TAX, parts.tax_fen),
        *((f"share_{n}", seller, account, fen) for n, (account, fen) in enumerate(parts.holders_fen)),
    ]
    transfers = [] if hold is None else [hold]
    transfers += [
        Transfer(
            f"{trade}:{name}",
            "post",
            debit,
            credit,
            fen,
            MONEY,
            name.partition("_")[0] if name.startswith("share") else name,
            None,
            True,
        )
        for name, debit, credit, fen in steps
        if fen
    ]
    last = transfers[-1]
    transfers[-1] = Transfer(
        last.id, last.kind, last.debit, last.credit, last.amount, last.ledger, last.code, last.pending, False
    )
    return transfers


async def shares_of(tx: Transaction, asset: Asset) -> Shares | None:
    """The operator's part and its holders, as dated now; Conflict where the shares leave a rest undeclared."""
    if asset.operator is None:
        return None
    agreement = await tx.session.get(OperatingAgreement, (asset.supplier, asset.operator))
    if agreement is None:
        return None
    rows = (
        await tx.session.execute(
            select(Shareholding)
            .where(col(Shareholding.operator) == asset.operator)
            .order_by(col(Shareholding.position))
        )
    ).scalars()
    holders = tuple((row.account, row.share_ppm) for row in rows)
    if sum(ppm for _, ppm in holders) != 1_000_000:
        raise Conflict(
            "operator.shares",
            "the operator's declared shares do not sum to 100 %",
            field="shareholders",
            rule="an undeclared rest blocks payout",
            remedy="declare the missing holders",
        )
    return Shares(agreement.share_ppm, holders)


async def settle(
    tx: Transaction,
    *,
    listing: Listing,
    buyer: Party,
    licences: int,
    price_fen: int,
    rules: Rulebook,
    lot: str | None = None,
    hold: Transfer | None = None,
) -> dict[str, Any]:
    """Settle one sale within `tx` and return the deal confirmation for the body.

    Conflict where the buyer's account does not cover price and fee: nothing of the sale happens then.
    """
    asset = await tx.find(Asset, listing.asset, "asset")
    seller = await tx.find(Party, listing.seller, "party")
    if buyer.account is None or seller.account is None:
        raise Conflict("party.no_account", "buyer or seller has no money account", field="party")
    shares = await shares_of(tx, asset)
    parts = split(price_fen, rules, shares)
    trade = tx.identifier("trade")
    if price_fen or hold is not None:
        await tx.post(*chain(trade, parts, buyer.account, seller.account, hold))
    licence = delivery.grant_licence(
        tx,
        trade=trade,
        asset=asset.id,
        buyer=buyer.id,
        grant=listing.grant,
        licences=licences,
        term_days=listing.term_days,
    )
    voucher = plain(
        {
            "asset": asset.id,
            "asset_code": asset.code,
            "buyer": buyer.id,
            "buyer_name": tx.seal(buyer.name),
            "grant": listing.grant,
            "licence": licence.id,
            "licences": licences,
            "listing": listing.id,
            "lot": lot,
            "price_fen": price_fen,
            "rulebook": {"digest": rules.digest, "version": rules.version},
            "seller": seller.id,
            "seller_name": tx.seal(seller.name),
            "split": {
                "buyer_fee_fen": parts.buyer_fee_fen,
                "seller_fee_fen": parts.seller_fee_fen,
                "shares_fen": [fen for _, fen in parts.holders_fen],
                "tax_fen": parts.tax_fen,
            },
            "term_days": listing.term_days,
            "trade": trade,
        }
    )
    await tx.insert(
        Trade(
            id=trade,
            listing=listing.id,
            lot=lot,
            asset=asset.id,
            seller=seller.id,
            buyer=buyer.id,
            licences=licences,
            price_fen=price_fen,
            voucher=voucher,
            time_us=tx.now_us,
            log_index=tx.index,
        ),
        licence,
    )
    listing.remaining -= licences
    if not listing.remaining:
        listing.state = "ended"
    return {"state": "settled", "voucher": voucher}


async def trades(
    session: AsyncSession, caller: Caller, after: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """The trades that the caller's party made, or all for a regulator, newest first; or a page, older than entry `after`."""
    query = select(Trade).order_by(col(Trade.log_index).desc()).limit(limit)
    if after is not None:
        query = query.where(col(Trade.log_index) < after)
    if "regulator" not in caller.roles:
        query = query.where(or_(col(Trade.buyer) == caller.party, col(Trade.seller) == caller.party))
    return [_trade_view(row) for row in (await session.execute(query)).scalars()]


async def trade(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """One trade; NotFound alike where there is none and where it is not the caller's to see."""
    row = await session.get(Trade, identifier)
    if row is None or not ("regulator" in caller.roles or caller.party in (row.buyer, row.seller)):
        raise NotFound(
            "trade.unknown", f"no trade {identifier!r}", field="trade", remedy="check the identifier"
        )
    return _trade_view(row)


def _trade_view(row: Trade) -> dict[str, Any]:
    return {"index": str(row.log_index), "time_us": str(row.time_us), **row.voucher}
