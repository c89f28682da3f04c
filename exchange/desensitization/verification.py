"""A certificate held against the file it speaks of: what agrees, what differs, what the file alone cannot show. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from exchange.desensitization import ENGINE_NAME, ENGINE_VERSION
from exchange.desensitization.judge import Measurement
from exchange.desensitization.policy import Keep, Policy, Pseudonymize, Suppress, Tokenize
from exchange.desensitization.policy.requirements import loss_to_json

FORMAT = "data-asset-exchange-desensitization-certificate@1"
EXEMPTION_RULE = "no column about a person is found, and the risk assessment says so (GB/T 37964-2019)"

Outcome = Literal["agrees", "differs", "unchecked"]
Why = Literal[
    "recomputed", "remade", "follows", "needs_raw", "needs_key", "needs_log", "other_engine", "unknown_member"
]

WHY: Mapping[Why, tuple[str, str]] = {
    "recomputed": ("由文件重新计算", "recomputed from the file"),
    "remade": ("由原始数据与密钥重新制作", "made again from the raw table and the key"),
    "follows": ("由证书其他各项推得", "follows from the certificate's other members"),
    "needs_raw": ("须有原始数据及其盐方可核验", "needs the raw table and its salt"),
    "needs_key": ("须有产品密钥方可核验", "needs the product's key"),
    "needs_log": ("须向交易所的日志核验", "is for the exchange's log to prove"),
    "other_engine": (
        "证书由另一版本的引擎签发，数值由本版本重新计算",
        "another engine or version made the certificate; the figures are recomputed by this one",
    ),
    "unknown_member": ("本引擎不认识此项", "is a member that this engine does not know"),
}
"""Why an outcome is what it is, in Chinese and in English."""

_MILLION = 1_000_000
_KNOWN = {
    "format", "engine", "authorization", "raw_digest", "raw_rows", "policy", "policy_digest", "product_digest",
    "product", "exemption", "pseudonyms", "tokens", "grade", "before", "after", "privacy", "suppressed_rows",
    "row_suppression_ppm", "loss_ppm", "utility", "indices",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One member of a certificate: what it says, what was found, and how that is known.

    `said` is whatever the certificate holds, so it is shown to its reader and never recorded.
    """

    member: str
    outcome: Outcome
    why: Why
    said: Any = None
    found: Any = None

    def to_json(self) -> dict[str, Any]:
        """A plain object, with the reason in both languages."""
        zh, en = WHY[self.why]
        return {
            "member": self.member,
            "outcome": self.outcome,
            "said": self.said,
            "found": self.found,
            "why": {"zh": zh, "en": en},
        }


def compare(certificate: Mapping[str, Any], policy: Policy, measurement: Measurement) -> list[Check]:
    """Every member of a certificate against a measurement of its file under `policy`, in the certificate's order.

    What is said of the raw table is held to what must follow from the rest: rows add up, a removed column is
    lost whole, an untouched one loses no more than the dropped rows. Takes any object, however it lies.
    """
    checks = [
        _equal(certificate, "format", FORMAT, "follows"),
        _engine(certificate),
        Check("authorization", "unchecked", "needs_log", certificate.get("authorization")),
        Check("raw_digest", "unchecked", "needs_raw", certificate.get("raw_digest")),
        _equal(certificate, "policy_digest", policy.digest(), "follows"),
        _equal(certificate, "policy", policy.to_json(), "follows"),
        _equal(certificate, "product_digest", measurement.file_digest, "recomputed"),
    ]
    product = {
        "bytes": str(measurement.file_bytes),
        "rows": str(measurement.rows),
        "columns": [column.name for column in measurement.columns],
    }
    checks += _members(certificate, "product", product)
    exemption = {"from": "k", "rule": EXEMPTION_RULE} if policy.exempt_from_k else None
    checks.append(_equal(certificate, "exemption", exemption, "follows"))
    checks += _algorithms(certificate, policy)
    checks.append(_equal(certificate, "grade", measurement.grade, "recomputed"))
    checks += _members(certificate, "after", measurement.risk.to_json())
    held = [measure.to_json() for measure in measurement.privacy]
    checks.append(_equal(certificate, "privacy", held, "recomputed"))
    checks += _of_the_raw_table(certificate, policy, measurement)
    checks += [
        Check(name, "unchecked", "unknown_member", certificate[name])
        for name in sorted(set(certificate) - _KNOWN)
    ]
    if checks[1].why == "other_engine":
        # What another version did not state is no lie.
        checks = [
            replace(check, outcome="unchecked", why="other_engine")
            if check.outcome == "differs" and check.said is None
            else check
            for check in checks
        ]
    return checks


def compare_raw(certificate: Mapping[str, Any], recomputed: Mapping[str, Any]) -> list[Check]:
    """What a certificate says of the raw table and of the loss, against the same members `recomputed` from it."""
    checks: list[Check] = []
    for name, found in recomputed.items():
        if isinstance(found, Mapping):
            checks += _members(certificate, name, found, deep=True)
        else:
            checks.append(_equal(certificate, name, found, "recomputed"))
    return checks


