"""The department's acts in one call each: scan a raw file, plan what it becomes, apply what was authorized, verify a certificate."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exchange.desensitization import grade
from exchange.desensitization import policy as policies
from exchange.desensitization.certificate import (
    WRITER,
    Authorization,
    certify,
    costs,
    keyed_algorithms,
    require_authorized,
    write_canonical,
)
from exchange.desensitization.child import measure_in_child, read_in_child
from exchange.desensitization.detection.detect import detect
from exchange.desensitization.errors import NotReached
from exchange.desensitization.frontier import USUAL_K, USUAL_LIMITS_PPM, Candidate, candidates, grid
from exchange.desensitization.judge import Failure, Measurement, Requirements, judge
from exchange.desensitization.measure import ENGINE, measure, measure_table
from exchange.desensitization.policy import Noise, Policy, ShiftDates, technique_to_json
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.product import Applied, apply_policy, write_product
from exchange.desensitization.propose import Proposal, Proposer
from exchange.desensitization.reading.limits import Limits, inside
from exchange.desensitization.reading.source import file_digest, table_bytes
from exchange.desensitization.reading.spool import Spool
from exchange.desensitization.samples import becomes
from exchange.desensitization.scanned import FORMAT
from exchange.desensitization.screening import is_marked, measured_factors, screen
from exchange.desensitization.search.lattice import Solution
from exchange.desensitization.techniques import KEY_BYTES
from exchange.desensitization.verification import Check, compare, compare_raw, without_key

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


class Plan:
    """A raw table that was read and looked at, with the transformations that can be chosen for it."""

    def __init__(
        self, path: Path, declaration: Declaration, salt: bytes, limits: Limits, stage: Stage
    ) -> None:
        self._digest = file_digest(path, salt, lambda done, total: stage("digest", done, total))
        self._bytes = table_bytes(path)
        with _read(path, limits, stage) as table:
            self.raw = detect(table, progress=lambda done, total: stage("detect", done, total))
        self._proposer = Proposer(self.raw, declaration)
        self.candidates: tuple[Candidate, ...] = ()

    def search(self, demands: Sequence[tuple[int, int]], stage: Stage = unseen) -> None:
        """Find the best transformation for each pair of a k and a suppression limit in ppm."""
        self.candidates = candidates(
            self._proposer, demands, lambda done, total: stage("frontier", done, total)
        )

    def scan(self, chosen: Candidate | None = None, stage: Stage = unseen) -> Scan:
        """Rehearse a candidate, or what was declared, and report it.

        Raises PolicyRefused where what was declared cannot be reached, NotReached where even the rehearsal leaves
        too much risk.
        """
        raw, proposer = self.raw, self._proposer
        declaration = proposer.declaration
        if chosen is not None:
            declaration = replace(declaration, k=chosen.k, suppression_limit_ppm=chosen.suppression_limit_ppm)
        asked = (declaration.k, declaration.suppression_limit_ppm)
        same = [one for one in self.candidates if (one.k, one.suppression_limit_ppm) == asked]
        solution = (
            same[0].solution
            if same
            else proposer.search(declaration, lambda done, total: stage("search", done, total))
        )
        policy = proposer.policy(declaration, solution)
        # Pseudonyms under a key of zeros measure like any others, and this table is thrown away.
        rehearsed = apply_policy(raw, policy, bytes(KEY_BYTES))
        after = measure_table(rehearsed.table, policy, file_digest="", file_bytes=0)
        _require_clean(after, policy)
        return Scan(self._report(policy, solution, rehearsed, after), policy, Proposal(policy, solution))

    def _report(
        self, policy: Policy, solution: Solution | None, rehearsed: Applied, after: Measurement
    ) -> dict[str, Any]:
        raw = self.raw
        rows = raw.columns[0].rows
        screened = screen(raw)
        declared = {column.name: column for column in policy.columns}
        return {
            "format": FORMAT,
            "engine": ENGINE,
            "raw": {
                "digest": self._digest,
                "algorithm": "SHA-256(salt ‖ file)",
                "rows": str(rows),
                "bytes": str(self._bytes),
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
                    "role": declared[column.name].role,
                    "technique": technique_to_json(declared[column.name].technique)["name"],
                    "becomes": becomes(rehearsed.table, declared[column.name], column),
                }
                for column in raw.columns
            ],
            "findings": [finding.to_json() for finding in raw.findings],
            "privacy": [measure.to_json() for measure in after.privacy],
            "after": after.risk.to_json(),
            **costs(rehearsed, policy),
            "search": None
            if solution is None
            else {
                "judged": str(solution.judged),
                "dropped_rows": str(solution.dropped_rows),
                "optimal": solution.optimal,
            },
            "frontier": [one.to_json() for one in self.candidates],
            "policy": policy.to_json(),
            "policy_digest": policy.digest(),
        }


def look(path: Path, limits: Limits | None = None, stage: Stage = unseen) -> Proposer:
    """A raw table with what is found in it and what would be done by itself, before anything is declared. Raises like `scan`."""
    with _read(path, limits or inside(table_bytes(path)), stage) as table:
        raw = detect(table, progress=lambda done, total: stage("detect", done, total))
    return Proposer(raw, Declaration())


def scan(
    path: Path,
    declaration: Declaration,
    salt: bytes,
    limits: Limits | None = None,
    stage: Stage = unseen,
) -> Scan:
    """Read a raw file, find what identifies persons, propose a policy and rehearse it.

    The same file, declaration and salt give the same report. Without limits those of a department's own table hold.
    Raises UnreadableTable, TableTooLarge, PolicyRefused, and NotReached where even the rehearsal leaves too much risk.
    """
    found = Plan(path, declaration, salt, limits or inside(table_bytes(path)), stage)
    limit_ppm = declaration.suppression_limit_ppm
    found.search(grid((*USUAL_K, declaration.k), (limit_ppm,)), stage)
    return found.scan(stage=stage)


def plan(
    path: Path,
    declaration: Declaration,
    salt: bytes,
    limits: Limits | None = None,
    stage: Stage = unseen,
    *,
    demands: Sequence[tuple[int, int]] = (),
) -> Plan:
    """Read a raw file and find the transformations that can be chosen, for pairs of a k and a suppression limit in ppm.

    Without `demands` the usual ones and the declared one. `Plan.scan` rehearses one of them. Raises like `scan`.
    """
    found = Plan(path, declaration, salt, limits or inside(table_bytes(path)), stage)
    declared = (declaration.k, declaration.suppression_limit_ppm)
    found.search(demands or [*grid(USUAL_K, USUAL_LIMITS_PPM), declared], stage)
    return found


@dataclass(frozen=True, slots=True)
class Product:
    """What apply wrote: the file's measurement and the certificate with its digest."""

    measurement: Measurement
    certificate: dict[str, Any]
    certificate_digest: str


