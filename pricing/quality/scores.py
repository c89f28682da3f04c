"""What was measured of a table: scores in parts per million, each with its evidence, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, ClassVar, Final, Self, TypeAlias, assert_never

from pricing.canonical import Json, canonical
from pricing.errors import QualityError
from pricing.money import PPM, Language, ppm_in_words, require_whole
from pricing.quality.declaration import undeclarable


class Dimension(StrEnum):
    """The six dimensions, in the order of the standard."""

    CONFORMITY = "conformity"
    COMPLETENESS = "completeness"
    ACCURACY = "accuracy"
    CONSISTENCY = "consistency"
    TIMELINESS = "timeliness"
    ACCESSIBILITY = "accessibility"

    def words(self, language: Language) -> str:
        return _DIMENSION_ZH[self] if language == "zh" else self.value


_DIMENSION_ZH = {
    Dimension.CONFORMITY: "规范性",
    Dimension.COMPLETENESS: "完整性",
    Dimension.ACCURACY: "准确性",
    Dimension.CONSISTENCY: "一致性",
    Dimension.TIMELINESS: "时效性",
    Dimension.ACCESSIBILITY: "可访问性",
}


class Indicator(StrEnum):
    """The six value indicators."""

    TIMELINESS = "timeliness"
    COVERAGE = "coverage"
    COMPLETENESS = "completeness"
    VARIETY = "variety"
    TIME_SPAN = "time_span"
    DEPTH = "depth"

    def words(self, language: Language) -> str:
        return _INDICATOR_ZH[self] if language == "zh" else self.value.replace("_", " ")


_INDICATOR_ZH = {
    Indicator.TIMELINESS: "实时性",
    Indicator.COVERAGE: "样本覆盖面",
    Indicator.COMPLETENESS: "完整性",
    Indicator.VARIETY: "数据种类级别",
    Indicator.TIME_SPAN: "时间跨度",
    Indicator.DEPTH: "数据挖掘潜能",
}

Scored: TypeAlias = "Dimension | Indicator"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One rule on one column (or several, joined by commas): `passed` of `judged` hold."""

    column: str
    rule: str
    passed: int
    judged: int


class Because(StrEnum):
    """Why a dimension is not measured; closed."""

    NO_ROWS = "no_rows"
    NOT_DECLARED = "not_declared"
    NO_VALUES = "no_values"


@dataclass(frozen=True, slots=True)
class Measured:
    dimension: Scored
    score_ppm: int
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class NotMeasured:
    dimension: Scored
    because: Because

    def words(self, language: Language) -> str:
        """The reason and what would let it be measured."""
        match self.because:
            case Because.NO_ROWS:
                return "表中没有记录" if language == "zh" else "the table has no rows"
            case Because.NO_VALUES:
                return "没有可供判定的值" if language == "zh" else "no value could be judged"
            case Because.NOT_DECLARED:
                zh, en = _WANTED[self.dimension]
                return f"未声明{zh}" if language == "zh" else f"not declared: {en}"
            case _:  # pragma: no cover
                assert_never(self.because)


