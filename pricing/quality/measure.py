"""Counting: the six dimensions of quality and the six value indicators, from the cells themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pricing.canonical import digest
from pricing.errors import QualityError
from pricing.money import require_whole
from pricing.quality.columns import Judged, compare, determined, distinct
from pricing.quality.declaration import Access, Declaration, Freshness, Yardstick, undeclarable
from pricing.quality.scores import (
    Dimension,
    Evidence,
    Indicator,
    Quality,
    ValueIndicators,
    score_of,
)

if TYPE_CHECKING:
    import pyarrow as pa


def measure(
    table: pa.Table, declaration: Declaration, *, as_of_us: int, access: Access | None = None
) -> Quality:
    """Count the six dimensions of `table` as of `as_of_us` (microseconds since the epoch).

    The digest binds the declaration, the time and every count. QualityError when two columns share a name or
    when a pattern cannot be read.
    """
    columns = _columns(table, declaration, as_of_us)
    names: list[str] = table.column_names
    rows: int = table.num_rows
    found = {
        Dimension.CONFORMITY: _conformity(rows, names, declaration, columns),
        Dimension.COMPLETENESS: _completeness(rows, declaration, columns),
        Dimension.ACCURACY: _accuracy(declaration, columns),
        Dimension.CONSISTENCY: _consistency(declaration, columns),
        Dimension.TIMELINESS: _timeliness(declaration.freshness, columns, as_of_us),
        Dimension.ACCESSIBILITY: []
        if access is None
        else [Evidence("*", f"reached, {access.source}", access.successes, access.attempts)],
    }
    return Quality(
        rows,
        as_of_us,
        declaration.digest,
        tuple(score_of(dimension, rows, found[dimension]) for dimension in Dimension),
    )


def measure_value(
    table: pa.Table, declaration: Declaration, yardstick: Yardstick, *, as_of_us: int
) -> ValueIndicators:
    """Count the six value indicators of `table` as of `as_of_us`, each a fraction of what the yardstick asks for.

    Our reading of their names, which the rule leaves open: timeliness as in `measure`; coverage, subjects of the
    population; completeness, required cells that are filled; variety, kinds of those that exist; time span, from
    the earliest to the latest record that is not in the future; depth, records for each subject. More than is asked for is
    no more than full. The digest binds declaration and yardstick. QualityError as in `measure`, and where the
    yardstick names a column that is not declared or that tells nothing apart.
    """
    declared = {column.name: column.kind for column in declaration.columns}
    for name in (*yardstick.subject, *([] if yardstick.category is None else [yardstick.category])):
        if declared.get(name, "number") == "number":
            raise undeclarable(
                "yardstick", f"column {name!r} is not declared, or of kind number", "name another column"
            )
    columns = _columns(table, declaration, as_of_us)
    rows: int = table.num_rows
    subjects, records = (
        distinct([columns.get(name) for name in yardstick.subject]) if yardstick.subject else (0, 0)
    )
    name = ", ".join(yardstick.subject)
    found: dict[Indicator, list[Evidence]] = {
        Indicator.TIMELINESS: _timeliness(declaration.freshness, columns, as_of_us),
        Indicator.COVERAGE: _at_most(name, "different, of the population", subjects, yardstick.population),
        Indicator.COMPLETENESS: _completeness(rows, declaration, columns),
        Indicator.VARIETY: [],
        Indicator.TIME_SPAN: _time_span(declaration.freshness, yardstick.span_us, columns, as_of_us),
        Indicator.DEPTH: _at_most(
            name,
            "records, of those wanted for each",
            records,
            None if yardstick.records is None else yardstick.records * subjects,
        ),
    }
    if yardstick.category is not None:
        kinds, _ = distinct([columns.get(yardstick.category)])
        found[Indicator.VARIETY] = _at_most(
            yardstick.category, "different kinds", kinds, yardstick.categories
        )
    return ValueIndicators(
        rows,
        as_of_us,
        digest({"declaration": declaration.to_json(), "yardstick": yardstick.to_json()}),
        tuple(score_of(indicator, rows, found[indicator]) for indicator in Indicator),
    )


def _columns(table: pa.Table, declaration: Declaration, as_of_us: int) -> dict[str, Judged]:
    """The declared columns that are there, in the form of their kinds."""
    require_whole(as_of_us, "as_of_us", error=QualityError)
    names: list[str] = table.column_names
    if len(set(names)) != len(names):
        raise undeclarable("table", "two columns share a name", "rename one of them")
    offset_us = declaration.freshness.utc_offset_us if declaration.freshness else 0
    return {
        column.name: Judged(table.column(column.name), column, declaration.placeholders, offset_us)
        for column in declaration.columns
        if column.name in names
    }


def _completeness(rows: int, declaration: Declaration, columns: dict[str, Judged]) -> list[Evidence]:
    return [
        Evidence(column.name, "required", columns[column.name].filled if column.name in columns else 0, rows)
        for column in declaration.columns
        if column.required
    ]


def _at_most(name: str, rule: str, count: int, wanted: int | None) -> list[Evidence]:
    """A count against what is wanted, of which there is no more than all."""
    return [] if wanted is None else [Evidence(name, rule, min(count, wanted), wanted)]


def _time_span(
    freshness: Freshness | None, span_us: int | None, columns: dict[str, Judged], as_of_us: int
) -> list[Evidence]:
    if freshness is None or span_us is None:
        return []
    judged = columns.get(freshness.column)
    if judged is None or not judged.conforming:
        return [Evidence(freshness.column, "dated", 0, 0)]
    _, earliest_us, latest_us = judged.until(as_of_us, freshness.utc_offset_us)
    spanned = 0 if latest_us is None or earliest_us is None else latest_us - earliest_us
    return _at_most(freshness.column, "earliest to latest in µs", spanned, span_us)


def _conformity(
    rows: int, names: Sequence[str], declaration: Declaration, columns: dict[str, Judged]
) -> list[Evidence]:
    evidence = []
    for column in declaration.columns:
        judged = columns.get(column.name)
        if judged is None:
            evidence.append(Evidence(column.name, "present", 0, rows))
            continue
        evidence.append(Evidence(column.name, f"is {column.kind}", judged.conforming, judged.filled))
        if column.pattern is not None:
            evidence.append(Evidence(column.name, f"fits {column.pattern}", judged.fitting(), judged.filled))
        if column.allowed:
            evidence.append(
                Evidence(
                    column.name, f"is one of {len(column.allowed)}", judged.within_allowed(), judged.filled
                )
            )
    described = {column.name for column in declaration.columns}
    return evidence + [Evidence(name, "described", 0, rows) for name in sorted(set(names) - described)]


def _accuracy(declaration: Declaration, columns: dict[str, Judged]) -> list[Evidence]:
    evidence = []
    for column in declaration.columns:
        if column.minimum is None and column.maximum is None:
            continue
        rule = f"from {'…' if column.minimum is None else column.minimum} to "
        rule += f"{'…' if column.maximum is None else column.maximum}"
        judged = columns.get(column.name)
        evidence.append(
            Evidence(
                column.name, rule, judged.within_range() if judged else 0, judged.filled if judged else 0
            )
        )
    for key in declaration.unique:
        different, judged_rows = distinct([columns.get(name) for name in key])
        evidence.append(Evidence(", ".join(key), "unique", different, judged_rows))
    return evidence


def _consistency(declaration: Declaration, columns: dict[str, Judged]) -> list[Evidence]:
    evidence = []
    for rule in declaration.comparisons:
        left, right = columns.get(rule.left), columns.get(rule.right)
        passed, judged = compare(left, rule.relation, right) if left and right else (0, 0)
        evidence.append(Evidence(f"{rule.left}, {rule.right}", f"left {rule.relation} right", passed, judged))
    for dependency in declaration.dependencies:
        passed, judged = determined(
            [columns.get(name) for name in dependency.columns], columns.get(dependency.column)
        )
        name = f"{', '.join(dependency.columns)} → {dependency.column}"
        evidence.append(Evidence(name, "determines", passed, judged))
    return evidence


def _timeliness(freshness: Freshness | None, columns: dict[str, Judged], as_of_us: int) -> list[Evidence]:
    if freshness is None:
        return []
    judged = columns.get(freshness.column)
    if judged is None or not judged.conforming:
        return [Evidence(freshness.column, "dated", 0, 0)]
    past, _, latest_us = judged.until(as_of_us, freshness.utc_offset_us)
    evidence = [Evidence(freshness.column, "not in the future", past, judged.conforming)]
    if latest_us is not None:
        # cycle / age, and one while the age is within the cycle: twice too old is half as good.
        within_us = max(as_of_us - latest_us, freshness.cycle_us)
        evidence.append(Evidence(freshness.column, "cycle / age in µs", freshness.cycle_us, within_us))
    return evidence
