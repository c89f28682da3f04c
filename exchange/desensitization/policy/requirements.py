"""What a policy asks for beyond k and l: privacy models that must hold, and the loss that is to be least. Plain values.

    "privacy": [
      {"model": "distinct_l", "column": "service", "l": "3"},
      {"model": "entropy_l", "l": "2.5", "estimator": "shannon"},                  no column: every sensitive one
      {"model": "recursive_cl", "column": "service", "c": "3", "l": "2"},
      {"model": "t_closeness", "column": "service", "t": "0.2", "distance": {"kind": "equal"}},
      {"model": "t_closeness", "column": "charge", "t": "0.2", "distance": {"kind": "ordered"}},
      {"model": "t_closeness", "column": "level", "t": "0.2", "distance": {"kind": "ordered", "order": ["low", "high"]}},
      {"model": "t_closeness", "column": "illness", "t": "0.3",
       "distance": {"kind": "hierarchical", "paths": {"flu": ["airways"], "ulcer": ["stomach"]}}},
      {"model": "beta_likeness", "column": "service", "beta": "1", "enhanced": true},
      {"model": "delta_disclosure", "column": "service", "delta": "1"},
      {"model": "average_risk", "at_most_ppm": "50000"},
      {"model": "sample_uniqueness", "at_most_ppm": "0"},
      {"model": "population_uniqueness", "at_most_ppm": "100", "population": "1400000000"}],
    "loss": {"name": "loss", "gs": "0.5", "aggregate": "geometric_mean", "weights": {"age": "2"}}

The models are defined, with their sources, in `criteria`, the losses in `losses`. A model that compares a class
with the whole table compares it with the table that crosses, so that whoever has it can check it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, assert_never, get_args

from exchange.desensitization.policy.members import (
    flag_of,
    items_of,
    members_of,
    number_of,
    paths_of,
    plain,
    positive_of,
    refused,
    whole,
)

MAX_MODELS = 64
MAX_ORDER = 10_000
MAX_POPULATION = 10_000_000_000

Estimator = Literal["shannon", "grassberger"]
Aggregate = Literal["arithmetic_mean", "geometric_mean", "sum", "maximum", "rank"]
LossName = Literal[
    "loss", "non_uniform_entropy", "precision", "height", "discernibility", "average_class_size"
]


@dataclass(frozen=True, slots=True)
class DistinctL:
    """At least `l` distinct values of the column in each class."""

    column: str | None
    l: int  # noqa: E741


@dataclass(frozen=True, slots=True)
class EntropyL:
    """An entropy of at least log `l` of the column in each class."""

    column: str | None
    l: Decimal  # noqa: E741
    estimator: Estimator = "shannon"


@dataclass(frozen=True, slots=True)
class RecursiveCL:
    """The column's most frequent value less than `c` times as frequent as all from the `l`-th on."""

    column: str | None
    c: Decimal
    l: int  # noqa: E741


@dataclass(frozen=True, slots=True)
class Equal:
    """Every value is as far from every other."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Values lie on a line, NULL before all: in the order that is given, or by size where none is."""

    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hierarchical:
    """Values are leaves of a tree, each with the names of its parents."""

    paths: tuple[tuple[str, tuple[str, ...]], ...]


Distance = Equal | Ordered | Hierarchical


@dataclass(frozen=True, slots=True)
class TCloseness:
    """No class's distribution of the column further than `t` from the table's."""

    column: str | None
    t: Decimal
    distance: Distance = Equal()


@dataclass(frozen=True, slots=True)
class BetaLikeness:
    """No value of the column gains more than `beta` of its share in any class."""

    column: str | None
    beta: Decimal
    enhanced: bool = False


@dataclass(frozen=True, slots=True)
class DeltaDisclosure:
    """No value's share in a class further than a factor e**`delta` from its share in the table."""

    column: str | None
    delta: Decimal


@dataclass(frozen=True, slots=True)
class AverageRisk:
    """Classes to rows at most so many in a million."""

    at_most_ppm: int


@dataclass(frozen=True, slots=True)
class SampleUniqueness:
    """Rows alone in their class at most so many in a million."""

    at_most_ppm: int


@dataclass(frozen=True, slots=True)
class PopulationUniqueness:
    """Rows estimated to be unique among `population` persons at most so many in a million."""

    at_most_ppm: int
    population: int


