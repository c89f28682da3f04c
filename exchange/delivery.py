"""Room: licences, signed links that expire, and the record of who fetched what.

A link is `/v1/deliveries/LICENCE?expires=MICROSECONDS&links=N&signature=HEX`. Its signature is made and checked with a key
of the vault, so a link never stands in the log or the database; that it was made, and until when, does. What delivery
obeys is the licence's ODRL policy, at each stage: when a link is made, before a first byte, and while bytes flow.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sqlmodel import col, select

from exchange.acceptance import note_access
from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import PAGE_LIMIT, may_see_inside, product_of, visible_asset
from exchange.contracts import Use, permit, policy_of
from exchange.deletion import end_early
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.rulebook.days import DAY_US
from exchange.tables import Access, Asset, Contract, Licence, Party, Release

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

LINK_SECONDS_LIMIT: Final = 7 * 86_400
ACCESS_LIMIT: Final = 1_000
REASON_CHARACTERS: Final = 2_000

DELIVERY: Final = Caller("delivery", "delivery", frozenset({"delivery"}))
"""The market's own hand that gives out files; whoever holds a link needs no key."""


@dataclass(frozen=True, slots=True)
class MakeLink(Act):
    """The licensee wants a link that works for `valid_seconds`; for which purpose and where, or as agreed (empty)."""

    scope: ClassVar[Scope] = "trade"
    licence: str
    valid_seconds: int
    purpose: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class RecordDownload(Act):
    """A link was followed; `bytes_asked` is the Range header as it came, empty for the whole file, and asks for
    `size_bytes`.
    """

    licence: str
    expires_us: int
    links_ended: int
    bytes_asked: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SetLicence(Act):
    """Suspend a licence, let it work again, or revoke it for good, with a reason that stays sealed."""

    licence: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndLinks(Act):
    """End every link of a licence that was made until now."""

    scope: ClassVar[Scope] = "trade"
    licence: str


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a use of a licence is judged by: its state, its contract's, its buyer's, its policy, what it used."""

    licence: str  # its state
    contract: str | None  # its state
    buyer: str  # its state
    policy: Mapping[str, Any]
    calls_used: int = 0
    bytes_used: int = 0


_STATES: Final = {
    "suspended": "wait until who suspended it lets it work again, or ask the venue to mediate",
    "revoked": "ask who revoked it why; the reason stands behind its commitment in the log",
    "annulled": "none: the trade was undone and its money went back",
}
_LIMITS: Final = {
    "dateTime": ("term", "a licence gives access within its term", "buy another licence"),
    "purpose": (
        "purpose",
        "data is used for the purposes that were agreed",
        "buy a licence for that purpose",
    ),
    "spatial": ("region", "data is used in the regions that were agreed", "use it where the contract allows"),
    "count": ("quota", "a licence gives as many calls as were agreed", "buy another licence"),
    "bytes": (
        "quota",
        "a licence gives as many bytes as were agreed",
        "ask for fewer, or buy another licence",
    ),
}


def require_signed(contract: str | None) -> None:
    """Conflict where a licence is used whose contract is not in the state `signed`, or has none. Pure."""
    if contract != "signed":
        raise Conflict(
            "contract.unsigned",
            "both sides have not signed the contract of this licence",
            field="licence",
            rule="nothing is delivered outside a contract that both sides signed",
            remedy="sign it (`sign_contract`, `exchange contract sign`), and have the seller sign",
        )


def require_permitted(standing: Standing, use: Use) -> None:
    """Conflict, naming why, where a use is not within a signed contract, a licence in force and its policy. Pure."""
    _require_in_force(standing.licence)
    require_signed(standing.contract)
    if standing.buyer != "active":
        raise Conflict(
            "licence.buyer_suspended",
            "the buyer of this licence is suspended",
            field="licence",
            rule="a suspended party is delivered nothing",
            remedy="wait until the regulator lets the party act again",
        )
    broken = permit(standing.policy, use)
    if broken is not None:
        code, rule, remedy = _LIMITS.get(
            broken.operand,
            ("policy", "a use keeps every constraint of the licence's policy", "ask the venue"),
        )
        raise Conflict(
            f"licence.{code}",
            f"{broken.operand} has to be {broken.operator} {broken.bound}, it is {broken.actual}",
            field="licence",
            rule=f"{rule} (ODRL, {broken.operand})",
            remedy=remedy,
        )


def check_term(state: str, starts_us: int, ends_us: int, now_us: int) -> None:
    """Conflict where a licence is not in force now; says nothing of its contract and its policy. Pure."""
    _require_in_force(state)
    if not starts_us <= now_us < ends_us:
        raise Conflict(
            "licence.term",
            f"the licence runs from {starts_us} to {ends_us}, now is {now_us}",
            field="licence",
            rule="a licence gives access within its term",
            remedy="buy another licence",
        )


def _require_in_force(state: str) -> None:
    if state != "active":
        raise Conflict(
            f"licence.{state}",
            f"the licence is {state}",
            field="licence",
            rule="only an active licence gives access",
            remedy=_STATES[state],
        )


def sign_link(key: bytes, licence: str, expires_us: int, links_ended: int = 0) -> str:
    """The signature of a link, HMAC-SHA256 in hexadecimal, bound to the licence, how often its links were ended before, and
    the moment it expires.
    """
    said = f"delivery-link@2\n{licence}\n{links_ended}\n{expires_us}\n"
    return hmac.digest(key, said.encode(), hashlib.sha256).hex()


def check_link(
    key: bytes, licence: str, expires_us: int, signature: str, now_us: int, links_ended: int = 0
) -> None:
    """Forbidden where the link was altered, is another licence's, or has expired by the market's clock."""
    if not hmac.compare_digest(
        sign_link(key, licence, expires_us, links_ended).encode(), signature.encode("utf-8", "replace")
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


def check_series(links_ended: int, ended_since: int) -> None:
    """Forbidden for a link that was ended before its time. Pure."""
    if links_ended != ended_since:
        raise Forbidden(
            "link.ended",
            "this link was ended before its time",
            field="signature",
            rule="buyer, seller and regulator may end the links of a licence",
            remedy="make a new link",
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
        calls_used=0,
        bytes_used=0,
        links_ended=0,
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
    # A link is no call yet: it needs room for one.
    use = Use(
        tx.now_us, licence.calls_used + 1, licence.bytes_used + 1, act.purpose or None, act.region or None
    )
    require_permitted(await standing_of(tx.session, licence), use)
    expires_us = min(tx.now_us + act.valid_seconds * 1_000_000, licence.ends_us)
    await tx.insert(Access(log_index=tx.index, licence=licence.id, act="link", bytes=0, time_us=tx.now_us))
    return Record(
        "link_made",
        plain(
            {
                "expires_us": expires_us,
                "licence": licence.id,
                "links_ended": licence.links_ended,
                "purpose": act.purpose,
                "region": act.region,
                "state": "made",
                "valid_seconds": act.valid_seconds,
            }
        ),
        readers=await _suppliers(tx.session, licence),
    )


async def record_download(tx: Transaction, act: RecordDownload) -> Record:
    """Record that a product goes out, before its first byte does, and count it; Conflict where that is not permitted."""
    tx.caller.require("delivery")
    licence = await tx.find(Licence, act.licence, "licence")
    check_series(act.links_ended, licence.links_ended)
    use = Use(tx.now_us, licence.calls_used + 1, licence.bytes_used + act.size_bytes)
    require_permitted(await standing_of(tx.session, licence), use)
    check_expiry(act.expires_us, tx.now_us)
    _, product = await product_for(tx.session, licence.id)
    licence.calls_used, licence.bytes_used = use.calls, use.bytes
    await tx.insert(
        Access(
            log_index=tx.index, licence=licence.id, act="download", bytes=act.size_bytes, time_us=tx.now_us
        )
    )
    await note_access(tx, licence.id)
    return Record(
        "product_downloaded",
        plain(
            {
                "asset": licence.asset,
                "buyer": licence.buyer,
                "bytes_asked": act.bytes_asked,
                "bytes_used": use.bytes,
                "calls_used": use.calls,
                "expires_us": act.expires_us,
                "licence": licence.id,
                "links_ended": act.links_ended,
                "product_digest": product.product_digest,
                "size_bytes": act.size_bytes,
                "state": "downloaded",
            }
        ),
        readers={licence.buyer, *await _suppliers(tx.session, licence)},
    )


async def set_licence(tx: Transaction, act: SetLicence) -> Record:
    """Suspend, restore or revoke a licence: its seller or a regulator. What is revoked or annulled stays so."""
    tx.caller.require("supplier", "regulator")
    licence = await tx.session.get(Licence, act.licence)
    contract = None if licence is None else await tx.session.get(Contract, licence.trade)
    if licence is None or not (
        "regulator" in tx.caller.roles or (contract is not None and contract.seller == tx.caller.party)
    ):
        raise _unknown(act.licence)
    check_change(licence.state, act.state, act.reason)
    licence.state = act.state
    if act.state == "revoked":
        await end_early(tx, licence.id)
    supplier = await _suppliers(tx.session, licence)
    return Record(
        "licence_state_set",
        {"licence": licence.id, "reason": tx.seal(act.reason), "state": act.state},
        readers={licence.buyer, *supplier} - {tx.caller.party},
    )


def check_change(state: str, to: str, reason: str) -> None:
    """Conflict for a change of a licence that cannot be; a reason is given. Pure."""
    allowed = {"active": ("suspended", "revoked"), "suspended": ("active", "revoked")}
    if to not in allowed.get(state, ()):
        raise Conflict(
            "licence.state",
            f"a licence that is {state} does not become {to}",
            field="state",
            rule="an active licence is suspended or revoked, a suspended one restored or revoked; what ended stays ended",
            remedy="look at its state first",
        )
    if not reason.strip() or len(reason) > REASON_CHARACTERS:
        raise Unprocessable(
            "licence.reason",
            f"{len(reason)} characters",
            field="reason",
            rule=f"a licence changes for a reason of 1 to {REASON_CHARACTERS} characters",
            remedy="say why",
        )


async def end_links(tx: Transaction, act: EndLinks) -> Record:
    """End every link that was made until now: the buyer's (one leaked), the seller's, or a regulator's act."""
    licence = await tx.session.get(Licence, act.licence)
    contract = None if licence is None else await tx.session.get(Contract, licence.trade)
    sides = () if contract is None else (contract.seller, contract.buyer)
    if licence is None or not ("regulator" in tx.caller.roles or tx.caller.party in sides):
        raise _unknown(act.licence)
    licence.links_ended += 1
    return Record(
        "links_ended",
        {"licence": licence.id, "links_ended": str(licence.links_ended), "state": "ended"},
        readers={*sides} - {tx.caller.party},
    )


