"""Propose a policy that reaches k and l with the least loss, from what was detected and what was declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization import hierarchies
from exchange.desensitization.classes import Codes, encode, tuples
from exchange.desensitization.criteria import Criterion, DistinctLDiversity, KAnonymity
from exchange.desensitization.declaration import Declaration
from exchange.desensitization.detect import Column, Detected, roles
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.findings import Role
from exchange.desensitization.lattice import Lattice, Nodes, Solution, search
from exchange.desensitization.losses import Attribute
from exchange.desensitization.policy import (
    ColumnPolicy,
    Dates,
    Generalize,
    Hierarchy,
    Interval,
    Keep,
    Policy,
    Prefix,
    Pseudonymize,
    Suppress,
    Technique,
    Whole,
    check,
)
from exchange.desensitization.risk import MILLION
from exchange.desensitization.techniques import KEY_BYTES, transform

_NUMBERED_PERSONS = ("person_identifier", "row_identifier")
"""Numbers by which a buyer and the department can speak of a row; a keyed pseudonym keeps that use."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy and how it was found; `solution` is none where there was nothing to generalize."""

    policy: Policy
    solution: Solution | None


def propose(
    raw: Detected, declaration: Declaration, progress: Callable[[int, int], None] | None = None
) -> Proposal:
    """The policy of least loss that holds the declared demands. Declared techniques stay as they are.

    A table in which no person column is found or declared gets the exemption from k, to be assessed and
    authorized. Raises PolicyRefused where the demands cannot be reached or the declaration names no column.
    """
    for name in declaration.columns:
        if all(column.name != name for column in raw.columns):
            raise PolicyRefused(
                f"the table has no column {name!r}",
                field=f"columns.{name}",
                rule="a declaration names columns of the table",
                remedy=f"the columns are {', '.join(column.name for column in raw.columns)}",
            )
    role = roles(raw, declaration.roles)
    techniques = {
        column.name: _technique(raw, column, role[column.name], declaration) for column in raw.columns
    }
    rows = raw.columns[0].rows
    attributes, quasi, choices = [], [], {}
    for column in raw.columns:
        technique = techniques[column.name]
        # A masked or generalized direct identifier still tells people apart, and is searched as what it became.
        left = role[column.name] == "direct_identifier" and not isinstance(technique, Suppress | Pseudonymize)
        if role[column.name] != "quasi_identifier" and not left:
            continue
        if technique is None:
            hierarchy = _declared_hierarchy(declaration, column.name) or default_hierarchy(raw, column)
            choices[column.name] = hierarchy
            attributes.append(Attribute(column.name, _maps(column, hierarchy)))
        else:
            attributes.append(Attribute(column.name, (_fixed(column, technique),)))
        quasi.append(column.coded.codes)
    various = {
        column.name: (column.coded.codes, declaration.l)
        for column in raw.columns
        if role[column.name] == "sensitive" and not isinstance(techniques[column.name], Suppress)
    }
    # A pseudonym that never comes twice adds nothing to counting rows, and would undo the saving of distinct tuples.
    various |= {
        column.name: (column.coded.codes, declaration.k)
        for column in raw.columns
        if isinstance(techniques[column.name], Pseudonymize) and not _never_twice(column)
    }
    solution = None
    if attributes:
        table, _ = tuples(
            quasi, {name: codes for name, (codes, _) in various.items()}, np.ones(rows, np.int64)
        )
        criteria: list[Criterion] = [KAnonymity(declaration.k)]
        criteria += [DistinctLDiversity(name, least) for name, (_, least) in various.items()]
        droppable_rows = rows * declaration.suppression_limit_ppm // MILLION
        solution = search(Lattice(Nodes(attributes, table), criteria, droppable_rows), progress)
        for attribute, level in zip(attributes, solution.levels, strict=True):
            if attribute.name in choices:
                techniques[attribute.name] = _at_level(choices[attribute.name], level)
    policy = Policy(
        columns=tuple(
            ColumnPolicy(column.name, role[column.name], techniques[column.name] or Keep())
            for column in raw.columns
        ),
        k=declaration.k,
        l=declaration.l,
        suppression_limit_ppm=declaration.suppression_limit_ppm,
        exempt_from_k=not raw.about_persons
        and all(found not in ("direct_identifier", "quasi_identifier") for found in role.values()),
    )
    check(policy)
    return Proposal(policy, solution)


