"""What a policy asks for, bound to a coded table: which classes have to go until all of it holds, and what a table holds.

A criterion that compares a class with the table is judged on the rows that cross: dropping rows changes the
table, so it is judged again until nothing more has to go. Whoever has the product finds the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.hierarchies import text
from exchange.desensitization.judge import ModelMeasure
from exchange.desensitization.policy import requirements as asked
from exchange.desensitization.policy.requirements import LossModel, PrivacyModel, model_to_json
from exchange.desensitization.search import criteria, losses
from exchange.desensitization.search.classes import Classes, Coded, Codes, Held, Mask, Tuples, tuples
from exchange.desensitization.search.criteria import Criterion
from exchange.desensitization.search.lattice import drop_smallest
from exchange.desensitization.search.losses import Quality

MILLION = 1_000_000


class Asking(Protocol):
    """A policy, or a declaration on its way to one."""

    @property
    def k(self) -> int: ...
    @property
    def l(self) -> int: ...  # noqa: E743
    @property
    def privacy(self) -> tuple[PrivacyModel, ...]: ...


class Enforcement:
    """Requirements over the columns of one table, each as it will cross: `sensitive` ones, and `persons`' pseudonyms.

    Raises PolicyRefused where a distance does not name every value of its column.
    """

    def __init__(self, asking: Asking, sensitive: Mapping[str, Coded], persons: Mapping[str, Coded]) -> None:
        self.asking = asking
        self._sensitive = {
            name: _Column.of(coded, _order(asking.privacy, name), name) for name, coded in sensitive.items()
        }
        self._persons = {name: _Column.of(coded, (), name) for name, coded in persons.items()}

    def tuples(self, quasi: Sequence[Codes], rows: int) -> tuple[Tuples, Codes]:
        """The table's distinct tuples over the quasi-identifiers, holding what is asked about, and the tuple of each row."""
        held = {name: column.codes for name, column in (*self._sensitive.items(), *self._persons.items())}
        table, place = tuples(quasi, held, np.ones(rows, np.int64))
        # All values of a whole table are there, so that no code changes; those that only an order names are counted as none.
        return replace(table, finest=self._counted(table.finest)[0]), place

    def demands(self, classes: Classes) -> list[Criterion]:
        """All that is asked, as criteria over the whole of a table that has these classes."""
        return self._criteria(self._counted(classes)[1])

    def stay(self, classes: Classes) -> Mask:
        """Which of the classes stay when none is left that breaks a requirement, the table being what stays."""
        alive = np.ones(len(classes), dtype=bool)
        while alive.any():
            left, present = self._counted(classes.only(alive))
            gone = unheld(left, self._criteria(present))
            if not gone.any():
                break
            alive[np.flatnonzero(alive)[gone]] = False
        return alive

    def kept(self, quasi: Sequence[Codes], rows: int) -> Mask:
        """Which rows stay."""
        table, place = self.tuples(quasi, rows)
        return self.stay(table.finest)[place]

    def measured(self, quasi: Sequence[Codes], rows: int) -> tuple[ModelMeasure, ...]:
        """Every privacy model on the table as it is: the worst that it finds, and how many rows break it."""
        if not self.asking.privacy:
            return ()
        classes, present = self._counted(self.tuples(quasi, rows)[0].finest)
        return tuple(
            ModelMeasure(
                model=model_to_json(model),
                column=column,
                found=_worst(criterion, classes),
                rows_broken=int(classes.sizes[unheld(classes, [criterion])].sum()),
            )
            for model, column, criterion in self._models(present)
        )

    def _counted(self, classes: Classes) -> tuple[Classes, dict[str, Codes]]:
        """The classes with their values counted over them alone and coded without gaps, and the codes from before."""
        held, present = {}, {}
        for name, values in classes.held.items():
            column = self._sensitive.get(name) or self._persons[name]
            total = np.bincount(values.value, weights=values.count, minlength=len(column.fixed))
            stays = (total > 0) | column.fixed
            place = np.cumsum(stays) - 1
            held[name] = Held(values.owner, place[values.value], values.count, total[stays].astype(np.int64))
            present[name] = np.flatnonzero(stays)
        return Classes(classes.tuples, classes.sizes, held), present

    def _criteria(self, present: Mapping[str, Codes]) -> list[Criterion]:
        found: list[Criterion] = [criteria.KAnonymity(self.asking.k)]
        found += [criteria.DistinctLDiversity(name, self.asking.l) for name in self._sensitive]
        found += [criteria.DistinctLDiversity(name, self.asking.k) for name in self._persons]
        return found + [criterion for _, _, criterion in self._models(present)]

    def _models(self, present: Mapping[str, Codes]) -> list[tuple[PrivacyModel, str | None, Criterion]]:
        found: list[tuple[PrivacyModel, str | None, Criterion]] = []
        for model in self.asking.privacy:
            match model:
                case asked.AverageRisk(at_most_ppm):
                    found.append((model, None, criteria.AverageRisk(at_most_ppm / MILLION)))
                case asked.SampleUniqueness(at_most_ppm):
                    found.append((model, None, criteria.SampleUniqueness(at_most_ppm / MILLION)))
                case asked.PopulationUniqueness(at_most_ppm, population):
                    found.append(
                        (model, None, criteria.PopulationUniqueness(at_most_ppm / MILLION, population))
                    )
                case _:
                    columns = [model.column] if model.column is not None else list(self._sensitive)
                    found += [
                        (model, column, self._of_column(model, column, present[column])) for column in columns
                    ]
        return found

    def _of_column(self, model: asked.ColumnModel, column: str, present: Codes) -> Criterion:
        match model:
            case asked.DistinctL(_, least):
                return criteria.DistinctLDiversity(column, least)
            case asked.EntropyL(_, least, estimator):
                return criteria.EntropyLDiversity(column, float(least), estimator)
            case asked.RecursiveCL(_, c, least):
                return criteria.RecursiveCLDiversity(column, float(c), least)
            case asked.TCloseness(_, t, distance):
                return criteria.TCloseness(column, float(t), self._distance(distance, column, present))
            case asked.BetaLikeness(_, beta, enhanced):
                return criteria.BetaLikeness(column, float(beta), enhanced)
            case asked.DeltaDisclosure(_, delta):
                return criteria.DeltaDisclosure(column, float(delta))
            case _:
                assert_never(model)

    def _distance(self, distance: asked.Distance, column: str, present: Codes) -> criteria.Distance:
        match distance:
            case asked.Equal():
                return criteria.Equal()
            case asked.Ordered():
                line = np.argsort(self._sensitive[column].rank[present], kind="stable")
                return criteria.Ordered(tuple(line.tolist()))
            case asked.Hierarchical(paths):
                return criteria.Hierarchical(self._sensitive[column].placed(dict(paths), present, column))
            case _:
                assert_never(distance)


