"""What was measured on an arriving table, and whether it may cross: plain values, no bytes of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from exchange.desensitization import grade as grading
from exchange.desensitization.detection.findings import KINDS, Finding
from exchange.desensitization.policy import Policy
from exchange.desensitization.policy.requirements import MODELS


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What the classes betray of one sensitive column, each figure that of the worst class.

    Shares in parts per million (`ppm`), other figures in millionths (`micro`); risks are rounded up, protections
    down. `distinct_l` and `entropy_l_micro` are the l of distinct and of entropy l-diversity (the exponential of the
    least entropy); for every c above `recursive_c_micro` the table is recursively (c, l)-diverse at l =
    `distinct_l` (Machanavajjhala et al., 2007). `t_*_ppm` is the earth mover's distance to the column's
    distribution in the table: with equal distances; on a line, where the column has an order (NULL before all
    values); on a tree, where the policy has a hierarchy of it (Li, Li, Venkatasubramanian, 2007). `beta_micro` is the
    largest relative gain of a value's share (Cao and Karras, 2012), `delta_micro` the largest change of its
    logarithm, over the values that a class holds (Brickell and Shmatikov, 2008).
    """

    column: str
    distinct_l: int
    entropy_l_micro: int
    recursive_c_micro: int
    t_equal_ppm: int
    t_ordered_ppm: int | None
    t_hierarchical_ppm: int | None
    beta_micro: int
    delta_micro: int

    def to_json(self) -> dict[str, Any]:
        """Numbers as strings, without the column's name."""
        figures = {name: getattr(self, name) for name in _FIGURES}
        return {name: None if found is None else str(found) for name, found in figures.items()}

    @classmethod
    def from_json(cls, column: str, data: Mapping[str, Any]) -> Disclosure:
        """The inverse of `to_json`."""
        figures: dict[str, Any] = {name: data[name] and int(data[name]) for name in _FIGURES}
        return cls(column, **figures)


_FIGURES = tuple(field.name for field in fields(Disclosure) if field.name != "column")


