"""Room: ask pricing for the value of an asset, and keep the reasoned report.

The quality is counted from the released file itself and the value computed from it before the gate; the room
keeps the report, whose inputs give the same value to whoever computes it again. Under the log head it keeps what
no report can know of by itself: that an appraiser's versions only grow, and that the excess earnings of one stream
are counted for one asset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction, plain
from exchange.catalogue import parties_of, product_of, visible_asset
from exchange.errors import Conflict, Forbidden, Unprocessable
from exchange.parties.relations import REMEDY, Conflicted, relations, signer
from exchange.tables import Appraisal, Asset, Release
from pricing.appraisal import Inputs, Report, Signature, require_signature, require_unclaimed
from pricing.appraisal import appraise as compute
from pricing.errors import PricingError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from exchange.acts import Caller


@dataclass(frozen=True, slots=True)
class Appraise(Act):
    """A computed report comes in; `report` is its canonical text, `report_digest` the SHA-256 of that, `asked` the
    SHA-256 of what the caller sent.

    When the quality was measured is not the caller's, so it does not tell one request from another.
    """

    scope: ClassVar[Scope] = "register"
    asset: str
    product_digest: str
    asked: str
    report: str
    report_digest: str

    def digest(self) -> bytes:
        """Tell one request from another, by what the caller sent."""
        return hashlib.sha256(f"Appraise\n{self.asset}\n{self.asked}".encode()).digest()


async def appraisable(session: AsyncSession, asset: str, caller: Caller) -> tuple[Asset, Release]:
    """The asset and its file, for its department or operator; Conflict where it is not registered yet."""
    row = await visible_asset(session, asset, caller)
    if caller.party not in (row.supplier, row.operator):
        raise Forbidden(
            "asset.not_yours",
            "the asset is another party's",
            field="asset",
            rule="the department and its operator have an asset appraised",
            remedy="ask that department",
        )
    product = await product_of(session, row)
    if row.state != "registered" or product is None:
        raise Conflict(
            "appraisal.not_registered",
            f"the asset is {row.state}",
            field="asset",
            rule="registration comes before valuation",
            remedy="finish the registration",
        )
    return row, product


async def subject(session: AsyncSession, asset: str, caller: Caller) -> tuple[str, str]:
    """How a report names the asset, and the digest of its file, for a caller who may have it appraised."""
    row, product = await appraisable(session, asset, caller)
    return f"{row.code} {row.title}", product.product_digest


def ed25519(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature (RFC 8032) holds."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def report_on(inputs: Inputs, signature: Signature | None = None) -> Report:
    """The value with its reasons; Unprocessable names what is missing, cannot be or is signed otherwise."""
    try:
        report = compute(inputs, signature)
        if signature is not None:
            require_signature(report, ed25519)
    except PricingError as refused:
        raise refused_by_pricing(refused) from refused
    if not report.value_fen:
        raise Unprocessable(
            "appraisal.nothing",
            "the figures and the measured quality leave a value of 0",
            field="value_fen",
            rule="what is worth nothing is not appraised; a column that is not declared counts as not conforming",
            remedy="declare every column of the product, or weigh only what can be measured, with the reason",
        )
    return report


def refused_by_pricing(refused: PricingError) -> Unprocessable:
    """What pricing refuses, as the exchange says it."""
    return Unprocessable(
        "appraisal.refused",
        str(refused),
        field=refused.field,
        rule=refused.rule,
        remedy=refused.remedy,
    )


async def appraise(tx: Transaction, act: Appraise) -> Record:
    """Keep the report: its value and digest stand in the log, its text is sealed."""
    tx.caller.require("supplier", "operator")
    asset, product = await appraisable(tx.session, act.asset, tx.caller)
    if product.product_digest != act.product_digest:
        raise Conflict(
            "appraisal.another_file",
            "the report is about another file",
            field="asset",
            rule="the quality is that of the file which is sold",
            remedy="have the asset appraised again",
        )
    report = orjson.loads(act.report)
    await _refuse_the_related(tx, asset, report["signature"])
    signed = await _require_newer(tx.session, asset.id, report)
    try:
        require_unclaimed(report["streams"], asset.id, await _claimed(tx.session, report["streams"]))
    except PricingError as refused:
        raise refused_by_pricing(refused) from refused
    identifier = tx.identifier("apr")
    value_fen = int(report["value_fen"])
    await tx.insert(
        Appraisal(
            id=identifier,
            asset=asset.id,
            value_fen=value_fen,
            digest=act.report_digest,
            report=report,
            log_index=tx.index,
        )
    )
    return Record(
        "asset_appraised",
        plain(
            {
                "appraisal": identifier,
                "approaches": {each["approach"]: each["value_fen"] for each in report["approaches"]},
                "asked": act.asked,
                "asset": asset.id,
                "parameters_digest": report["parameters_digest"],
                "product_digest": product.product_digest,
                "report": tx.seal(act.report),
                "report_digest": act.report_digest,
                "signature": report["signature"],
                "state": "appraised",
                "streams": report["streams"],
                "valued_on": report["inputs"]["valued_on"],
                "value_fen": value_fen,
                "version": report["inputs"]["version"] if signed else None,
            }
        ),
        readers=parties_of(asset),
    )


async def _refuse_the_related(tx: Transaction, asset: Asset, signature: Mapping[str, str] | None) -> None:
    """Refuse a report whose appraiser is known here, and related to the department that is valued or to its operator."""
    appraiser = None if signature is None else await signer(tx.session, signature["public_key"])
    if appraiser is None or appraiser in (asset.supplier, asset.operator):
        return  # nobody's independent word: the department's own figures say so by their key
    rules = await rulebook.in_force(tx)
    found = await relations(tx.session, tx.now_us, rules)
    for root, office in ((asset.supplier, "the department that is valued"), (asset.operator, "its operator")):
        way = None if root is None else found.path(root, appraiser)
        if root is not None and way is not None and not rules.allows("appraisal.related_may_appraise"):
            related = Conflicted(root, office, way)
            raise Forbidden(
                "appraisal.related",
                related.why("appraise"),
                field="signature",
                rule=f"an appraiser is independent of whom it values ({rules.cite('appraisal.related')})",
                remedy=REMEDY,
                path=related.way(),
            )


async def _require_newer(session: AsyncSession, asset: str, report: dict[str, Any]) -> bool:
    """Whether the report is signed; Conflict where its key signed other parameters of this or a later version."""
    if report["signature"] is None:
        return False
    key = col(Appraisal.report)["signature"]["public_key"].astext == report["signature"]["public_key"]
    query = select(Appraisal).where(col(Appraisal.asset) == asset, key)
    last = (await session.scalars(query.order_by(col(Appraisal.log_index).desc()).limit(1))).first()
    if last is not None:
        before, now = int(last.report["inputs"]["version"]), int(report["inputs"]["version"])
        same = last.report["parameters_digest"] == report["parameters_digest"]
        if now < before or (now == before and not same):
            raise Conflict(
                "appraisal.version",
                f"version {now} of the parameters, and version {before} is on the record",
                field="version",
                rule="an appraiser's parameters change under a greater version",
                remedy="count the version up and sign again",
            )
    return True


async def _claimed(session: AsyncSession, streams: list[str]) -> dict[str, str]:
    """Which of these streams the newest appraisal of an asset counts the excess earnings of: stream to asset."""
    if not streams:
        return {}
    later = aliased(Appraisal)
    superseded = select(later.id).where(
        col(later.asset) == col(Appraisal.asset), col(later.log_index) > col(Appraisal.log_index)
    )
    query = select(Appraisal.asset, Appraisal.report["streams"]).where(
        col(Appraisal.report)["streams"].has_any(array(streams)), ~superseded.exists()
    )
    rows = await session.execute(query)
    return {stream: asset for asset, counted in rows for stream in counted}