async def standing_of(session: AsyncSession, licence: Licence) -> Standing:
    """What a use of this licence is judged by, as it stands now."""
    contract = await session.get(Contract, licence.trade)
    buyer = await session.get(Party, licence.buyer)
    return Standing(
        licence=licence.state,
        contract=None if contract is None else contract.state,
        buyer="unknown" if buyer is None else buyer.state,
        policy={} if contract is None else policy_of(contract.values),
        calls_used=licence.calls_used,
        bytes_used=licence.bytes_used,
    )


async def require_deliverable(
    session: AsyncSession, licence: str, links_ended: int, expires_us: int, now_us: int
) -> None:
    """What a delivery under way is asked again and again: whether it may go on. Its own call is counted already."""
    row = await session.get(Licence, licence)
    if row is None:
        raise _unknown(licence)
    check_series(links_ended, row.links_ended)
    require_permitted(await standing_of(session, row), Use(now_us, row.calls_used, row.bytes_used))
    check_expiry(expires_us, now_us)


async def policy(session: AsyncSession, licence: str, caller: Caller) -> dict[str, Any]:
    """A licence's ODRL policy, for its buyer, its asset's department and operator, and the regulator."""
    row = await session.get(Licence, licence)
    asset = None if row is None else await session.get(Asset, row.asset)
    contract = None if row is None else await session.get(Contract, row.trade)
    if (
        row is None
        or asset is None
        or contract is None
        or not (row.buyer == caller.party or may_see_inside(asset, caller))
    ):
        raise _unknown(licence)
    return policy_of(contract.values)


async def _suppliers(session: AsyncSession, licence: Licence) -> set[str]:
    """Who supplies what is delivered: the department, and its operator."""
    asset = await session.get(Asset, licence.asset)
    assert asset is not None
    return {asset.supplier} | ({asset.operator} if asset.operator else set())


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


async def open_product(session: AsyncSession, asset: str) -> tuple[Asset, Release]:
    """A registered asset that is open to everybody, and its file: no licence, no account, nothing recorded of the reader.

    Forbidden where it is not open, NotFound where the public sees no such asset.
    """
    row = await visible_asset(session, asset, None)
    product = await product_of(session, row)
    if row.opening != "open" or product is None:
        raise Forbidden(
            "data.not_open",
            f"asset {asset} is not open to everybody",
            field="asset",
            rule="only unconditionally open, registered data is given out without a licence (S26)",
            remedy="buy a licence where it is listed, or ask the department to open it",
        )
    return row, product


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