@dataclass(frozen=True, slots=True)
class _Column:
    """A held column: `fixed` codes count though no row has them, `rank` is a code's place on the line, NULL's the first."""

    codes: Codes
    values: Any
    fixed: Mask
    rank: Codes

    @classmethod
    def of(cls, coded: Coded, order: tuple[str, ...], name: str) -> _Column:
        """The column in the order that the policy names, or by size."""
        if not order:
            line = pc.array_sort_indices(coded.values, null_placement="at_start").to_numpy()
            rank = np.empty(len(line), dtype=np.int64)
            rank[line] = np.arange(len(line))
            return cls(coded.codes, coded.values, np.zeros(len(line), dtype=bool), rank)
        absent = (None,) if coded.values.null_count else ()
        known = {value: place for place, value in enumerate((*absent, *order))}
        place = [known.get(_text(value)) for value in coded.values.to_pylist()]
        if None in place:
            raise _unplaced(name)
        fixed = np.ones(len(known), dtype=bool)
        fixed[: len(absent)] = False  # NULL counts where a row has it
        recoded = np.array(place, dtype=np.int64)[coded.codes]
        return cls(recoded, pa.array(list(known), pa.string()), fixed, np.arange(len(known)))

    def placed(
        self, paths: Mapping[str, tuple[str, ...]], present: Codes, name: str
    ) -> tuple[tuple[str, ...], ...]:
        """Each present value's parents; NULL stands in no group but its own."""
        own = ("",) * len(next(iter(paths.values())))
        shown = self.values.to_pylist()
        found = [own if shown[code] is None else paths.get(_text(shown[code]) or "") for code in present]
        if any(path is None and not self.fixed[code] for path, code in zip(found, present, strict=True)):
            raise _unplaced(name)
        return tuple(own if path is None else path for path in found)


