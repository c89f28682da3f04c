"""Read an arriving table once and state all that a decision about it needs: identifiers, risk, grade, misfits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exchange.desensitization import ENGINE_NAME, ENGINE_VERSION, grade, hierarchies
from exchange.desensitization.detect import Column, Detected, detect, roles
from exchange.desensitization.findings import Role
from exchange.desensitization.judge import ColumnMeasure, Measurement, Risk
from exchange.desensitization.limits import Limits
from exchange.desensitization.policy import (
    ColumnPolicy,
    Generalize,
    Keep,
    Mask,
    Policy,
    Pseudonymize,
    Round,
    Suppress,
)
from exchange.desensitization.recognizers import PSEUDONYM
from exchange.desensitization.risk import measure_risk
from exchange.desensitization.screening import is_marked, screen
from exchange.desensitization.source import Progress, file_digest, read_table

ENGINE = f"{ENGINE_NAME} {ENGINE_VERSION}"


def measure(path: Path, policy: Policy, limits: Limits, progress: Progress | None = None) -> Measurement:
    """The measurement of a file against the policy that was authorized for it.

    Raises TableTooLarge or UnreadableTable. For a file from outside use `child.measure_in_child`.
    """
    return measure_table(
        read_table(path, limits, progress),
        policy,
        file_digest=file_digest(path),
        file_bytes=path.stat().st_size,
    )


def measure_table(table: Any, policy: Policy, *, file_digest: str, file_bytes: int) -> Measurement:
    """The same for a table in memory, whose file has this digest and size."""
    detected = detect(table, about_persons=policy.for_persons)
    return Measurement(
        engine=ENGINE,
        file_digest=file_digest,
        file_bytes=file_bytes,
        rows=table.num_rows,
        columns=tuple(
            ColumnMeasure(
                name=column.name,
                type=str(column.type),
                nulls=column.nulls,
                distinct=len(column.distinct),
                misfits=_misfits(column, policy.column(column.name)),
            )
            for column in detected.columns
        ),
        findings=detected.findings,
        about_persons=detected.about_persons,
        risk=risk_of(detected, effective_roles(detected, policy), policy),
        grade=grade.grade(
            grade.measured_impacts(
                rows=table.num_rows,
                about_persons=detected.about_persons,
                marked=is_marked(screen(detected)),
            )
        ),
    )


def effective_roles(detected: Detected, policy: Policy) -> dict[str, Role]:
    """Each column's role, declared and detected together; what is left of a direct identifier is a quasi-identifier.

    A masked or generalized identifier still tells people apart; a keyed pseudonym tells nothing without the key.
    """
    declared: dict[str, Role] = {}
    for column in policy.columns:
        if column.role == "direct_identifier":
            declared[column.name] = (
                "other" if isinstance(column.technique, Pseudonymize) else "quasi_identifier"
            )
        else:
            declared[column.name] = column.role
    return roles(detected, declared)


def person_columns(detected: Detected, policy: Policy) -> list[Column]:
    """The columns that say which rows are of one person: pseudonymized, or made so earlier."""
    pseudonyms = {finding.column for finding in detected.findings if finding.kind == "pseudonym"}
    pseudonyms |= {column.name for column in policy.columns if isinstance(column.technique, Pseudonymize)}
    return [column for column in detected.columns if column.name in pseudonyms]


def risk_of(detected: Detected, role: dict[str, Role], policy: Policy) -> Risk:
    """The risk over all quasi-identifiers, l over all sensitive columns."""
    return measure_risk(
        [(column.name, column.coded.codes) for column in _in_role(detected, role, "quasi_identifier")],
        [(column.name, column.coded.codes) for column in _in_role(detected, role, "sensitive")],
        [column.coded.codes for column in person_columns(detected, policy)],
        detected.columns[0].rows,
    )


def _in_role(detected: Detected, role: dict[str, Role], wanted: Role) -> Sequence[Column]:
    return [column for column in detected.columns if role[column.name] == wanted]


def _misfits(column: Column, declared: ColumnPolicy | None) -> int:
    """How many distinct values the declared technique cannot have made."""
    if declared is None:
        return 0
    technique = declared.technique
    match technique:
        case Keep() | Round():
            return 0
        case Suppress():
            return len(column.distinct)
        case Generalize(hierarchy, level):
            if level == 0:
                return 0
            return sum(
                not hierarchies.fits(hierarchy, level, str(value)) for value in column.distinct.to_pylist()
            )
        case Mask(keep_first, keep_last):
            return sum(
                not _masked(str(value), keep_first, keep_last) for value in column.distinct.to_pylist()
            )
        case Pseudonymize():
            return sum(re.fullmatch(PSEUDONYM, str(value)) is None for value in column.distinct.to_pylist())


def _masked(value: str, keep_first: int, keep_last: int) -> bool:
    return set(value[keep_first : len(value) - keep_last]) <= {"*"}
