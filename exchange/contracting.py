"""Room: the contract of every trade, drawn up at its settlement and signed by both sides with keys of their own.

A seller may sign its standing terms beforehand: then a purchase waits for the buyer's signature alone. Nothing is
delivered before both signatures are in the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import and_, not_, or_
from sqlmodel import col, select

from exchange import contracts
from exchange.acts import Act, Caller, Record, Scope, Transaction
from exchange.contracts.statements import Side
from exchange.database import driver
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.rulebook import Rulebook
from exchange.signing import key_id_of
from exchange.tables import Asset, Contract, Licence, Listing, Opening, SigningKey, Trade
from ledger import log

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class SignTerms(Act):
    """The seller signs a listing's standing terms, with digest `text_digest`, using a signing key of its party."""

    scope: ClassVar[Scope] = "trade"
    listing: str
    text_digest: str
    key: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignContract(Act):
    """A side signs the contract of its trade, with digest `text_digest`, using a signing key of its party."""

    scope: ClassVar[Scope] = "trade"
    trade: str
    text_digest: str
    key: str
    signature: bytes


def listing_values(listing: Listing, asset: Asset) -> dict[str, str]:
    """What a listing and its seller fill into a contract."""
    return {
        **listing.terms,
        "asset": asset.id,
        "asset_code": asset.code or asset.id,
        "exclusive_reason": listing.reason,
        "grant": listing.grant,
        "listing": listing.id,
        "seller": listing.seller,
        "term_days": str(listing.term_days),
    }


def standing_terms(listing: Listing, asset: Asset) -> contracts.Contract:
    """What the seller of a listing agrees to with whoever buys."""
    return contracts.standing_terms(listing.contract, listing_values(listing, asset))


def standing(listing: Listing) -> dict[str, Any]:
    """How a listing's own entry states its contract: the form, the seller's blanks of it, the standing terms' digest."""
    return {"digest": listing.terms_digest, "template": listing.contract, "values": dict(listing.terms)}


def agreed_purposes(purpose: str, opened_for: list[str]) -> str:
    """What a contract says of purposes: the one that was stated, else the ones that the asset is opened for, else any."""
    return purpose or ",".join(opened_for) or contracts.ANY


def periods(rules: Rulebook) -> dict[str, str]:
    """What the market's rules fill into a contract: in working days, none where they know of no acceptance."""
    return {
        blank: str(rules.value(rule) if rule in rules.rules else 0)
        for blank, rule in (
            ("acceptance_days", "acceptance.window_working_days"),
            ("mediator_days", "acceptance.mediator_named_within_working_days"),
        )
    }


async def draw_up(
    tx: Transaction,
    *,
    listing: Listing,
    asset: Asset,
    licence: Licence,
    rules: Rulebook,
    price_fen: int,
    purpose: str,
    buyer_name: str,
    seller_name: str,
) -> Contract:
    """The contract of a trade that is being settled; who settles it inserts it behind the licence.

    It has the seller's signature where the standing terms were signed with a key that stands. Names are commitments.
    """
    text = contracts.draw_up(
        listing.contract,
        {
            **listing_values(listing, asset),
            **periods(rules),
            "buyer": licence.buyer,
            "buyer_name": buyer_name,
            "ends_us": str(licence.ends_us),
            "licence": licence.id,
            "licences": str(licence.licences),
            "price_fen": str(price_fen),
            "purposes": agreed_purposes(purpose, asset.purposes),
            "seller_name": seller_name,
            "starts_us": str(licence.starts_us),
            "trade": licence.trade,
        },
    )
    key = None if listing.terms_key is None else await tx.session.get(SigningKey, listing.terms_key)
    return Contract(
        trade=licence.trade,
        licence=licence.id,
        seller=listing.seller,
        buyer=licence.buyer,
        template=listing.contract,
        values=dict(text.values),
        digest=text.digest,
        seller_index=listing.terms_index if key is not None and key.revoked_us is None else None,
        state="drawn",
        log_index=tx.index,
    )


