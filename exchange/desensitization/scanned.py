"""A scan's report as the exchange reads it: the few members that decisions stand on, checked; no array library.

The report (`report.json`, numbers as strings, no value of the raw table in it):

    {"format": "data-asset-exchange-desensitization-report@1",
     "engine": "exchange.desensitization 3",
     "raw": {"digest": hex, "algorithm": "SHA-256(salt ‖ file)", "rows": "1000", "bytes": "65042"},
     "about_persons": true,
     "grade": "general", "grading": "grading@1",
     "factors": [{"factor", "zh", "by", "found"}],
     "screened": [{"column", "secret", "certain", "sign", "sign_zh", "values", "source"}],
     "columns": [{"name", "type", "nulls", "distinct", "role", "technique"}],
     "findings": [{"column", "kind", "role", "by", "checked", "matched", "chance_ppm", "p_exponent", "samples", "source"}],
     "before": {"quasi_identifiers", "rows", "classes", "k", "l", "unique_rows", "prosecutor_ppm", ..., "disclosure": {column: {"distinct_l", "t_equal_ppm", ...}}},
     "after": {...the same, of the product that the policy makes...},
     "suppressed_rows": "31", "row_suppression_ppm": "31000", "loss_ppm": {column: "198217"},
     "search": {"levels": {column: "2"}, "judged": "15", "optimal": true} or null,
     "policy": {...}, "policy_digest": hex}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange.desensitization.errors import PolicyRefused

FORMAT = "data-asset-exchange-desensitization-report@1"


@dataclass(frozen=True, slots=True)
class Scanned:
    """A report that was read. `biometrics` are the columns that no authorization lets cross; `marked` tables are secret."""

    document: Mapping[str, Any]
    raw_digest: str
    policy_digest: str
    rows: int
    about_persons: bool
    biometrics: tuple[str, ...]
    marked: bool


def read_report(document: Mapping[str, Any]) -> Scanned:
    """Read a report. Raises PolicyRefused, naming the member that is missing or misspelt."""
    if document.get("format") != FORMAT:
        raise _refused("format", f"the format is {FORMAT}")
    raw = document.get("raw")
    if not isinstance(raw, Mapping):
        raise _refused("raw", "an object with digest and rows")
    rows = raw.get("rows")
    if not isinstance(rows, str) or not re.fullmatch("[1-9][0-9]{0,11}", rows):
        raise _refused("raw.rows", "a count above zero, as a string")
    about_persons = document.get("about_persons")
    if not isinstance(about_persons, bool):
        raise _refused("about_persons", "true or false")
    findings = document.get("findings")
    if not isinstance(findings, list) or not all(
        isinstance(finding, Mapping) and isinstance(finding.get("column"), str) for finding in findings
    ):
        raise _refused("findings", "a list of findings, each with its column")
    # Reports of engine 1 have no screening.
    screened = document.get("screened", [])
    if not isinstance(screened, list) or not all(isinstance(one, Mapping) for one in screened):
        raise _refused("screened", "a list of signs of secrets")
    return Scanned(
        document=document,
        raw_digest=_digest(raw.get("digest"), "raw.digest"),
        policy_digest=_digest(document.get("policy_digest"), "policy_digest"),
        rows=int(rows),
        about_persons=about_persons,
        biometrics=tuple(finding["column"] for finding in findings if finding.get("kind") == "biometric"),
        marked=any(one.get("certain") is True and one.get("secret") == "state_secret" for one in screened),
    )


def _digest(value: object, field: str) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise _refused(field, "a SHA-256 in lower-case hexadecimal")
    return value


def _refused(field: str, rule: str) -> PolicyRefused:
    return PolicyRefused(
        f"report.{field}: {rule}",
        field=f"report.{field}",
        rule=rule,
        remedy="send report.json as `exchange desensitize scan` wrote it",
    )
