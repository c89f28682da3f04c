"""The columns of a table in the form of their declared kinds, and what is counted of them, by Arrow's kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pricing.money import MAX_AMOUNT
from pricing.quality.declaration import DAY_US, Column, Kind, Relation, limit, undeclarable


class Judged:
    """One column in the normal form of its declared kind: whatever is missing or of another kind is null."""

    __slots__ = ("column", "conforming", "filled", "values")

    def __init__(self, cells: Any, column: Column, placeholders: Sequence[str], offset_us: int) -> None:
        cells = _present(cells, placeholders)
        self.column = column
        self.filled: int = len(cells) - cells.null_count
        self.values: Any = _normal(cells, column.kind, offset_us)
        self.conforming: int = len(self.values) - self.values.null_count

    def fitting(self) -> int:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            # Alone first: a stray parenthesis would otherwise close our group and escape the anchors.
            pc.match_substring_regex(pa.array([""]), pattern=self.column.pattern)
            return _true(pc.match_substring_regex(self.values, pattern=f"^(?:{self.column.pattern})$"))
        except pa.ArrowInvalid as unreadable:
            raise undeclarable(
                f"{self.column.name}.pattern", str(unreadable), "write it in RE2 syntax"
            ) from None

    def within_allowed(self) -> int:
        import pyarrow as pa
        import pyarrow.compute as pc

        allowed = pa.array(self.column.allowed, self.values.type)
        return _true(pc.is_in(self.values, value_set=allowed))

    def within_range(self) -> int:
        import pyarrow.compute as pc

        inside: Any = None
        for bound, test in ((self.column.minimum, pc.greater_equal), (self.column.maximum, pc.less_equal)):
            if bound is not None:
                holds = test(self.values, limit(bound, self.column.kind))
                inside = holds if inside is None else pc.and_(inside, holds)
        return _true(inside)

    def until(self, as_of_us: int, offset_us: int) -> tuple[int, int | None, int | None]:
        """How many records are not dated after `as_of_us`, the earliest and the latest of them (a day: its start)."""
        import pyarrow.compute as pc

        times = self.values
        if self.column.kind == "date":
            times = pc.subtract(pc.multiply(times, DAY_US), offset_us)
        past = times.filter(pc.less_equal(times, as_of_us))
        ends = pc.min_max(past).as_py()
        return len(past), ends["min"], ends["max"]


def _present(cells: Any, placeholders: Sequence[str]) -> Any:
    """The column without its encoding, with every missing cell null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_floating(cells.type):
        return pc.if_else(pc.is_nan(cells), None, cells)
    if _is_text(cells.type):
        cells = cells.cast(pa.large_string())
        missing = pa.array(["", *(text.strip() for text in placeholders)], pa.large_string())
        return pc.if_else(pc.is_in(pc.utf8_trim_whitespace(cells), value_set=missing), None, cells)
    return cells


def _normal(cells: Any, kind: Kind, offset_us: int) -> Any:
    """Values of `kind` in one Arrow type: int64 (time in microseconds, date in days), double, text, bool."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = cells.type
    is_number = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found)
    match kind:
        case "integer" if pa.types.is_uint64(found):
            return _keep(cells, pc.less_equal(cells, pa.scalar(MAX_AMOUNT, found))).cast(pa.int64())
        case "integer" if pa.types.is_integer(found):
            return cells.cast(pa.int64())
        case "integer" if pa.types.is_floating(found):
            cells = cells.cast(pa.float64())
            exact = pc.and_(pc.equal(pc.floor(cells), cells), pc.less_equal(pc.abs(cells), float(2**53)))
            return _keep(cells, exact).cast(pa.int64())
        case "number" if is_number:
            cells = cells.cast(pa.float64(), safe=False)
            return _keep(cells, pc.is_finite(cells))
        case "text" if _is_text(found):
            return cells
        case "boolean" if pa.types.is_boolean(found):
            return cells
        case "date" if pa.types.is_date(found):
            return cells.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        case "time" if pa.types.is_timestamp(found):
            ticks = cells.cast(pa.int64())
            shift_us = offset_us if found.tz is None else 0
            if found.unit == "ns":
                return pc.subtract(pc.divide(ticks, 1_000), shift_us)
            factor = {"s": 1_000_000, "ms": 1_000, "us": 1}[found.unit]
            # Times outside some 290,000 years do not fit into microseconds and are no times of a record.
            ticks = _keep(ticks, pc.less_equal(pc.abs(ticks), 2**62 // factor))
            return pc.subtract(pc.multiply(ticks, factor), shift_us)
        case _:
            return pa.chunked_array([pa.nulls(len(cells), _normal_type(kind))])


def _normal_type(kind: Kind) -> Any:
    import pyarrow as pa

    return {"number": pa.float64(), "text": pa.large_string(), "boolean": pa.bool_()}.get(kind, pa.int64())


def _keep(cells: Any, mask: Any) -> Any:
    import pyarrow.compute as pc

    return pc.if_else(mask, cells, None)


def _is_text(found: Any) -> bool:
    import pyarrow as pa

    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_text(found) for is_text in text)


def _true(mask: Any) -> int:
    import pyarrow.compute as pc

    return pc.sum(mask).as_py() or 0


def distinct(columns: Sequence[Judged | None]) -> tuple[int, int]:
    """How many different keys there are, and how many rows hold a whole key."""
    import pyarrow.compute as pc

    if len(columns) == 1 and columns[0] is not None:
        return pc.count_distinct(columns[0].values).as_py(), columns[0].conforming
    whole = _whole_rows(columns)
    if whole is None:
        return 0, 0
    return whole.group_by(whole.column_names).aggregate([]).num_rows, whole.num_rows


def determined(columns: Sequence[Judged | None], determined: Judged | None) -> tuple[int, int]:
    """How many rows lie in groups of `columns` that agree on the determined column, of how many whole rows."""
    import pyarrow.compute as pc

    whole = _whole_rows([*columns, determined])
    if whole is None:
        return 0, 0
    *keys, value = whole.column_names
    groups = whole.group_by(keys).aggregate([(value, "count_distinct"), (value, "count")])
    agreeing = pc.equal(groups.column(f"{value}_count_distinct"), 1)
    return pc.sum(groups.column(f"{value}_count").filter(agreeing)).as_py() or 0, whole.num_rows


def _whole_rows(columns: Sequence[Judged | None]) -> Any:
    """The rows in which every one of the columns holds a value; None when a column is absent altogether."""
    import pyarrow as pa

    values = [column.values for column in columns if column is not None]
    if len(values) != len(columns):
        return None
    return pa.table(dict(zip(map(str, range(len(values))), values, strict=True))).drop_null()


def compare(left: Judged, relation: Relation, right: Judged) -> tuple[int, int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = [left.values, right.values]
    if left.column.kind != right.column.kind:
        values = [each.cast(pa.float64(), safe=False) for each in values]
    tests = {"<": pc.less, "<=": pc.less_equal, "==": pc.equal, "!=": pc.not_equal}
    holds = tests[relation](*values)
    return _true(holds), len(holds) - holds.null_count