async def sign_terms(tx: Transaction, act: SignTerms) -> Record:
    """Keep the seller's signature of its standing terms; it stands for every later sale while its key does."""
    tx.caller.require("supplier")
    listing = await tx.session.get(Listing, act.listing)
    if listing is None or listing.seller != tx.caller.party:
        raise _unknown_listing(act.listing)
    if listing.state != "open":
        raise Conflict("listing.ended", "this listing has ended", field="listing")
    _require_same(act.text_digest, listing.terms_digest)
    statement = contracts.terms_statement(await _origin(tx.session), listing.id, act.text_digest)
    key = await _require_signed(tx, act.key, act.signature, statement)
    listing.terms_key, listing.terms_index = key.id, tx.index
    return Record(
        "contract_terms_signed",
        {
            "digest": act.text_digest,
            "key": key.id,
            "listing": listing.id,
            "public": key.public.hex(),
            "signature": act.signature.hex(),
            "state": "signed",
        },
    )


async def sign_contract(tx: Transaction, act: SignContract) -> Record:
    """Keep a side's signature of a contract; with the other side's it is in effect, and delivery may begin.

    Conflict where that side has signed, and where the trade was undone.
    """
    contract = await own_contract(tx.session, act.trade, tx.caller)
    side = side_of(contract.buyer, tx.caller)
    if contract.state == "ended":
        raise Conflict(
            "contract.ended",
            "the trade of this contract was undone",
            field="trade",
            rule="a contract ends with its trade",
            remedy="none: buy again",
        )
    if (contract.buyer_index if side == "buyer" else contract.seller_index) is not None:
        raise Conflict(
            "contract.signed", f"the {side} has signed", field="trade", remedy="none: one signature is enough"
        )
    _require_same(act.text_digest, contract.digest)
    statement = contracts.contract_statement(await _origin(tx.session), side, act.text_digest)
    key = await _require_signed(tx, act.key, act.signature, statement)
    if side == "buyer":
        contract.buyer_index = tx.index
    else:
        contract.seller_index = tx.index
    if contract.buyer_index is not None and contract.seller_index is not None:
        contract.state, contract.signed_us = "signed", tx.now_us
    return Record(
        "contract_signed",
        {
            "digest": act.text_digest,
            "key": key.id,
            "public": key.public.hex(),
            "side": side,
            "signature": act.signature.hex(),
            "state": contract.state,
            "trade": contract.trade,
        },
        readers=(contract.seller if side == "buyer" else contract.buyer,),
    )


async def own_contract(session: AsyncSession, trade: str, caller: Caller) -> Contract:
    """The contract of a trade, for its two sides alone: anybody else's is exactly as one that does not exist."""
    row = await session.get(Contract, trade)
    if row is None or caller.party not in (row.seller, row.buyer):
        raise _unknown_trade(trade)
    return row


async def contract(session: AsyncSession, trade: str, caller: Caller) -> dict[str, Any]:
    """A contract as its sides and the regulator read it: text, digest, who has signed, and what its commitments hide."""
    row = await session.get(Contract, trade)
    if row is None or not ("regulator" in caller.roles or caller.party in (row.seller, row.buyer)):
        raise _unknown_trade(trade)
    sold = await session.get(Trade, trade)
    assert sold is not None
    sealed = select(Opening).where(
        col(Opening.commitment).in_((row.values["buyer_name"], row.values["seller_name"]))
    )
    return {
        **contracts.draw_up(row.template, row.values).document(),
        "trade": row.trade,
        "licence": row.licence,
        "state": row.state,
        "origin": await _origin(session),
        "drawn_index": str(sold.log_index),
        "seller_index": _text(row.seller_index),
        "buyer_index": _text(row.buyer_index),
        "signed_us": _text(row.signed_us),
        "openings": {
            one.commitment: {"text": one.value, "salt": None if one.salt is None else one.salt.hex()}
            for one in await session.scalars(sealed)
        },
    }


