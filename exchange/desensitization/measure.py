"""Read an arriving table once and state all that a decision about it needs: identifiers, risk, grade, misfits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization import ENGINE_NAME, ENGINE_VERSION, grade, hierarchies
from exchange.desensitization.detection.detect import Column, Detected, detect, roles
from exchange.desensitization.detection.findings import Role
from exchange.desensitization.enforcement import Enforcement
from exchange.desensitization.judge import ColumnMeasure, Measurement, Risk
from exchange.desensitization.policy import KEYED, Policy
from exchange.desensitization.policy.requirements import (
    Hierarchical,
    PopulationUniqueness,
    TCloseness,
    column_of,
)
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.reading.source import Progress, file_digest, read_table
from exchange.desensitization.risk import Sensitive, measure_risk
from exchange.desensitization.screening import is_marked, screen
from exchange.desensitization.search.classes import Coded, Codes, encode
from exchange.desensitization.techniques import misfits

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
    role = effective_roles(detected, policy)
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
                misfits=0
                if (declared := policy.column(column.name)) is None
                else misfits(column, declared.technique),
            )
            for column in detected.columns
        ),
        findings=detected.findings,
        about_persons=detected.about_persons,
        risk=risk_of(detected, role, policy),
        grade=grade.grade(
            grade.measured_impacts(
                rows=table.num_rows,
                about_persons=detected.about_persons,
                marked=is_marked(screen(detected)),
            )
        ),
        privacy=enforcement_of(detected, role, policy, {}).measured(quasi_of(detected, role), table.num_rows)
        if policy.privacy
        else (),
    )


_WHOSE = (
    "resident_id", "passport", "person_identifier", "bank_card", "mobile", "email", "person_name"
)  # fmt: skip
"""What says whose a raw row is, the surest first. Of a name several people bear, too few persons are counted, never too many."""


def whose(raw: Detected) -> Mapping[str, Coded]:
    """The raw column that says which rows are of one person, if one does and a person comes twice; a row without it is one person's.

    The column may not cross, but its persons count: a class of five rows of one man hides nobody.
    """
    found = {finding.kind: finding.column for finding in raw.findings}
    name = next((found[kind] for kind in _WHOSE if kind in found), None)
    for column in raw.columns:
        if column.name == name and column.coded.cardinality < column.rows:
            nobody = pc.is_null(column.coded.values).to_numpy(zero_copy_only=False)[column.coded.codes]
            alone = column.coded.cardinality + np.arange(column.rows)
            return {name: encode(pa.array(np.where(nobody, alone, column.coded.codes)))}
    return {}


def enforcement_of(
    detected: Detected, role: Mapping[str, Role], policy: Policy, persons: Mapping[str, Coded]
) -> Enforcement:
    """The policy's requirements over the columns of a product, or of what will be one.

    A model that names a column is asked of it whatever the column is found to be. `persons` may say more of whose
    the rows are than the columns do.
    """
    named = {column_of(model) for model in policy.privacy}
    return Enforcement(
        policy,
        {
            column.name: column.coded
            for column in detected.columns
            if role[column.name] == "sensitive" or column.name in named
        },
        # A pseudonym that never comes twice adds nothing to counting rows.
        {
            **persons,
            **{
                column.name: column.coded
                for column in person_columns(detected, policy)
                if column.coded.cardinality < column.rows
            },
        },
    )


def quasi_of(detected: Detected, role: Mapping[str, Role]) -> list[Codes]:
    """The quasi-identifiers' codes."""
    return [column.coded.codes for column in detected.columns if role[column.name] == "quasi_identifier"]


def effective_roles(detected: Detected, policy: Policy) -> dict[str, Role]:
    """Each column's role, declared and detected together; what is left of a direct identifier is a quasi-identifier.

    A masked or generalized identifier still tells people apart; a keyed pseudonym tells nothing without the key.
    """
    declared: dict[str, Role] = {}
    for column in policy.columns:
        if column.role == "direct_identifier":
            declared[column.name] = "other" if isinstance(column.technique, KEYED) else "quasi_identifier"
        else:
            declared[column.name] = column.role
    return roles(detected, declared)


def person_columns(detected: Detected, policy: Policy) -> list[Column]:
    """The columns that say which rows are of one person: pseudonymized, or made so earlier."""
    pseudonyms = {finding.column for finding in detected.findings if finding.kind == "pseudonym"}
    pseudonyms |= {column.name for column in policy.columns if isinstance(column.technique, KEYED)}
    return [column for column in detected.columns if column.name in pseudonyms]


def risk_of(detected: Detected, role: dict[str, Role], policy: Policy) -> Risk:
    """The risk over all quasi-identifiers, disclosure over all sensitive columns.

    The population, and trees for the hierarchical distance, are those that the policy's privacy models name.
    """
    return measure_risk(
        [(column.name, column.coded.codes) for column in _in_role(detected, role, "quasi_identifier")],
        [_sensitive(column, policy) for column in _in_role(detected, role, "sensitive")],
        [column.coded.codes for column in person_columns(detected, policy)],
        detected.columns[0].rows,
        next((model.population for model in policy.privacy if isinstance(model, PopulationUniqueness)), None),
    )


def _sensitive(column: Column, policy: Policy) -> Sensitive:
    """A sensitive column with what is known of how far its values lie apart: their order, their tree."""
    codes, values = column.coded.codes, column.coded.values
    paths = _paths(column, policy)
    if not _has_order(column.type):
        return Sensitive(column.name, codes, paths=paths)
    line = pc.array_sort_indices(values, null_placement="at_start").to_numpy()
    rank = np.empty(len(line), dtype=np.int64)
    rank[line] = np.arange(len(line))
    if paths is not None:
        paths = tuple(paths[code] for code in line)
    return Sensitive(column.name, rank[codes], ordered=True, paths=paths)


def _has_order(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
    )


def _paths(column: Column, policy: Policy) -> tuple[tuple[str, ...], ...] | None:
    """Each distinct value's parents in the tree that the policy names; none where a value has no place in it."""
    for model in policy.privacy:
        if (
            isinstance(model, TCloseness)
            and model.column == column.name
            and isinstance(model.distance, Hierarchical)
        ):
            known: dict[str | None, tuple[str, ...]] = dict(model.distance.paths)
            # NULL stands in no group but its own.
            known[None] = ("",) * len(next(iter(known.values())))
            values = column.coded.values.to_pylist()
            texts = [None if value is None else hierarchies.text(value) for value in values]
            return tuple(known[text] for text in texts) if set(texts) <= set(known) else None
    return None


def _in_role(detected: Detected, role: dict[str, Role], wanted: Role) -> Sequence[Column]:
    return [column for column in detected.columns if role[column.name] == wanted]