ColumnModel = DistinctL | EntropyL | RecursiveCL | TCloseness | BetaLikeness | DeltaDisclosure
PrivacyModel = ColumnModel | AverageRisk | SampleUniqueness | PopulationUniqueness

MODELS: Mapping[str, tuple[str, str]] = {
    "distinct_l": ("l 多样性（不同值）", "distinct l-diversity"),
    "entropy_l": ("l 多样性（熵）", "entropy l-diversity"),
    "recursive_cl": ("递归 (c, l) 多样性", "recursive (c, l)-diversity"),
    "t_closeness": ("t 接近性", "t-closeness"),
    "beta_likeness": ("β 相似性", "β-likeness"),
    "delta_disclosure": ("δ 披露隐私", "δ-disclosure privacy"),
    "average_risk": ("平均重识别风险", "average re-identification risk"),
    "sample_uniqueness": ("样本唯一性", "sample uniqueness"),
    "population_uniqueness": ("总体唯一性", "population uniqueness"),
}
"""Every privacy model by the name that a policy gives it, in Chinese and in English."""

LOSSES: Mapping[LossName, tuple[str, str]] = {
    "loss": ("信息损失 (Loss)", "Loss"),
    "non_uniform_entropy": ("非均匀熵", "non-uniform entropy"),
    "precision": ("精度", "precision"),
    "height": ("高度", "height"),
    "discernibility": ("可辨识度", "discernibility"),
    "average_class_size": ("平均等价类大小", "average class size"),
}
"""Every loss, in Chinese and in English."""

_TAKES: Mapping[LossName, frozenset[str]] = {
    "loss": frozenset({"gs", "aggregate", "weights"}),
    "non_uniform_entropy": frozenset({"monotonic", "gs", "aggregate", "weights"}),
    "precision": frozenset({"monotonic", "gs", "aggregate", "weights"}),
    "height": frozenset(),
    "discernibility": frozenset({"monotonic"}),
    "average_class_size": frozenset({"gs"}),
}


@dataclass(frozen=True, slots=True)
class LossModel:
    """The loss that the search keeps least and the certificate states; what a loss does not take stays at its default.

    `gs` is ARX's factor of generalization against suppression, from 0 to 1; `weights` say how much each column
    counts, those that are not named as 1.
    """

    name: LossName = "loss"
    gs: Decimal = Decimal("0.5")
    aggregate: Aggregate = "arithmetic_mean"
    monotonic: bool = False
    weights: tuple[tuple[str, Decimal], ...] = ()


USUAL_LOSS = LossModel()


def model_name(model: PrivacyModel) -> str:
    """The name that a policy gives the model."""
    match model:
        case DistinctL():
            return "distinct_l"
        case EntropyL():
            return "entropy_l"
        case RecursiveCL():
            return "recursive_cl"
        case TCloseness():
            return "t_closeness"
        case BetaLikeness():
            return "beta_likeness"
        case DeltaDisclosure():
            return "delta_disclosure"
        case AverageRisk():
            return "average_risk"
        case SampleUniqueness():
            return "sample_uniqueness"
        case PopulationUniqueness():
            return "population_uniqueness"
        case _:
            assert_never(model)


def column_of(model: PrivacyModel) -> str | None:
    """The column that the model speaks of; none where it speaks of all sensitive ones, or of no column."""
    match model:
        case AverageRisk() | SampleUniqueness() | PopulationUniqueness():
            return None
        case _:
            return model.column


def model_to_json(model: PrivacyModel) -> dict[str, Any]:
    """One privacy model as a JSON object."""
    named: dict[str, Any] = {"model": model_name(model)}
    if column_of(model) is not None:
        named["column"] = column_of(model)
    match model:
        case DistinctL(_, least):
            return {**named, "l": str(least)}
        case EntropyL(_, least, estimator):
            return {**named, "l": plain(least), "estimator": estimator}
        case RecursiveCL(_, c, least):
            return {**named, "c": plain(c), "l": str(least)}
        case TCloseness(_, t, distance):
            return {**named, "t": plain(t), "distance": _distance_to_json(distance)}
        case BetaLikeness(_, beta, enhanced):
            return {**named, "beta": plain(beta), "enhanced": enhanced}
        case DeltaDisclosure(_, delta):
            return {**named, "delta": plain(delta)}
        case AverageRisk(at_most_ppm) | SampleUniqueness(at_most_ppm):
            return {**named, "at_most_ppm": str(at_most_ppm)}
        case PopulationUniqueness(at_most_ppm, population):
            return {**named, "at_most_ppm": str(at_most_ppm), "population": str(population)}
        case _:
            assert_never(model)