def default_hierarchy(raw: Detected, column: Column) -> Hierarchy:
    """A hierarchy from the data where none is declared: by kind first, then by type."""
    finding = raw.finding(column.name)
    kind = finding.kind if finding is not None else "none"
    values = column.distinct
    if kind in ("date", "birth_date") and hierarchies.is_dated(values):
        return Dates(
            ("month", "quarter", "year", "decade") if kind == "birth_date" else ("month", "quarter", "year")
        )
    if kind == "coordinates" and pa.types.is_floating(column.type):
        return Interval(Decimal(0), (Decimal("0.01"), Decimal("0.1"), Decimal(1)))
    if kind == "age" and _is_number(column.type):
        return _intervals(values, (Decimal(5), Decimal(10), Decimal(20)))
    if kind in ("postal_code", "region") and len(column.texts):
        lengths = pc.unique(pc.utf8_length(column.texts)).to_pylist()
        digits = pc.all(pc.match_substring_regex(column.texts, "^[0-9]+$")).as_py()
        if digits and len(lengths) == 1 and 4 <= lengths[0] <= 12:
            # GB/T 2260 and postal codes alike: province in two digits, city in four.
            return Prefix((4, 2) if lengths[0] >= 6 else (3, 1))
    if _is_number(column.type) and len(values) > 10:
        span = Decimal(repr(float(pc.max(values).as_py()) - float(pc.min(values).as_py())))
        base = _round_step(span / 40)
        return _intervals(values, (base, base * 2, base * 4, base * 8))
    return Whole()


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _intervals(values: Any, widths: tuple[Decimal, ...]) -> Interval:
    """Nested intervals from 0, with open ones beyond the outermost percents: few people live there."""
    numbers = np.sort(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    widest = widths[-1]
    low = Decimal(repr(float(numbers[int(len(numbers) * 0.01)])))
    high = Decimal(repr(float(numbers[int((len(numbers) - 1) * 0.95)])))
    below = (low / widest).to_integral_value("ROUND_CEILING") * widest
    from_ = (high / widest).to_integral_value("ROUND_FLOOR") * widest
    nothing_below = Decimal(repr(float(numbers[0]))) >= below
    return Interval(
        Decimal(0),
        widths,
        None if nothing_below or below >= from_ else below,
        from_ if from_ > below else None,
    )


def _round_step(step: Decimal) -> Decimal:
    """The next 1, 2 or 5 times a power of ten."""
    if step <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(step.adjusted())
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= step)


def _technique(raw: Detected, column: Column, role: Role, declaration: Declaration) -> Technique | None:
    """The technique that is declared or follows from the role; none where the search decides."""
    declared = declaration.columns.get(column.name)
    if declared is not None and declared.technique is not None:
        return declared.technique
    finding = raw.finding(column.name)
    match role:
        case "direct_identifier":
            numbered = finding is not None and finding.kind in _NUMBERED_PERSONS
            # Rows joined under one pseudonym are a trail, which k over single rows does not measure:
            # that is for the department to declare.
            return Pseudonymize() if numbered and _never_twice(column) else Suppress()
        case "quasi_identifier":
            return None
        case "sensitive":
            return Suppress() if finding is not None and finding.kind == "free_text" else Keep()
        case "other":
            return Keep()


def _never_twice(column: Column) -> bool:
    return column.coded.cardinality == column.rows


def _declared_hierarchy(declaration: Declaration, name: str) -> Hierarchy | None:
    declared = declaration.columns.get(name)
    return declared.hierarchy if declared is not None else None


def _maps(column: Column, hierarchy: Hierarchy) -> tuple[Codes, ...]:
    values = column.coded.values
    maps = [np.arange(len(values), dtype=np.int64)]
    for level in range(1, hierarchy.height + 1):
        made = hierarchies.labels(column.name, hierarchy, level, values)
        maps.append(encode(pa.array(made, pa.string())).codes)
    return tuple(maps)


def _fixed(column: Column, technique: Technique) -> Codes:
    """The classes that a declared technique makes of the values. A pseudonym's key does not change them."""
    changed = transform(column, technique, bytes(KEY_BYTES))
    if changed is None:
        return np.zeros(len(column.coded.values), dtype=np.int64)
    return encode(changed).codes


def _at_level(hierarchy: Hierarchy, level: int) -> Technique:
    if level == 0:
        return Keep()
    return Suppress() if level == hierarchy.height else Generalize(hierarchy, level)