_WANTED: Final[Mapping[Scored, tuple[str, str]]] = {
    Dimension.CONFORMITY: ("任何列", "any column"),
    Dimension.COMPLETENESS: ("必填列", "a required column"),
    Dimension.ACCURACY: ("取值范围或唯一键", "a range or a unique key"),
    Dimension.CONSISTENCY: ("列间规则", "a rule between columns"),
    Dimension.TIMELINESS: ("时间列与更新周期", "the time column and the update cycle"),
    Dimension.ACCESSIBILITY: ("访问记录", "a record of attempts to reach the data"),
    Indicator.TIMELINESS: ("时间列与更新周期", "the time column and the update cycle"),
    Indicator.COVERAGE: ("样本主体与总体数量", "the subject and its population"),
    Indicator.COMPLETENESS: ("必填列", "a required column"),
    Indicator.VARIETY: ("类别列与类别数", "a column of kinds and their number"),
    Indicator.TIME_SPAN: ("时间列与期望跨度", "the time column and the span that is asked for"),
    Indicator.DEPTH: ("样本主体与每主体记录数", "the subject and its records"),
}


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured of one table under one declaration at one time; every score of its standard, always all."""

    standard: ClassVar[str]
    kinds: ClassVar[Sequence[Scored]]

    rows: int
    as_of_us: int
    declaration_digest: str
    dimensions: tuple[Measured | NotMeasured, ...]

    def __post_init__(self) -> None:
        if [each.dimension for each in self.dimensions] != list(self.kinds):
            raise undeclarable("quality", f"must hold {', '.join(self.kinds)}", "measure again")

    def score_ppm(self, dimension: Scored) -> int | None:
        """The score of one dimension; None where it is not measured."""
        found = next(each for each in self.dimensions if each.dimension == dimension)
        return found.score_ppm if isinstance(found, Measured) else None

    def to_json(self) -> dict[str, Json]:
        members: list[Json] = []
        for each in self.dimensions:
            match each:
                case Measured():
                    members.append(
                        {
                            "dimension": each.dimension.value,
                            "evidence": [[e.column, e.rule, e.passed, e.judged] for e in each.evidence],
                            "score_ppm": each.score_ppm,
                        }
                    )
                case NotMeasured():
                    members.append({"because": each.because.value, "dimension": each.dimension.value})
                case _:  # pragma: no cover
                    assert_never(each)
        return {
            "as_of_us": self.as_of_us,
            "declaration_digest": self.declaration_digest,
            "dimensions": members,
            "rows": self.rows,
            "standard": self.standard,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote (integers as text or not); scores are counted again from the evidence.

        QualityError when it does not read, or when a stated score does not follow from its counts.
        """
        try:
            rows = int(members["rows"])
            dimensions = tuple(
                read_score(dimension, rows, member)
                for dimension, member in zip(cls.kinds, members["dimensions"], strict=True)
            )
            quality = cls(rows, int(members["as_of_us"]), str(members["declaration_digest"]), dimensions)
        except (KeyError, TypeError, ValueError) as unreadable:
            raise undeclarable(
                "quality", f"cannot be read: {unreadable!r}", "give it as it was written"
            ) from None
        if canonical(quality.to_json()) != canonical(members):
            raise undeclarable("quality", "a score does not follow from its counts", "measure again")
        return quality

    @property
    def canonical(self) -> bytes:
        return canonical(self.to_json())

    @property
    def digest(self) -> str:
        return sha256(self.canonical).hexdigest()

    def words(self, language: Language) -> str:
        """A line for each dimension, and below it a line for each rule that did not hold everywhere."""
        lines = []
        for each in self.dimensions:
            name = each.dimension.words(language)
            match each:
                case Measured():
                    lines.append(f"{name}  {ppm_in_words(each.score_ppm)}")
                    lines += [
                        f"    {e.column}: {e.rule}  {e.passed:,} / {e.judged:,}"
                        for e in each.evidence
                        if e.passed < e.judged
                    ]
                case NotMeasured():
                    no = "未计算" if language == "zh" else "not measured"
                    lines.append(f"{name}  {no}: {each.words(language)}")
                case _:  # pragma: no cover
                    assert_never(each)
        return "\n".join(lines)


class Quality(Scores):
    """The six dimensions of GB/T 36344-2018."""

    __slots__ = ()
    standard = "GB/T 36344-2018"
    kinds = tuple(Dimension)


class ValueIndicators(Scores):
    """The six indicators of what data is worth (深圳经济特区数据条例)."""

    __slots__ = ()
    standard = "深圳经济特区数据条例"
    kinds = tuple(Indicator)


def score_of(dimension: Scored, rows: int, evidence: Sequence[Evidence]) -> Measured | NotMeasured:
    """What the evidence comes to, rounded down."""
    judged = sum(each.judged for each in evidence)
    if not rows:
        return NotMeasured(dimension, Because.NO_ROWS)
    if not evidence:
        return NotMeasured(dimension, Because.NOT_DECLARED)
    if not judged:
        return NotMeasured(dimension, Because.NO_VALUES)
    if dimension in (Dimension.TIMELINESS, Indicator.TIMELINESS):
        # Old data is not made fresh by many records that are merely not in the future: the worse of the two.
        score_ppm = min(each.passed * PPM // each.judged for each in evidence)
    else:
        score_ppm = sum(each.passed for each in evidence) * PPM // judged
    return Measured(dimension, score_ppm, tuple(evidence))


def read_score(dimension: Scored, rows: int, member: Mapping[str, Any]) -> Measured | NotMeasured:
    if "because" in member:
        return NotMeasured(dimension, Because(member["because"]))
    counts = []
    for column, rule, passed, judged in member["evidence"]:
        require_whole(int(judged), f"{column}, {rule}: judged", error=QualityError)
        require_whole(int(passed), f"{column}, {rule}: passed", most=int(judged), error=QualityError)
        counts.append(Evidence(str(column), str(rule), int(passed), int(judged)))
    return score_of(dimension, rows, counts)