def _distance_to_json(distance: Distance) -> dict[str, Any]:
    match distance:
        case Equal():
            return {"kind": "equal"}
        case Ordered(()):
            return {"kind": "ordered"}
        case Ordered(order):
            return {"kind": "ordered", "order": list(order)}
        case Hierarchical(paths):
            return {"kind": "hierarchical", "paths": {value: list(path) for value, path in paths}}
        case _:
            assert_never(distance)


def loss_to_json(loss: LossModel) -> dict[str, Any]:
    """The loss as a JSON object: its name and all that it takes."""
    takes = _TAKES[loss.name]
    members: dict[str, Any] = {
        "monotonic": loss.monotonic,
        "gs": plain(loss.gs),
        "aggregate": loss.aggregate,
        "weights": {column: plain(weight) for column, weight in loss.weights},
    }
    return {
        "name": loss.name,
        **{name: value for name, value in members.items() if name in takes and (name != "weights" or value)},
    }


def privacy_of(data: object, field: str) -> tuple[PrivacyModel, ...]:
    """The privacy models that a list states. Raises PolicyRefused."""
    found = items_of(data, field)
    if len(found) > MAX_MODELS:
        raise refused(field, f"at most {MAX_MODELS} models, found {len(found)}", "leave some out")
    models = tuple(_model(item, f"{field}[{place}]") for place, item in enumerate(found))
    for place, model in enumerate(models):
        if model in models[:place]:
            raise refused(f"{field}[{place}]", "the same model stands twice", "remove one of them")
    orders: dict[str | None, tuple[str, ...]] = {}
    for place, model in enumerate(models):
        distance = model.distance if isinstance(model, TCloseness) else Equal()
        if isinstance(distance, Ordered) and distance.order:
            column = column_of(model)
            if orders.setdefault(column, distance.order) != distance.order:
                raise refused(
                    f"{field}[{place}].distance.order",
                    f"{column!r} has two orders",
                    "name the same order in both models",
                )
    return models


def loss_of(data: object, field: str) -> LossModel:
    """The loss that an object states. Raises PolicyRefused."""
    found = data.get("name") if isinstance(data, Mapping) else data
    name = next((name for name in _TAKES if name == found), None)
    if name is None:
        raise refused(f"{field}.name", f"{found!r} is no loss", f"use one of {', '.join(_TAKES)}")
    members = members_of(data, field, {"name"}, set(_TAKES[name]))
    gs = number_of(members.get("gs", "0.5"), f"{field}.gs")
    if not 0 <= gs <= 1:
        raise refused(f"{field}.gs", f"a number from 0 to 1, found {plain(gs)}", 'write "0.5"')
    usual = "sum" if name == "non_uniform_entropy" else "arithmetic_mean"
    aggregate = members.get("aggregate", usual if "aggregate" in _TAKES[name] else "arithmetic_mean")
    if aggregate not in get_args(Aggregate):
        raise refused(
            f"{field}.aggregate",
            f"{aggregate!r} is no aggregate",
            f"use one of {', '.join(get_args(Aggregate))}",
        )
    weights = members.get("weights", {})
    if not isinstance(weights, Mapping):
        raise refused(f"{field}.weights", "an object of columns and numbers", 'write {"age": "2"}')
    return LossModel(
        name=name,
        gs=gs,
        aggregate=aggregate,
        monotonic=flag_of(members.get("monotonic", False), f"{field}.monotonic"),
        weights=tuple(
            (str(column), positive_of(weight, f"{field}.weights[{column!r}]"))
            for column, weight in sorted(weights.items())
        ),
    )


_OF_A_COLUMN = ("distinct_l", "entropy_l", "recursive_cl", "t_closeness", "beta_likeness", "delta_disclosure")


