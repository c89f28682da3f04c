"""The department's acts in one call each: scan a raw file, desensitize it under an authorization, verify a certificate."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.desensitization import grade
from exchange.desensitization import policy as policies
from exchange.desensitization.apply import apply_policy, write_product
from exchange.desensitization.certificate import (
    Authorization,
    certify,
    costs,
    require_authorized,
    write_canonical,
)
from exchange.desensitization.child import measure_in_child, read_in_child
from exchange.desensitization.declaration import Declaration
from exchange.desensitization.detect import detect
from exchange.desensitization.errors import NotReached
from exchange.desensitization.judge import Failure, Measurement, Requirements, judge
from exchange.desensitization.limits import Limits, inside
from exchange.desensitization.measure import ENGINE, measure, measure_table
from exchange.desensitization.policy import Policy, technique_to_json
from exchange.desensitization.propose import Proposal, propose
from exchange.desensitization.scanned import FORMAT
from exchange.desensitization.screening import is_marked, measured_factors, screen
from exchange.desensitization.source import file_digest, table_bytes
from exchange.desensitization.spool import Spool
from exchange.desensitization.techniques import KEY_BYTES
from exchange.desensitization.verification import Check, compare, compare_raw

Stage = Callable[[str, int, int], None]
"""Called with the stage's name, the work done in it and the work in all."""


