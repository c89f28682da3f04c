"""Room: licences, signed links that expire, and the record of who fetched what.

A link is `/v1/deliveries/LICENCE?expires=MICROSECONDS&signature=HEX`. Its signature is made and checked with a key
of the vault, so a link never stands in the log or the database; that it was made, and until when, does.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import PAGE_LIMIT, may_see_inside, product_of
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.tables import Access, Asset, Licence, Release

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

DAY_US: Final = 86_400_000_000
LINK_SECONDS_LIMIT: Final = 7 * 86_400
ACCESS_LIMIT: Final = 1_000

DELIVERY: Final = Caller("delivery", "delivery", frozenset({"delivery"}))
"""The market's own hand that gives out files; whoever holds a link needs no key."""


@dataclass(frozen=True, slots=True)
class MakeLink(Act):
    """The licensee wants a link that works for `valid_seconds`."""

    scope: ClassVar[Scope] = "trade"
    licence: str
    valid_seconds: int


@dataclass(frozen=True, slots=True)
class RecordDownload(Act):
    """A link was followed; `bytes_asked` is the Range header as it came, empty for the whole file."""

    licence: str
    expires_us: int
    bytes_asked: str


def sign_link(key: bytes, licence: str, expires_us: int) -> str:
    """The signature of a link, HMAC-SHA256 in hexadecimal, bound to the licence and the moment it expires."""
    return hmac.digest(key, f"delivery-link@1\n{licence}\n{expires_us}\n".encode(), hashlib.sha256).hex()


def check_link(key: bytes, licence: str, expires_us: int, signature: str, now_us: int) -> None:
    """Forbidden where the link was altered, is another licence's, or has expired by the market's clock."""
    if not hmac.compare_digest(
        sign_link(key, licence, expires_us).encode(), signature.encode("utf-8", "replace")
    ):
        raise Forbidden(
            "link.signature",
            "this is no link of ours for that licence",
            field="signature",
            rule="a link works as it was made, and for its own licence",
            remedy="use the link as it was given, or make a new one",
        )
    check_expiry(expires_us, now_us)


def check_expiry(expires_us: int, now_us: int) -> None:
    """Forbidden from the moment on that a link names. Pure."""
    if now_us >= expires_us:
        raise Forbidden(
            "link.expired",
            f"the link expired at {expires_us}",
            field="expires",
            rule="a link works until the moment it names, by the market's clock",
            remedy="make a new link",
        )


def check_term(state: str, starts_us: int, ends_us: int, now_us: int) -> None:
    """Conflict where a licence is not in force now. Pure."""
    if state != "active":
        raise Conflict(
            "licence.revoked",
            f"the licence is {state}",
            field="licence",
            rule="only an active licence gives access",
            remedy="ask the venue why it was revoked",
        )
    if not starts_us <= now_us < ends_us:
        raise Conflict(
            "licence.term",
            f"the licence runs from {starts_us} to {ends_us}, now is {now_us}",
            field="licence",
            rule="a licence gives access within its term",
            remedy="buy another licence",
        )


def grant_licence(
    tx: Transaction,
    *,
    trade: str,
    asset: str,
    buyer: str,
    grant: str,
    licences: int,
    term_days: int,
) -> Licence:
    """The licence of a trade, from now for `term_days` days; who settles the trade inserts it behind the trade."""
    return Licence(
        id=tx.identifier("lic"),
        trade=trade,
        asset=asset,
        buyer=buyer,
        grant=grant,
        licences=licences,
        starts_us=tx.now_us,
        ends_us=tx.now_us + term_days * DAY_US,
        state="active",
        log_index=tx.index,
    )