async def contracts_of(
    session: AsyncSession, caller: Caller, before: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """The contracts that the caller's party is a side of, newest first, or a page older than entry `before`; first of all,
    whatever their age, those that wait for its signature.
    """
    mine = or_(
        and_(col(Contract.seller) == caller.party, col(Contract.seller_index).is_(None)),
        and_(col(Contract.buyer) == caller.party, col(Contract.buyer_index).is_(None)),
    )
    waiting = and_(col(Contract.state) == "drawn", mine)
    theirs = select(Contract).where(
        or_(col(Contract.seller) == caller.party, col(Contract.buyer) == caller.party)
    )
    newest = col(Contract.log_index).desc()
    rest = theirs.where(not_(waiting)).order_by(newest).limit(limit)
    if before is None:
        rows = [
            *(await session.scalars(theirs.where(waiting).order_by(newest))),
            *(await session.scalars(rest)),
        ]
    else:
        rows = list(await session.scalars(rest.where(col(Contract.log_index) < before)))
    return [
        {
            "asset": row.values["asset"],
            "buyer_index": _text(row.buyer_index),
            "index": str(row.log_index),
            "seller_index": _text(row.seller_index),
            "side": side_of(row.buyer, caller),
            "state": row.state,
            "template": row.template,
            "trade": row.trade,
            "waits": row.state == "drawn"
            and (row.buyer_index if row.buyer == caller.party else row.seller_index) is None,
        }
        for row in rows
    ]


def side_of(buyer: str, caller: Caller) -> Side:
    """As which side the caller's party signs a contract of its own. Pure."""
    return "buyer" if buyer == caller.party else "seller"


async def listing_contract(session: AsyncSession, listing: str) -> dict[str, Any]:
    """The standing terms of a listing, for everybody: what whoever buys will sign, with the trade's blanks open."""
    row = await session.get(Listing, listing)
    asset = None if row is None else await session.get(Asset, row.asset)
    if row is None or asset is None:
        raise _unknown_listing(listing)
    return {
        **standing_terms(row, asset).document(),
        "listing": row.id,
        "origin": await _origin(session),
        "seller_index": _text(row.terms_index),
    }


async def _require_signed(tx: Transaction, name: str, signature: bytes, statement: bytes) -> SigningKey:
    """The key, where it is one of the caller's party that stands, and made this signature of the statement."""
    key = await tx.session.get(SigningKey, name)
    if key is None or key.party != tx.caller.party or key.revoked_us is not None:
        raise NotFound(
            "signing_key.unknown",
            "your party has no such signing key",
            field="key",
            rule="a contract is signed with a signing key of the party that signs",
            remedy="register the public key first (POST /v1/signing-keys)",
        )
    if not contracts.stands(statement, signature, key.public):
        raise Unprocessable(
            "contract.signature",
            f"this is no signature of {key_id_of(key.public)} over that digest",
            field="signature",
            rule="Ed25519 (RFC 8032) over the statement that the contract's document names",
            remedy="sign the statement anew; the SDK and `exchange contract sign` do",
        )
    return key


def _require_same(read: str, stated: str) -> None:
    if read != stated:
        raise Conflict(
            "contract.digest",
            f"you signed {read}, this contract's digest is {stated}",
            field="digest",
            rule="what is signed is this contract, to the letter",
            remedy="fetch the contract again, read it, and sign its digest",
        )


async def _origin(session: AsyncSession) -> str:
    return (await log.read_head(await driver(session))).origin


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _unknown_trade(trade: str) -> NotFound:
    return NotFound("trade.unknown", f"no trade {trade!r}", field="trade", remedy="check the identifier")


def _unknown_listing(listing: str) -> NotFound:
    return NotFound(
        "listing.unknown", f"no listing {listing!r}", field="listing", remedy="check the identifier"
    )
