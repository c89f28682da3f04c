"""What a table shows of the eight factors of its grade, and of secrets that only a named assessor can judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization.detection.detect import Column, Detected
from exchange.desensitization.detection.findings import KINDS
from exchange.desensitization.grade import SIGNS, Factor, Screened, screened_header

_PERSONAL = ("always", "in_person_table")


def screen(detected: Detected) -> tuple[Screened, ...]:
    """Every sign of a secret, header by header and column by column. No sign is no answer: the assessor still gives one."""
    found: list[Screened] = []
    for column in detected.columns:
        found += screened_header(column.name)
        if not pa.types.is_string(column.type):
            continue
        for sign in SIGNS:
            hits = int(pc.sum(pc.match_substring_regex(column.texts, sign.pattern)).as_py() or 0)
            if hits:
                found.append(Screened(column.name, sign, hits))
    return tuple(found)


def is_marked(screened: tuple[Screened, ...]) -> bool:
    """Whether the table carries the mark of a state secret."""
    return any(one.sign.certain and one.sign.secret == "state_secret" for one in screened)  # noqa: S105  # a kind


def measured_factors(detected: Detected) -> dict[Factor, tuple[str, str]]:
    """What the table shows of the factors that can be measured, in Chinese and in English.

    Domain and importance are the assessor's to say.
    """
    kinds = {finding.column: finding.kind for finding in detected.findings}
    rows = detected.columns[0].rows
    personal = [KINDS[kind] for kind in sorted(set(kinds.values())) if KINDS[kind].personal in _PERSONAL]
    regions = [column for column in detected.columns if kinds.get(column.name) == "region"]
    facts: dict[Factor, tuple[str, str]] = {
        "group": (
            f"个人：{'、'.join(kind.zh for kind in personal)}",
            f"persons: {', '.join(kind.en for kind in personal)}",
        )
        if detected.about_persons
        else ("未发现个人信息列", "no person column found"),
        "scale": (f"{rows} 行，{len(detected.columns)} 列", f"{rows} rows, {len(detected.columns)} columns"),
        "depth": (
            "以文件所载为准；衍生数据重新定级，不低于其最高的来源",
            "as the file holds it; derived data is graded anew, never below its highest parent",
        ),
    }
    if regions:
        facts["region"] = (
            "；".join(f"{column.name}：{len(column.distinct)} 个取值" for column in regions),
            "; ".join(f"{column.name}: {len(column.distinct)} values" for column in regions),
        )
    fine = [said for column in detected.columns if (said := _precision(column, kinds.get(column.name)))]
    if fine:
        facts["precision"] = _joined(fine)
    spans = [said for column in detected.columns if (said := _span(column))]
    filled = 1 - sum(column.nulls for column in detected.columns) / (rows * len(detected.columns))
    facts["coverage"] = _joined([(f"{filled:.1%} 的单元格有值", f"{filled:.1%} of all cells filled"), *spans])
    return facts


def _joined(said: Sequence[tuple[str, str]]) -> tuple[str, str]:
    return "；".join(zh for zh, _ in said), "; ".join(en for _, en in said)


def _precision(column: Column, kind: str | None) -> tuple[str, str] | None:
    """How fine a column of places is: a degree's fourth decimal is some eleven metres."""
    if kind != "coordinates" or not pa.types.is_floating(column.type):
        return None
    digits = _decimals(column.distinct)
    metres = f"{111_000 / 10**digits:.3g}"
    return (
        f"{column.name}：精确到小数点后 {digits} 位（度），约 {metres} 米",
        f"{column.name}: {digits} decimals of a degree, about {metres} m",
    )


def _decimals(values: Any) -> int:
    """The fewest decimals, at most nine, that write all values."""
    return next(
        (
            digits
            for digits in range(9)
            if pc.all(pc.less(pc.abs(pc.subtract(values, pc.round(values, digits))), 1e-10)).as_py()
        ),
        9,
    )


def _span(column: Column) -> tuple[str, str] | None:
    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)) or not len(column.distinct):
        return None
    # Years, since the first and last day of a small table can be somebody's.
    ends = pc.min_max(pc.year(column.distinct)).as_py()
    return (
        f"{column.name}：{ends['min']} 至 {ends['max']}",
        f"{column.name}: {ends['min']} to {ends['max']}",
    )
