"""Room: ask pricing for the value of an asset, and keep the reasoned report.

The quality is counted from the released file itself and the value computed from it before the gate; the room
keeps the report, whose inputs give the same value to whoever computes it again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from exchange.acts import Act, Record, Transaction, plain
from exchange.catalogue import parties_of, product_of, visible_asset
from exchange.errors import Conflict, Forbidden, Unprocessable
from exchange.tables import Appraisal, Asset, Release
from pricing import quality
from pricing.appraisal import CostInputs, CostReport
from pricing.appraisal import appraise as compute
from pricing.errors import PricingError
from pricing.quality import Declaration, Quality

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from exchange.acts import Caller


@dataclass(frozen=True, slots=True)
class Appraise(Act):
    """A computed report comes in; `report` is its canonical text, `asked` the SHA-256 of what the caller sent.

    When the quality was measured is not the caller's, so it does not tell one request from another.
    """

    asset: str
    product_digest: str
    asked: str
    report: str

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


def measure_quality(product: Path, declaration: Declaration, as_of_us: int) -> Quality:
    """The six dimensions of a kept product as of a moment. Reads the whole file; Unprocessable names a wrong rule."""
    from exchange.desensitization.limits import Limits
    from exchange.desensitization.source import read_table

    table = read_table(product, Limits())
    try:
        return quality.measure(table, declaration, as_of_us=as_of_us)
    except PricingError as refused:
        raise refused_by_pricing(refused) from refused


def report_on(inputs: CostInputs) -> CostReport:
    """The value with its reasons; Unprocessable names what is missing or cannot be."""
    try:
        report = compute(inputs)
    except PricingError as refused:
        raise refused_by_pricing(refused) from refused
    if not report.value_fen:
        raise Unprocessable(
            "appraisal.nothing",
            "the measured quality leaves a coefficient of nothing, and so a value of 0",
            field="quality",
            rule="a column that is not declared counts as not conforming",
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
    identifier = tx.identifier("apr")
    report = orjson.loads(act.report)
    digest = hashlib.sha256(act.report.encode()).hexdigest()
    value_fen = int(report["value_fen"])
    await tx.insert(
        Appraisal(
            id=identifier,
            asset=asset.id,
            value_fen=value_fen,
            digest=digest,
            report=report,
            log_index=tx.index,
        )
    )
    return Record(
        "asset_appraised",
        plain(
            {
                "appraisal": identifier,
                "approach": report["approach"],
                "asset": asset.id,
                "delta_ppm": report["delta_ppm"],
                "product_digest": product.product_digest,
                "replacement_cost_fen": report["replacement_cost_fen"],
                "report": tx.seal(act.report),
                "report_digest": digest,
                "state": "appraised",
                "valued_on": report["inputs"]["valued_on"],
                "value_fen": value_fen,
            }
        ),
        readers=parties_of(asset),
    )
