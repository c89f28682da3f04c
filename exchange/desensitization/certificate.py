"""The desensitization certificate: which raw table, under which authorized policy, became which product, at what risk.

A JSON object (numbers are strings), canonical on disk; the same inputs give the same bytes, so it holds no time.
It names digests, figures and the policy, and no value of the raw table.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import rfc8785

from exchange.desensitization import ENGINE_NAME, ENGINE_VERSION, indices
from exchange.desensitization.errors import NotAuthorized
from exchange.desensitization.frontier import decimal
from exchange.desensitization.judge import Measurement
from exchange.desensitization.policy import Policy, Pseudonymize, Tokenize
from exchange.desensitization.policy.requirements import loss_to_json
from exchange.desensitization.product import Applied
from exchange.desensitization.techniques import PSEUDONYM_ALGORITHM, TOKEN_ALGORITHM
from exchange.desensitization.verification import EXEMPTION_RULE, FORMAT

WRITER = f"pyarrow {pa.__version__}"
"""What lays the product's bytes: another version may lay the same table otherwise."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a second person authorized: one table, one policy."""

    id: str
    asset: str
    raw_digest: str
    policy_digest: str
    exempt_from_k: bool


def require_authorized(authorization: Authorization, *, raw_digest: str, policy: Policy) -> None:
    """Raise NotAuthorized unless table, policy and exemption are exactly the authorized ones; the first that differs is named."""
    for field, authorized, local, what in (
        ("raw_digest", authorization.raw_digest, raw_digest, "the raw table (or its salt)"),
        ("policy_digest", authorization.policy_digest, policy.digest(), "the policy"),
    ):
        if authorized != local:
            raise NotAuthorized(
                f"{what} is not the one that was authorized: authorized {authorized}, here {local}",
                field=field,
                rule="an authorization is bound to one raw table and one policy",
                remedy="use the files that were scanned, or file a new assessment and have it authorized",
            )
    if policy.exempt_from_k and not authorization.exempt_from_k:
        raise NotAuthorized(
            "the policy claims an exemption from k that was not authorized",
            field="exempt_from_k",
            rule="a table is exempt from k only when the assessment says so",
            remedy="have the exemption assessed and authorized",
        )


def certify(
    authorization: Authorization, policy: Policy, applied: Applied, measurement: Measurement, raw_rows: int
) -> dict[str, Any]:
    """The certificate of one product; `measurement` is of the product's file as it was written."""
    return {
        "format": FORMAT,
        "engine": {"name": ENGINE_NAME, "version": ENGINE_VERSION, "writer": WRITER},
        "authorization": {"id": authorization.id, "asset": authorization.asset},
        "raw_digest": authorization.raw_digest,
        "raw_rows": str(raw_rows),
        "policy": policy.to_json(),
        "policy_digest": authorization.policy_digest,
        "product_digest": measurement.file_digest,
        "product": {
            "bytes": str(measurement.file_bytes),
            "rows": str(measurement.rows),
            "columns": [column.name for column in measurement.columns],
        },
        "exemption": {"from": "k", "rule": EXEMPTION_RULE} if policy.exempt_from_k else None,
        **keyed_algorithms(policy),
        "grade": measurement.grade,
        "after": measurement.risk.to_json(),
        "privacy": [measure.to_json() for measure in measurement.privacy],
        **costs(applied, policy),
    }


def keyed_algorithms(policy: Policy) -> dict[str, str | None]:
    """By which algorithm keyed values are made, of each kind that the policy has."""
    used = {type(column.technique) for column in policy.columns}
    return {
        "pseudonyms": PSEUDONYM_ALGORITHM if Pseudonymize in used else None,
        "tokens": TOKEN_ALGORITHM if Tokenize in used else None,
    }


def costs(applied: Applied, policy: Policy) -> dict[str, Any]:
    """What only the raw table shows: the risk before, what was lost on the way, and how far it can be turned back.

    `utility` is the loss that the policy chose (one number, or one a column where its aggregate is `rank`), nine
    digits of it. `indices` are those of T/CSAC 007-2024 as `indices` computes them, by column and over all that can
    harm a person.
    """
    harmful = [column.name for column in policy.columns if column.role != "other"]
    return {
        "before": applied.before.to_json(),
        "suppressed_rows": str(applied.suppressed_rows),
        "row_suppression_ppm": str(applied.row_suppression_ppm),
        "loss_ppm": {name: str(loss) for name, loss in applied.loss_ppm.items()},
        "utility": {
            "loss": loss_to_json(policy.loss),
            "value": [decimal(part) for part in applied.utility],
        },
        "indices": {
            "source": indices.SOURCE,
            "overall": indices.overall(applied.indices, harmful).to_json(),
            "columns": {name: index.to_json() for name, index in applied.indices.items()},
        },
    }


def write_canonical(document: dict[str, Any], path: Path) -> str:
    """Write RFC 8785 bytes and return their SHA-256 in hexadecimal."""
    data = rfc8785.dumps(document)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