def _text(value: Any) -> str | None:
    return None if value is None else text(value)


def _order(privacy: Sequence[PrivacyModel], column: str) -> tuple[str, ...]:
    """The order of a column's values that the policy names, if it names one."""
    return next(
        (
            model.distance.order
            for model in privacy
            if isinstance(model, asked.TCloseness)
            and model.column == column
            and isinstance(model.distance, asked.Ordered)
            and model.distance.order
        ),
        (),
    )


def _unplaced(column: str) -> PolicyRefused:
    """No value is quoted: this may be said outside."""
    return PolicyRefused(
        f"a value of column {column!r} has no place in the distance of its t-closeness",
        field=column,
        rule="an order or a tree names every value of its column as it crosses",
        remedy="add the missing values, or use the distance `equal`, or `ordered` without an order",
    )


def unheld(classes: Classes, asked_for: Sequence[Criterion]) -> Mask:
    """Which classes have to go for these criteria: those that break one, then the smallest of the rest."""
    gone = np.zeros(len(classes), dtype=bool)
    for criterion in asked_for:
        if not isinstance(criterion, _SAMPLE_WISE):
            gone |= ~criterion.holds(classes)
    for criterion in asked_for:
        if isinstance(criterion, _SAMPLE_WISE):
            drop_smallest(gone, classes, criterion)
    return gone


_SAMPLE_WISE = criteria.AverageRisk | criteria.SampleUniqueness | criteria.PopulationUniqueness


def quality_of(loss: LossModel, columns: Sequence[str]) -> Quality:
    """The loss that a policy names as one over these quasi-identifiers."""
    gs, how, named = float(loss.gs), loss.aggregate, dict(loss.weights)
    weights = tuple(float(named.get(column, 1)) for column in columns) if named else ()
    match loss.name:
        case "loss":
            return losses.Loss(gs, how, weights)
        case "non_uniform_entropy":
            return losses.NonUniformEntropy(loss.monotonic, gs, how, weights)
        case "precision":
            return losses.Precision(loss.monotonic, gs, how, weights)
        case "height":
            return losses.Height()
        case "discernibility":
            return losses.Discernibility(loss.monotonic)
        case "average_class_size":
            return losses.AverageClassSize(gs)
        case _:
            assert_never(loss.name)


def _worst(criterion: Criterion, classes: Classes) -> str:
    """What the criterion bounds, where it is worst, with six digits; `inf` where nothing bounds it."""
    sizes, number = classes.sizes, len(classes)
    match criterion:
        case criteria.KAnonymity():
            worst = float(sizes.min())
        case criteria.DistinctLDiversity(column):
            worst = float(classes.held[column].distinct(number).min())
        case criteria.EntropyLDiversity(column, _, estimator):
            made = criteria.entropy if estimator == "shannon" else criteria.grassberger_entropy
            worst = float(np.exp(made(classes.held[column], sizes).min()))
        case criteria.RecursiveCLDiversity(column, _, least):
            most, tail = criteria.ranked(classes.held[column], number, least)
            with np.errstate(divide="ignore"):
                worst = float((most / tail).max())
        case criteria.TCloseness(column, _, distance):
            worst = float(criteria.earth_movers(classes.held[column], sizes, distance).max())
        case criteria.BetaLikeness(column):
            worst = float(criteria.gain(classes.held[column], sizes).max())
        case criteria.DeltaDisclosure(column):
            worst = float(np.abs(np.log1p(criteria.gain(classes.held[column], sizes))).max())
        case criteria.AverageRisk():
            worst = number / float(sizes.sum())
        case criteria.SampleUniqueness():
            worst = float((sizes == 1).sum()) / float(sizes.sum())
        case criteria.PopulationUniqueness(_, population):
            worst = criteria.population_uniques(np.sort(sizes), population) / float(sizes.sum())
        case _:
            assert_never(criterion)
    return f"{max(worst, 0.0):.6g}"
