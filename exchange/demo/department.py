"""A department in the demo: raw data in a directory of its own, and two people who never act for each other."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from exchange.client import Done, Exchange
from exchange.demo.tables import RawTable
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
from exchange.sandbox.site import Site, finish

QUALITY_KINDS = {"int": "integer", "uin": "integer", "dou": "number", "flo": "number", "boo": "boolean",
                 "dat": "date", "tim": "time"}  # fmt: skip


@dataclass(slots=True)
class Dataset:
    """One raw table on its way out: what stays here is `raw` and the salt in `work`."""

    raw: RawTable
    work: Path
    kind: str
    theme: str
    scanning: subprocess.Popen[str]
    asset: str = ""
    assessment: str = ""
    code: str = ""
    report: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str) -> Any:
        """A JSON file that a command left in the working directory."""
        return orjson.loads((self.work / name).read_bytes())


@dataclass(slots=True)
class Department:
    """The clients of its two people, and the sandbox for its own commands."""

    sandbox: Site
    party: str
    assessor: Exchange
    approver: Exchange

    def declare(self, data: Dataset, operator: str) -> Done:
        """Say that the data exists."""
        done = self.assessor.declare_asset(
            f"{data.raw.title_zh} {data.raw.title_en}"[:200],
            data.kind,
            summary=f"{data.raw.source}; {data.raw.licence}",
            operator=operator,
        )
        data.asset = done.outcome["asset"]
        return done

    def assess(self, data: Dataset) -> Done:
        """File what the scan found, with whom a leak would harm."""
        finish(data.scanning)
        data.report = data.read("report.json")
        about_persons = data.report["about_persons"]
        done = self.assessor.file_risk_assessment(
            data.asset,
            AssessmentMessage(
                raw_digest=data.report["raw"]["digest"],
                policy_digest=data.report["policy_digest"],
                policy=data.read("policy.json"),
                report=data.report,
                impacts=[
                    ImpactMessage(
                        harmed="personal_rights" if about_persons else "public_interest",
                        degree="ordinary",
                        reason="what a leak of the desensitized table would show",
                    )
                ],
                declared=DeclarationsMessage(state_secret=False, trade_secret=False, privacy_consented=False),
                exempt_from_k=not about_persons,
            ),
        )
        data.assessment = done.outcome["assessment"]
        return done

    def desensitize(self, data: Dataset, authorization: Done) -> subprocess.Popen[str]:
        """Start `exchange desensitize apply` under the authorization that the exchange answered."""
        document = self.approver.authorization_document(data.asset, authorization.outcome["authorization"])
        path = data.work / "authorization.json"
        path.write_bytes(orjson.dumps(document))
        return self.sandbox.start(
            "desensitize", "apply", str(data.raw.path), "--policy", str(data.work / "policy.json"),
            "--authorization", str(path), "--vkey", self.sandbox.vkey, "--out", str(data.work),
        )  # fmt: skip

    def release(self, data: Dataset, authorization: Done) -> Done:
        """Let the desensitized file cross, and put it under its theme."""
        digest = self.assessor.upload(data.work / "product.parquet")
        done = self.assessor.release(
            data.asset, authorization.outcome["authorization"], digest, data.read("certificate.json")
        )
        self.assessor.assign_theme(data.asset, data.theme)
        return done

    def appraise(self, data: Dataset, costs: Sequence[tuple[str, int]]) -> Done:
        """Have the exchange value the product by what it cost to make."""
        import pyarrow.parquet

        columns = [
            ColumnMessage(
                name=column.name,
                kind=QUALITY_KINDS.get(str(column.type)[:3], "text"),
                required=False,
            )
            for column in pyarrow.parquet.read_schema(data.work / "product.parquet")
        ]
        return self.assessor.appraise(
            data.asset,
            AppraisalMessage(
                purpose="listing on the exchange",
                valued_on="2026-01-01",
                approaches=[
                    CostApproachMessage(
                        approach="cost",
                        reason="no comparable sale and no income history exist yet; the costs are documented",
                        items=[
                            CostMessage(
                                kind=kind,
                                amount_fen=fen,
                                description=f"{kind} of the data set",
                                source="the demo's assumption",
                            )
                            for kind, fen in costs
                        ],
                        profit_rate_ppm=60_000,
                        profit_source="the demo's assumption",
                        weights_reason="timeliness is left out: these are closed years, whose use does not hang on it",
                        weights_ppm=[250_000, 250_000, 250_000, 250_000, 0, 0],
                    )
                ],
                information={
                    "name": data.raw.title_en,
                    "structure": f"{data.raw.columns} columns",
                    "dictionary": "column names of the source package",
                    "scale": f"{data.raw.rows} rows",
                    "period": "one year",
                    "frequency": "once",
                    "storage": "Parquet",
                },
                legal={
                    "authorizing_party": "the department",
                    "right_holder": "the department",
                    "right_path": "public duty",
                    "right_kind": "right_hold, right_use, right_operate",
                    "right_scope": "the desensitized table",
                    "right_term": "one year",
                    "right_limits": "no re-identification",
                },
                value={
                    "region": "as in the table",
                    "industry": data.kind,
                    "cost": "itemised in the report",
                    "scenario": "analysis and planning",
                    "quality": "measured by the exchange",
                    "scarcity": "the only desensitized release",
                },
                quality=QualityMessage(columns=columns),
            ),
        )
