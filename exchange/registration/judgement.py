"""Whether an arriving file is what was authorized: its certificate and its measurement against the authorization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from exchange.desensitization.grade import Grade
from exchange.desensitization.judge import Failure, Measurement, Requirements, Risk, judge
from exchange.desensitization.policy import Policy
from exchange.desensitization.verification import compare


@dataclass(frozen=True, slots=True)
class Found:
    """What the exchange found out about a file before the gate."""

    measurement: Measurement | None
    failures: tuple[Failure, ...]


NOT_MEASURED = Found(None, ())


@dataclass(frozen=True, slots=True)
class Authorized:
    """What a department authorized."""

    id: str
    asset: str
    raw_digest: str
    policy: Policy
    grade: Grade
    exempt_from_k: bool


def judge_release(
    measurement: Measurement, authorized: Authorized, product_digest: str, certificate: Mapping[str, Any]
) -> Found:
    """Every reason to refuse the file; none lets it cross. Pure.

    The certificate has to name this authorization, its raw table, its policy and this file, and every figure
    in it that the file or its other figures bear out is recomputed (`exchange.desensitization.verification`);
    the file itself is judged (`exchange.desensitization.judge`).
    """
    policy = authorized.policy
    checks = compare(certificate, policy, measurement)
    measurement = nameless(measurement, policy)
    bound = (
        (
            "authorization",
            {"id": authorized.id, "asset": authorized.asset},
            "stands on another authorization",
        ),
        ("raw_digest", authorized.raw_digest, "is about another raw table than was authorized"),
        ("policy_digest", policy.digest(), "is about another policy than was authorized"),
        ("product_digest", product_digest, "is about another file"),
    )
    failures = [
        Failure(
            None,
            "certificate",
            f"the certificate {words}: its {member} is not the one here",
            "send the certificate that `exchange desensitize apply` wrote beside this product",
        )
        for member, expected, words in bound
        if certificate.get(member) != expected
    ]
    named = {member for member, _, _ in bound}
    # What the certificate says instead may be anything, a person's value too: the record names the member alone.
    failures.extend(
        Failure(
            None,
            "certificate",
            f"the certificate is not borne out: {member} is not what the exchange found",
            "run `exchange desensitize verify` on both files, and send the certificate that "
            "`exchange desensitize apply` wrote beside this product",
        )
        for member in dict.fromkeys(
            _known(check.member, policy) for check in checks if check.outcome == "differs"
        )
        if member not in named
    )
    if measurement.file_digest != product_digest:
        failures.append(
            Failure(
                None,
                "certificate",
                f"the file that was measured hashes to {measurement.file_digest}",
                "upload the file again",
            )
        )
    requirements = Requirements(policy, policy.k, policy.l, authorized.exempt_from_k, authorized.grade)
    return Found(measurement, (*judge(measurement, requirements), *failures))


def _known(member: str, policy: Policy) -> str:
    """A certificate's member by a name that the exchange or the policy gave it."""
    whole, _, part = member.partition(".")
    fixed = part in Risk.__dataclass_fields__ or part in ("journalist_ppm", "bytes", "columns")
    return member if fixed or policy.column(part) else whole


def nameless(measurement: Measurement, policy: Policy) -> Measurement:
    """The measurement with columns that the policy does not know called by their place.

    A raw file without a header has a person's values for names of columns; they must reach neither the log nor
    a row.
    """
    called = {
        column.name: column.name if policy.column(column.name) else f"column {place} of the file"
        for place, column in enumerate(measurement.columns, start=1)
    }
    return replace(
        measurement,
        columns=tuple(replace(column, name=called[column.name]) for column in measurement.columns),
        findings=tuple(replace(found, column=called[found.column]) for found in measurement.findings),
        risk=measurement.risk.renamed(called),
    )