def unseen(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan's outcome: the report without raw values, and the policy that it proposes."""

    report: dict[str, Any]
    policy: Policy
    proposal: Proposal


def scan(path: Path, declaration: Declaration, salt: bytes, limits: Limits, stage: Stage = unseen) -> Scan:
    """Read a raw file, find what identifies persons, propose a policy and rehearse it.

    The same file, declaration and salt give the same report. Raises UnreadableTable, TableTooLarge,
    PolicyRefused, and NotReached where even the rehearsal leaves too much risk.
    """
    digest = file_digest(path, salt, lambda done, total: stage("digest", done, total))
    with _read(path, limits, stage) as table:
        raw, rows = detect(table, progress=lambda done, total: stage("detect", done, total)), table.num_rows
    screened = screen(raw)
    proposal = propose(raw, declaration, lambda done, total: stage("search", done, total))
    policy = proposal.policy
    # Pseudonyms under a key of zeros measure like any others, and this table is thrown away.
    rehearsed = apply_policy(raw, policy, bytes(KEY_BYTES))
    after = measure_table(rehearsed.table, policy, file_digest="", file_bytes=0)
    _require_clean(after, policy)
    role = {column.name: column for column in policy.columns}
    solution = proposal.solution
    report: dict[str, Any] = {
        "format": FORMAT,
        "engine": ENGINE,
        "raw": {
            "digest": digest,
            "algorithm": "SHA-256(salt ‖ file)",
            "rows": str(rows),
            "bytes": str(table_bytes(path)),
        },
        "about_persons": raw.about_persons,
        "grade": grade.grade(
            grade.measured_impacts(rows=rows, about_persons=raw.about_persons, marked=is_marked(screened))
        ),
        "grading": grade.VERSION,
        "factors": grade.factors(measured_factors(raw)),
        "screened": [one.to_json() for one in screened],
        "columns": [
            {
                "name": column.name,
                "type": str(column.type),
                "nulls": str(column.nulls),
                "distinct": str(len(column.distinct)),
                "role": role[column.name].role,
                "technique": technique_to_json(role[column.name].technique)["name"],
            }
            for column in raw.columns
        ],
        "findings": [finding.to_json() for finding in raw.findings],
        "before": rehearsed.before.to_json(),
        "after": after.risk.to_json(),
        "suppressed_rows": str(rehearsed.suppressed_rows),
        "row_suppression_ppm": str(rehearsed.row_suppression_ppm),
        "loss_ppm": {name: str(loss) for name, loss in rehearsed.loss_ppm.items()},
        "search": None
        if solution is None
        else {
            "judged": str(solution.judged),
            "dropped_rows": str(solution.dropped_rows),
            "optimal": solution.optimal,
        },
        "policy": policy.to_json(),
        "policy_digest": policy.digest(),
    }
    return Scan(report, policy, proposal)


@dataclass(frozen=True, slots=True)
class Product:
    """What apply wrote: the file's measurement and the certificate with its digest."""

    measurement: Measurement
    certificate: dict[str, Any]
    certificate_digest: str


def desensitize(
    path: Path,
    policy: Policy,
    authorization: Authorization,
    *,
    salt: bytes,
    key: bytes,
    product: Path,
    certificate: Path,
    limits: Limits,
    stage: Stage = unseen,
) -> Product:
    """Make the product of an authorized policy, measure the file as written, and certify it.

    Both files appear whole or not at all. The same raw file, policy, authorization, salt and key give the
    same bytes. Raises NotAuthorized before anything is read as a table, then whatever reading, the policy or
    the measurement refuse.
    """
    digest = file_digest(path, salt, lambda done, total: stage("digest", done, total))
    require_authorized(authorization, raw_digest=digest, policy=policy)
    with _read(path, limits, stage) as table:
        raw, rows = detect(table, progress=lambda done, total: stage("detect", done, total)), table.num_rows
    stage("apply", 0, 1)
    applied = apply_policy(raw, policy, key)
    stage("apply", 1, 1)
    with _appearing(product) as written, _appearing(certificate) as certified:
        write_product(applied.table, written)
        measurement = measure(written, policy, limits, lambda done, total: stage("measure", done, total))
        _require_clean(measurement, policy)
        document = certify(authorization, policy, applied, measurement, rows)
        certificate_digest = write_canonical(document, certified)
    return Product(measurement, document, certificate_digest)


def verify(
    document: Mapping[str, Any],
    product: Path,
    *,
    raw: Path | None = None,
    salt: bytes = b"",
    stage: Stage = unseen,
) -> list[Check]:
    """A certificate recomputed from the product it speaks of, and with the raw table and its salt from both.

    The product is read in a child under the exchange's own limits. A product that breaks the certificate's own
    policy differs in the member `policy`, by the rule. Raises PolicyRefused where the certificate holds no policy,
    and what reading refuses.
    """
    policy = policies.parse(document.get("policy"))
    stage("measure", 0, 1)
    measurement = measure_in_child(product, policy)
    stage("measure", 1, 1)
    checks = compare(document, policy, measurement)
    checks += [
        Check(
            "policy", "differs", "recomputed", failure.rule, f"{failure.column or 'table'}: {failure.detail}"
        )
        for failure in _broken(measurement, policy)
    ]
    if raw is None:
        return checks
    digest = file_digest(raw, salt, lambda done, total: stage("digest", done, total))
    with _read(raw, inside(table_bytes(raw)), stage) as table:
        found, rows = detect(table, progress=lambda done, total: stage("detect", done, total)), table.num_rows
    stage("apply", 0, 1)
    # Pseudonyms under a key of zeros lose and suppress like any others.
    applied = apply_policy(found, policy, bytes(KEY_BYTES))
    stage("apply", 1, 1)
    recomputed = compare_raw(document, {"raw_digest": digest, "raw_rows": str(rows), **costs(applied)})
    settled = {check.member for check in recomputed} | {"before"}
    return [check for check in checks if check.member not in settled] + recomputed


_BYTES_A_SECOND = 2_000_000
"""How slowly a table may be read at worst: a child that takes longer is at something else."""


def _read(path: Path, limits: Limits, stage: Stage) -> Spool:
    """The raw table, parsed in a child: a workbook that came by mail is as hostile inside as outside."""
    cpu_s = 120 + table_bytes(path) // _BYTES_A_SECOND
    with read_in_child(
        path, limits, cpu_s=cpu_s, progress=lambda done, total: stage("read", done, total)
    ) as reader:
        return Spool(reader)


def _require_clean(measurement: Measurement, policy: Policy) -> None:
    """The department's own measure of the product, by the rules of the exchange; the grade is not judged here."""
    failures = _broken(measurement, policy)
    if failures:
        first = failures[0]
        raise NotReached(
            "; ".join(f"{failure.column or 'table'}: {failure.detail}" for failure in failures),
            field=first.column or "table",
            rule=first.rule,
            remedy=first.remedy,
        )


def _broken(measurement: Measurement, policy: Policy) -> list[Failure]:
    return judge(measurement, Requirements(policy, policy.k, policy.l, policy.exempt_from_k, "core"))


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A file that takes its name only when all of it is written and nothing was raised."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
