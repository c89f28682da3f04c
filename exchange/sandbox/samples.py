"""The sandbox's sample assets: small tables drawn from a seed, led through the same four steps as in production.

Nobody is in them: names and numbers are drawn. The seller's people scan, assess, authorize, desensitize, release and
register them by the department's own tools and the SDK, and the exchange measures what arrives.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from exchange.client import Exchange
from exchange.desensitization import department
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.department import Scan
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.messages.assets import (
    AppraisalMessage,
    AssessmentMessage,
    ColumnMessage,
    CostApproachMessage,
    CostMessage,
    DeclarationsMessage,
    ImpactMessage,
    QualityMessage,
)
from pricing.appraisal import InformationAttributes, LegalAttributes, ValueAttributes

COST_FEN = 6_000_00


@dataclass(frozen=True, slots=True)
class Sample:
    """A table of the sandbox's: what it is, and how its lines are drawn."""

    name: str
    title: str
    kind: str
    theme: str
    about_persons: bool
    lines: Callable[[random.Random], Iterator[str]]


def _passengers(chance: random.Random) -> Iterator[str]:
    yield "line,hour,entries,exits"
    for line in range(1, 6):
        for hour in range(5, 24):
            yield f"L{line},{hour},{chance.randrange(200, 9000)},{chance.randrange(200, 9000)}"


def _visits(chance: random.Random) -> Iterator[str]:
    yield "mobile,age,service,satisfaction"
    for _ in range(400):
        service = chance.choice(["surgery", "medicine", "emergency", "intensive care"])
        mobile = f"13{chance.randrange(10**9):09d}"
        yield f"{mobile},{20 + chance.randrange(40)},{service},{60 + chance.randrange(40)}"


def _weather(chance: random.Random) -> Iterator[str]:
    yield "station,observed,temperature,humidity"
    for n in range(120):
        yield f"S{n % 4},2026-01-{1 + n % 28:02d},{chance.randrange(-5, 15)}.5,{40 + chance.randrange(50)}"


SAMPLES = (
    Sample("passengers", "地铁分时客流 Metro passengers by line and hour", "transport", "travel", False, _passengers),
    Sample("visits", "就诊满意度 Hospital visits", "health", "medical_care", True, _visits),
    Sample("weather", "气象站逐日观测 Weather stations by day", "meteorology", "weather", False, _weather),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scanned:
    """A raw table inside the department, and its scan."""

    sample: Sample
    raw: Path
    scan: Scan
    salt: bytes


def scanned(sample: Sample, folder: Path, seed: int) -> Scanned:
    """Draw a table into the department's folder and scan it there."""
    raw = folder / f"{sample.name}.csv"
    raw.write_text("\n".join(sample.lines(random.Random(seed))) + "\n", encoding="utf-8")  # noqa: S311  # data, no secret
    salt = secrets.token_bytes(32)
    return Scanned(sample, raw, department.scan(raw, Declaration(), salt, Limits()), salt)


def brought(table: Scanned, assessor: Exchange, approver: Exchange) -> str:
    """Lead a table through the four steps; returns the asset, which can be applied for."""
    sample, policy, report = table.sample, table.scan.policy, table.scan.report
    asset: str = assessor.declare_asset(sample.title, sample.kind, summary="drawn for the sandbox").outcome[
        "asset"
    ]
    assessed = assessor.file_risk_assessment(
        asset,
        AssessmentMessage(
            raw_digest=report["raw"]["digest"],
            policy_digest=policy.digest(),
            policy=policy.to_json(),
            report=report,
            impacts=[
                ImpactMessage(
                    harmed="personal_rights" if sample.about_persons else "public_interest",
                    degree="ordinary",
                    reason="what a leak of a true table of this kind would show",
                )
            ],
            declared=DeclarationsMessage(state_secret=False, trade_secret=False, privacy_consented=False),
            exempt_from_k=policy.exempt_from_k,
        ),
    )
    granted = approver.authorize(asset, assessed.outcome["assessment"]).outcome
    product = table.raw.with_suffix(".parquet")
    made = department.apply(
        table.raw,
        policy,
        Authorization(
            granted["authorization"],
            granted["asset"],
            granted["raw_digest"],
            granted["policy_digest"],
            granted["exempt_from_k"],
        ),
        salt=table.salt,
        key=secrets.token_bytes(32),
        product=product,
        certificate=table.raw.with_suffix(".json"),
        limits=Limits(),
    )
    digest = assessor.upload(product)
    assessor.release(asset, granted["authorization"], digest, made.certificate)
    assessor.assign_theme(asset, sample.theme)
    return asset


def costs(table: Scanned) -> AppraisalMessage:
    """What such a table costs, as the sandbox assumes it."""
    import pyarrow.parquet

    product = table.raw.with_suffix(".parquet")
    columns = [
        ColumnMessage(name=column.name, kind="text" if column.type == "string" else "number", required=False)
        for column in pyarrow.parquet.read_schema(product)
    ]
    return AppraisalMessage(
        purpose="listing in a sandbox",
        valued_on="2026-01-01",
        approaches=[
            CostApproachMessage(
                approach="cost",
                reason="a sample has no sale and no income behind it",
                items=[
                    CostMessage(
                        kind="collection",
                        amount_fen=COST_FEN,
                        description="collecting and cleaning",
                        source="the sandbox's assumption",
                    )
                ],
                profit_rate_ppm=60_000,
                profit_source="the sandbox's assumption",
                weights_reason="all dimensions count alike",
            )
        ],
        information={f.name: "a sample of the sandbox" for f in fields(InformationAttributes)},
        legal={f.name: "a sample of the sandbox" for f in fields(LegalAttributes)},
        value={f.name: "a sample of the sandbox" for f in fields(ValueAttributes)},
        quality=QualityMessage(columns=columns),
    )