def apply(
    path: Path,
    policy: Policy,
    authorization: Authorization,
    *,
    salt: bytes,
    key: bytes,
    product: Path,
    certificate: Path,
    limits: Limits | None = None,
    stage: Stage = unseen,
) -> Product:
    """Make the product of an authorized policy, measure the file as written, and certify it.

    Both files appear whole or not at all. The same raw file, policy, authorization, salt and key give the
    same bytes. Raises NotAuthorized before anything is read as a table, then whatever reading, the policy or
    the measurement refuse.
    """
    digest = file_digest(path, salt, lambda done, total: stage("digest", done, total))
    require_authorized(authorization, raw_digest=digest, policy=policy)
    limits = limits or inside(table_bytes(path))
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
    key: bytes | None = None,
    stage: Stage = unseen,
) -> list[Check]:
    """A certificate recomputed from the product it speaks of, and with the raw table and its salt from both.

    The product is read in a child under the exchange's own limits. A product that breaks the certificate's own
    policy differs in the member `policy`, by the rule. With the product's key it is made again, byte by byte.
    Raises PolicyRefused where the certificate holds no policy, and what reading refuses.
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
    applied = apply_policy(found, policy, bytes(KEY_BYTES) if key is None else key)
    stage("apply", 1, 1)
    recomputed = compare_raw(
        document, {"raw_digest": digest, "raw_rows": str(rows), **costs(applied, policy)}
    )
    if key is not None:
        recomputed += _remade(document, applied, policy)
    elif any(isinstance(column.technique, Noise | ShiftDates) for column in policy.columns):
        recomputed = without_key(recomputed)
    settled = {check.member for check in recomputed} | {"before", "utility", "indices"}
    return [
        check for check in checks if check.member not in settled or check.outcome == "differs"
    ] + recomputed


def _remade(document: Mapping[str, Any], applied: Applied, policy: Policy) -> Iterator[Check]:
    """The product made again under its key: the same bytes, and so the algorithms that its keyed values name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "product.parquet"
        write_product(applied.table, path)
        digest = file_digest(path)
    said = document.get("product_digest")
    same = said == digest
    engine = document.get("engine")
    writer = engine.get("writer") if isinstance(engine, Mapping) else None
    if not same and writer != WRITER:
        yield Check("product_digest", "unchecked", "other_engine", said, digest)
        return
    yield Check("product_digest", "agrees" if same else "differs", "remade", said, digest)
    for member, found in keyed_algorithms(policy).items():
        agrees = same and document.get(member) == found
        yield Check(member, "agrees" if agrees else "differs", "remade", document.get(member), found)


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