def _model(data: object, field: str) -> PrivacyModel:
    name = data.get("model") if isinstance(data, Mapping) else data
    if not isinstance(data, Mapping) or not isinstance(name, str) or name not in MODELS:
        raise refused(f"{field}.model", f"{name!r} is no privacy model", f"use one of {', '.join(MODELS)}")
    column = data.get("column")
    if name in _OF_A_COLUMN and column is not None and (not isinstance(column, str) or not column):
        raise refused(f"{field}.column", "the name of a sensitive column", "leave it out for all of them")

    def of(required: set[str], optional: frozenset[str] = frozenset()) -> Mapping[str, Any]:
        more = {"column", *optional} if name in _OF_A_COLUMN else set(optional)
        return members_of(data, field, {"model", *required}, more)

    def share(read: Mapping[str, Any], least: int = 0) -> int:
        return whole(read["at_most_ppm"], f"{field}.at_most_ppm", least, 1_000_000)

    match name:
        case "distinct_l":
            return DistinctL(column, whole(of({"l"})["l"], f"{field}.l", 1, 1_000_000))
        case "entropy_l":
            read = of({"l"}, frozenset({"estimator"}))
            estimator = read.get("estimator", "shannon")
            if estimator not in get_args(Estimator):
                raise refused(f"{field}.estimator", f"{estimator!r} is none", "use shannon or grassberger")
            least = positive_of(read["l"], f"{field}.l")
            if least < 1:
                raise refused(f"{field}.l", f"1 or more, found {plain(least)}", 'write for example "2"')
            return EntropyL(column, least, estimator)
        case "recursive_cl":
            read = of({"c", "l"})
            return RecursiveCL(
                column, positive_of(read["c"], f"{field}.c"), whole(read["l"], f"{field}.l", 1, 1_000_000)
            )
        case "t_closeness":
            read = of({"t"}, frozenset({"distance"}))
            t = positive_of(read["t"], f"{field}.t")
            if t > 1:
                raise refused(f"{field}.t", f"at most 1, found {plain(t)}", 'write for example "0.2"')
            return TCloseness(
                column, t, _distance(read.get("distance", {"kind": "equal"}), column, f"{field}.distance")
            )
        case "beta_likeness":
            read = of({"beta"}, frozenset({"enhanced"}))
            return BetaLikeness(
                column,
                positive_of(read["beta"], f"{field}.beta"),
                flag_of(read.get("enhanced", False), f"{field}.enhanced"),
            )
        case "delta_disclosure":
            return DeltaDisclosure(column, positive_of(of({"delta"})["delta"], f"{field}.delta"))
        case "average_risk":
            return AverageRisk(share(of({"at_most_ppm"}), 1))
        case "sample_uniqueness":
            return SampleUniqueness(share(of({"at_most_ppm"})))
        case _:
            read = of({"at_most_ppm", "population"})
            return PopulationUniqueness(
                share(read), whole(read["population"], f"{field}.population", 1, MAX_POPULATION)
            )


def _distance(data: object, column: str | None, field: str) -> Distance:
    kind = data.get("kind") if isinstance(data, Mapping) else data
    match kind:
        case "equal":
            members_of(data, field, {"kind"})
            return Equal()
        case "ordered":
            order = items_of(members_of(data, field, {"kind"}, {"order"}).get("order", ()), f"{field}.order")
            if any(not isinstance(value, str) for value in order) or len(set(order)) != len(order):
                raise refused(
                    f"{field}.order", "every value once, as text", 'write ["low", "middle", "high"]'
                )
            if len(order) > MAX_ORDER:
                raise refused(f"{field}.order", f"at most {MAX_ORDER} values", "leave the order out")
            _require_column(bool(order), column, field)
            return Ordered(tuple(order))
        case "hierarchical":
            paths = paths_of(members_of(data, field, {"kind", "paths"})["paths"], f"{field}.paths")
            _require_column(True, column, field)
            return Hierarchical(tuple(sorted(paths.items())))
        case other:
            raise refused(f"{field}.kind", f"{other!r} is no distance", "use equal, ordered or hierarchical")


def _require_column(values_named: bool, column: str | None, field: str) -> None:
    if values_named and column is None:
        raise refused(field, "values are named, so they are one column's", "name the column of the model")


Named = Callable[[str], bool]


def require_columns(
    privacy: tuple[PrivacyModel, ...], loss: LossModel, sensitive: Named, known: Named
) -> None:
    """Raise PolicyRefused where a model names a column that is not sensitive, or a weight one that is not there."""
    for place, model in enumerate(privacy):
        column = column_of(model)
        if column is not None and not sensitive(column):
            raise refused(
                f"requirements.privacy[{place}].column",
                f"{column!r} is no sensitive column of the table",
                "name a column whose role is sensitive, or declare that role for it",
            )
    for column, _ in loss.weights:
        if not known(column):
            raise refused(
                f"requirements.loss.weights[{column!r}]", "no such column", "name columns of the table"
            )