async def make_link(tx: Transaction, act: MakeLink) -> Record:
    """Record that a link was made and until when it works: never beyond the licence's term."""
    licence = await own_licence(tx.session, act.licence, tx.caller)
    if not 1 <= act.valid_seconds <= LINK_SECONDS_LIMIT:
        raise Unprocessable(
            "link.validity",
            f"{act.valid_seconds} seconds",
            field="valid_seconds",
            rule=f"1 to {LINK_SECONDS_LIMIT} seconds",
            remedy="make a shorter link, and another when it has expired",
        )
    check_term(licence.state, licence.starts_us, licence.ends_us, tx.now_us)
    expires_us = min(tx.now_us + act.valid_seconds * 1_000_000, licence.ends_us)
    await tx.insert(Access(log_index=tx.index, licence=licence.id, act="link", time_us=tx.now_us))
    return Record(
        "link_made",
        plain(
            {
                "expires_us": expires_us,
                "licence": licence.id,
                "state": "made",
                "valid_seconds": act.valid_seconds,
            }
        ),
    )


async def record_download(tx: Transaction, act: RecordDownload) -> Record:
    """Record that a product goes out, before its first byte does; Conflict where the licence is not in force."""
    tx.caller.require("delivery")
    licence = await tx.find(Licence, act.licence, "licence")
    check_term(licence.state, licence.starts_us, licence.ends_us, tx.now_us)
    check_expiry(act.expires_us, tx.now_us)
    _, product = await product_for(tx.session, licence.id)
    await tx.insert(Access(log_index=tx.index, licence=licence.id, act="download", time_us=tx.now_us))
    return Record(
        "product_downloaded",
        plain(
            {
                "asset": licence.asset,
                "buyer": licence.buyer,
                "bytes_asked": act.bytes_asked,
                "expires_us": act.expires_us,
                "licence": licence.id,
                "product_digest": product.product_digest,
                "state": "downloaded",
            }
        ),
        readers=(licence.buyer,),
    )


async def own_licence(session: AsyncSession, licence: str, caller: Caller) -> Licence:
    """The licence, for its buyer alone: anybody else's is exactly as one that does not exist."""
    row = await session.get(Licence, licence)
    if row is None or row.buyer != caller.party:
        raise _unknown(licence)
    return row


async def product_for(session: AsyncSession, licence: str) -> tuple[Asset, Release]:
    """The asset and the file behind a licence; NotFound where there is none."""
    row = await session.get(Licence, licence)
    asset = None if row is None else await session.get(Asset, row.asset)
    product = None if asset is None else await product_of(session, asset)
    if asset is None or product is None:
        raise NotFound(
            "product.unknown", f"no product for licence {licence!r}", field="licence", remedy="ask the venue"
        )
    return asset, product


async def licences_of(
    session: AsyncSession, caller: Caller, *, after: str | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """A page of the caller's licences by identifier, at most 100."""
    query = select(Licence).where(Licence.buyer == caller.party)
    if after is not None:
        query = query.where(col(Licence.id) > after)
    query = query.order_by(col(Licence.id)).limit(max(1, min(limit, PAGE_LIMIT)))
    return [licence_view(row) for row in await session.scalars(query)]


async def licence(session: AsyncSession, licence: str, caller: Caller) -> dict[str, Any]:
    """One licence of the caller's."""
    return licence_view(await own_licence(session, licence, caller))


def licence_view(row: Licence) -> dict[str, Any]:
    """A licence as its buyer reads it."""
    return row.model_dump(exclude={"buyer"})


async def accesses_of(
    session: AsyncSession, licence: str, caller: Caller, after: int = -1, limit: int = ACCESS_LIMIT
) -> list[dict[str, Any]]:
    """Links and downloads of a licence from behind entry `after`, oldest first: for its buyer, its asset's department, the
    regulator.
    """
    row = await session.get(Licence, licence)
    asset = None if row is None else await session.get(Asset, row.asset)
    if row is None or asset is None or not (row.buyer == caller.party or may_see_inside(asset, caller)):
        raise _unknown(licence)
    query = (
        select(Access)
        .where(Access.licence == row.id, col(Access.log_index) > after)
        .order_by(col(Access.log_index))
        .limit(limit)
    )
    return [access.model_dump(exclude={"licence"}) for access in await session.scalars(query)]


def _unknown(licence: str) -> NotFound:
    return NotFound(
        "licence.unknown", f"no licence {licence!r}", field="licence", remedy="check the identifier"
    )