def without_key(checks: Iterable[Check]) -> list[Check]:
    """What was recomputed from the raw table under another key than the product's: where chance counts, a difference says nothing."""
    by_chance = ("suppressed_rows", "row_suppression_ppm", "loss_ppm", "utility", "indices")
    return [
        replace(check, outcome="unchecked", why="needs_key")
        if check.outcome == "differs" and check.member.partition(".")[0] in by_chance
        else check
        for check in checks
    ]


def _algorithms(certificate: Mapping[str, Any], policy: Policy) -> Iterator[Check]:
    """The algorithms of keyed values: the keys never leave the department, so nobody else can tell how they were used."""
    for member, technique in (("pseudonyms", Pseudonymize), ("tokens", Tokenize)):
        used = any(isinstance(column.technique, technique) for column in policy.columns)
        if used and certificate.get(member) is not None:
            yield Check(member, "unchecked", "needs_key", certificate[member])
        else:
            yield _equal(certificate, member, "an algorithm" if used else None, "follows")


def _of_the_raw_table(
    certificate: Mapping[str, Any], policy: Policy, measurement: Measurement
) -> Iterator[Check]:
    dropped = _count(certificate.get("suppressed_rows"))
    if dropped is None:
        yield Check("suppressed_rows", "differs", "follows", certificate.get("suppressed_rows"), "a count")
        return
    rows = measurement.rows + dropped
    share = -(-dropped * _MILLION // rows)
    yield _equal(certificate, "raw_rows", str(rows), "follows")
    yield _equal(certificate, "row_suppression_ppm", str(share), "follows")
    if dropped * _MILLION > policy.suppression_limit_ppm * rows:
        limit = f"at most {policy.suppression_limit_ppm} rows in a million"
        yield Check("suppressed_rows", "differs", "follows", str(dropped), limit)
    else:
        yield Check("suppressed_rows", "unchecked", "needs_raw", str(dropped))
    before = _object(certificate, "before")
    yield _equal(before, "rows", str(rows), "follows", "before.rows")
    yield Check("before", "unchecked", "needs_raw", before)
    losses = _object(certificate, "loss_ppm")
    for column in policy.columns:
        said = losses.get(column.name)
        loss = _count(said)
        member = f"loss_ppm.{column.name}"
        match column.technique:
            case Suppress():
                yield _equal(losses, column.name, str(_MILLION), "follows", member)
            case Keep():
                yield _equal(losses, column.name, str(share), "follows", member)
            case _ if loss is None or not share <= loss <= _MILLION:
                yield Check(member, "differs", "follows", said, f"{share} to {_MILLION}")
            case _:
                yield Check(member, "unchecked", "needs_raw", said)
    for extra in sorted(set(losses) - {column.name for column in policy.columns}):
        yield Check(f"loss_ppm.{extra}", "differs", "follows", losses[extra], None)
    chosen = loss_to_json(policy.loss)
    yield _equal(_object(certificate, "utility"), "loss", chosen, "follows", "utility.loss")
    yield Check("utility", "unchecked", "needs_raw", certificate.get("utility"))
    yield Check("indices", "unchecked", "needs_raw", certificate.get("indices"))


def _engine(certificate: Mapping[str, Any]) -> Check:
    said = _object(certificate, "engine")
    same = said.get("name") == ENGINE_NAME and said.get("version") == ENGINE_VERSION
    if same:
        return Check("engine", "agrees", "follows", said, said)
    found = {"name": ENGINE_NAME, "version": ENGINE_VERSION}
    return Check("engine", "unchecked", "other_engine", said, found)


def _members(
    certificate: Mapping[str, Any], name: str, found: Mapping[str, Any], *, deep: bool = False
) -> list[Check]:
    """One check for each member of a member, and of theirs where `deep`; one that is missing or too many differs."""
    said = _object(certificate, name)
    checks = []
    for member, value in found.items():
        if deep and isinstance(value, Mapping):
            inner = _members(said, member, value, deep=True)
            checks += [replace(check, member=f"{name}.{check.member}") for check in inner]
        else:
            checks.append(_equal(said, member, value, "recomputed", f"{name}.{member}"))
    checks += [
        Check(f"{name}.{member}", "differs", "recomputed", said[member], None)
        for member in sorted(set(said) - set(found))
    ]
    return checks


def _equal(holder: Mapping[str, Any], member: str, found: Any, why: Why, called: str | None = None) -> Check:
    said = holder.get(member)
    same = member in holder and type(said) is type(found) and said == found
    return Check(called or member, "agrees" if same else "differs", why, said, found)


def _object(holder: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    said = holder.get(member)
    return said if isinstance(said, Mapping) else {}


def _count(said: object) -> int | None:
    """A count as a certificate writes it; none for anything else, however long."""
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= 18:
        return int(said)
    return None