@dataclass(frozen=True, slots=True)
class Risk:
    """Re-identification risk over the quasi-identifiers; shares in parts per million, rounded up.

    A class is a set of rows that agree in every quasi-identifier (NULL agrees with NULL). `k` is the
    smallest class, counted in persons where a pseudonym shows that several rows are of one; `l` the smallest number
    of distinct values of a sensitive column in a class, per column; prosecutor risk is that of the row most at risk
    (1/k), marketer risk the expected share of rows re-identified (classes/rows, more where several rows of a class
    are of one person), uniqueness the share of rows alone in their class. The journalist attacker knows no more than the table here (no population table is given), so his
    risk is the prosecutor's. Of the persons in the table, `population_uniqueness_ppm` are expected to be unique in
    the `population` that they were drawn from too (Zayatz, 1991); none stated, they are all there are. Definitions:
    El Emam, Guide to the De-Identification of Personal Health Information, ch. 16; Machanavajjhala et al.,
    l-Diversity (2007), for distinct l; `disclosure` holds the other models' figures, per sensitive column.
    """

    quasi_identifiers: tuple[str, ...]
    rows: int
    classes: int
    k: int
    l: tuple[tuple[str, int], ...]  # noqa: E741
    unique_rows: int
    prosecutor_ppm: int
    marketer_ppm: int
    uniqueness_ppm: int
    population: int | None
    population_uniqueness_ppm: int
    disclosure: tuple[Disclosure, ...]

    def to_json(self) -> dict[str, Any]:
        """Numbers as strings, so that the figures can stand in a log body."""
        return {
            "quasi_identifiers": list(self.quasi_identifiers),
            "rows": str(self.rows),
            "classes": str(self.classes),
            "k": str(self.k),
            "l": {column: str(distinct) for column, distinct in self.l},
            "unique_rows": str(self.unique_rows),
            "prosecutor_ppm": str(self.prosecutor_ppm),
            "journalist_ppm": str(self.prosecutor_ppm),
            "marketer_ppm": str(self.marketer_ppm),
            "uniqueness_ppm": str(self.uniqueness_ppm),
            "population": None if self.population is None else str(self.population),
            "population_uniqueness_ppm": str(self.population_uniqueness_ppm),
            "disclosure": {found.column: found.to_json() for found in self.disclosure},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Risk:
        """The inverse of `to_json`; what engines before 3 did not measure is unknown: the worst, or nothing said."""
        population = data.get("population")
        return cls(
            quasi_identifiers=tuple(data["quasi_identifiers"]),
            rows=int(data["rows"]),
            classes=int(data["classes"]),
            k=int(data["k"]),
            l=tuple((column, int(distinct)) for column, distinct in data["l"].items()),
            unique_rows=int(data["unique_rows"]),
            prosecutor_ppm=int(data["prosecutor_ppm"]),
            marketer_ppm=int(data["marketer_ppm"]),
            uniqueness_ppm=int(data["uniqueness_ppm"]),
            population=None if population is None else int(population),
            population_uniqueness_ppm=int(data.get("population_uniqueness_ppm", data["uniqueness_ppm"])),
            disclosure=tuple(
                Disclosure.from_json(column, found) for column, found in data.get("disclosure", {}).items()
            ),
        )

    def renamed(self, called: Mapping[str, str]) -> Risk:
        """The same with other names for its columns."""
        return replace(
            self,
            quasi_identifiers=tuple(called[name] for name in self.quasi_identifiers),
            l=tuple((called[name], distinct) for name, distinct in self.l),
            disclosure=tuple(replace(found, column=called[found.column]) for found in self.disclosure),
        )


@dataclass(frozen=True, slots=True)
class ColumnMeasure:
    """One column as it arrived. `misfits` counts distinct values that the declared technique cannot have made."""

    name: str
    type: str
    nulls: int
    distinct: int
    misfits: int


@dataclass(frozen=True, slots=True)
class ModelMeasure:
    """One privacy model of the policy on the table: what it bounds where that is worst, and how many rows break it.

    `model` is the model as the policy states it; `column` the sensitive one that it was measured on, none where
    it speaks of classes alone.
    """

    model: Mapping[str, Any]
    column: str | None
    found: str
    rows_broken: int

    def to_json(self) -> dict[str, Any]:
        """Numbers as strings, so that the measure can stand in a log body."""
        return {
            "model": dict(self.model),
            "column": self.column,
            "found": self.found,
            "rows_broken": str(self.rows_broken),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelMeasure:
        """The inverse of `to_json`."""
        return cls(dict(data["model"]), data["column"], str(data["found"]), int(data["rows_broken"]))


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that the exchange keeps of having read a table once; holds no value of it.

    `risk` is measured over the declared and the detected quasi-identifiers together. `grade` is the least
    that the data itself shows.
    """

    engine: str
    file_digest: str
    file_bytes: int
    rows: int
    columns: tuple[ColumnMeasure, ...]
    findings: tuple[Finding, ...]
    about_persons: bool
    risk: Risk
    grade: grading.Grade
    privacy: tuple[ModelMeasure, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Numbers as strings, so that the measurement can stand in a log body."""
        return {
            "engine": self.engine,
            "file_digest": self.file_digest,
            "file_bytes": str(self.file_bytes),
            "rows": str(self.rows),
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "nulls": str(column.nulls),
                    "distinct": str(column.distinct),
                    "misfits": str(column.misfits),
                }
                for column in self.columns
            ],
            "findings": [finding.to_json() for finding in self.findings],
            "about_persons": self.about_persons,
            "risk": self.risk.to_json(),
            "grade": self.grade,
            "privacy": [measure.to_json() for measure in self.privacy],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Measurement:
        """The inverse of `to_json`."""
        return cls(
            engine=str(data["engine"]),
            file_digest=str(data["file_digest"]),
            file_bytes=int(data["file_bytes"]),
            rows=int(data["rows"]),
            columns=tuple(
                ColumnMeasure(
                    name=str(column["name"]),
                    type=str(column["type"]),
                    nulls=int(column["nulls"]),
                    distinct=int(column["distinct"]),
                    misfits=int(column["misfits"]),
                )
                for column in data["columns"]
            ),
            findings=tuple(Finding.from_json(finding) for finding in data["findings"]),
            about_persons=bool(data["about_persons"]),
            risk=Risk.from_json(data["risk"]),
            grade=cast(grading.Grade, data["grade"]),
            # A log may hold measurements from before models were measured.
            privacy=tuple(ModelMeasure.from_json(one) for one in data.get("privacy", ())),
        )


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the authorization and the rulebook ask of an arriving table."""

    policy: Policy
    k: int
    l: int  # noqa: E741
    exempt_from_k: bool
    grade: grading.Grade


@dataclass(frozen=True, slots=True)
class Failure:
    """One reason why the table is sent back. `column` is none where the whole table fails."""

    column: str | None
    rule: str
    detail: str
    remedy: str

    def to_json(self) -> dict[str, Any]:
        """A plain object, fit for a log body and for a problem's detail."""
        return {"column": self.column, "rule": self.rule, "detail": self.detail, "remedy": self.remedy}


def judge(measurement: Measurement, requirements: Requirements) -> list[Failure]:
    """Every reason to send the table back, in a fixed order; an empty list lets it cross.

    Rules: `undeclared_column`, `biometric`, `direct_identifier`, `not_as_declared`, `exemption`,
    `identifiers_not_declared`, `k_anonymity`, `l_diversity`, `privacy_model`, `grade`.
    """
    policy = requirements.policy
    failures: list[Failure] = []
    for column in measurement.columns:
        declared = policy.column(column.name)
        if declared is None:
            failures.append(
                Failure(
                    column.name,
                    "undeclared_column",
                    "the authorized policy knows no such column",
                    "leave the column out, or have a policy that names it authorized",
                )
            )
        elif column.misfits:
            failures.append(
                Failure(
                    column.name,
                    "not_as_declared",
                    f"{column.misfits} distinct values cannot come from the declared technique",
                    "apply the authorized policy with `exchange desensitize apply` and send its product",
                )
            )
    failures.extend(_identifiers(measurement))
    failures.extend(_risk(measurement, requirements))
    if grading.rank(measurement.grade) > grading.rank(requirements.grade):
        failures.append(
            Failure(
                None,
                "grade",
                f"measured as {measurement.grade}, authorized as {requirements.grade} (就高从严, {grading.SOURCE})",
                "file a new risk assessment and have the higher grade authorized",
            )
        )
    return failures


def _identifiers(measurement: Measurement) -> list[Failure]:
    failures = []
    for finding in measurement.findings:
        kind = KINDS[finding.kind]
        if finding.kind == "biometric":
            failures.append(
                Failure(
                    finding.column,
                    "biometric",
                    f"{kind.en} ({kind.zh}) never crosses, whoever authorizes it ({kind.source})",
                    "suppress the column",
                )
            )
        elif finding.role == "direct_identifier":
            failures.append(
                Failure(
                    finding.column,
                    "direct_identifier",
                    f"{kind.en} ({kind.zh}, {kind.source}): {finding.matched} of {finding.checked} distinct values",
                    "suppress the column, or pseudonymize it, and have that policy authorized",
                )
            )
    return failures


def _risk(measurement: Measurement, requirements: Requirements) -> list[Failure]:
    persons = sorted({finding.column for finding in measurement.findings if finding.says_person})
    if requirements.exempt_from_k and persons:
        return [
            Failure(
                column,
                "exemption",
                "the table is exempt from k only as long as no column about a person is found",
                "take the column out, or have the table assessed as one about persons",
            )
            for column in persons
        ]
    if requirements.exempt_from_k:
        return []
    if not requirements.policy.for_persons and not measurement.risk.quasi_identifiers:
        return [
            Failure(
                None,
                "identifiers_not_declared",
                "no quasi-identifier is declared or found, so k would say nothing",
                "have the exemption from k assessed and authorized, or declare the quasi-identifiers",
            )
        ]
    failures = []
    risk = measurement.risk
    if risk.k < requirements.k:
        distinct = {column.name: column.distinct for column in measurement.columns}
        finest = max(risk.quasi_identifiers, key=lambda name: (distinct[name], name), default=None)
        failures.append(
            Failure(
                finest,
                "k_anonymity",
                f"k is {risk.k} over {', '.join(risk.quasi_identifiers) or 'no column'}, required is {requirements.k}; "
                f"{risk.unique_rows} rows are alone",
                "generalize this column further (it tells most rows apart), or allow more rows to be suppressed",
            )
        )
    failures.extend(
        Failure(
            column,
            "l_diversity",
            f"a class holds only {found} distinct values, required are {requirements.l}",
            "generalize the quasi-identifiers further, or suppress this column",
        )
        for column, found in risk.l
        if found < requirements.l
    )
    failures.extend(
        Failure(
            measure.column,
            "privacy_model",
            f"{MODELS[measure.model['model']][1]} ({_bounds(measure.model)}) is broken by {measure.rows_broken} rows; "
            f"found {measure.found}",
            "generalize the quasi-identifiers further, allow more rows to be suppressed, or suppress this column",
        )
        for measure in measurement.privacy
        if measure.rows_broken
    )
    return failures


def _bounds(model: Mapping[str, Any]) -> str:
    """What a model was asked to hold, without the values that its distance may name."""
    return ", ".join(
        f"{name} {value}" for name, value in model.items() if name not in ("model", "column", "distance")
    )
