"""The form of a policy and of a declaration as JSON Schema (draft 2020-12), for editors and for those who write them by program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from exchange.desensitization.detection.findings import ROLES
from exchange.desensitization.policy import (
    DISTRIBUTIONS,
    DIVISIONS,
    FORMAT,
    MAX_COLUMNS,
    STATISTICS,
    STEPS,
)
from exchange.desensitization.policy.declaration import GENERALIZATIONS
from exchange.desensitization.policy.members import MAX_TREE_VALUES
from exchange.desensitization.policy.requirements import MAX_MODELS, Aggregate, Estimator

NOT_IN_THE_SCHEMA = (
    "widths, steps, prefix lengths, cuts and kept values have to nest from level to level",
    "open intervals begin where an interval of the widest kind does, the lower before the upper",
    "the paths of a tree are equally long, and every group has one parent",
    "a level is at most the height of its hierarchy",
    "a direct identifier does not cross as it is, or little changed",
    "noise and shifted dates are for no quasi-identifier, local recoding for nothing else",
    "columns are named once; at least one is left; exempt_from_k claims that none identifies a person",
    "a privacy model names a sensitive column that crosses, once, with one order; an exempt table has none",
    "weights name columns of the table",
    "microaggregated columns that go together have one group size and one statistic; shift_dates.by is a column",
    "numbers have at most thirteen digits on either side of the point",
)
"""What a policy has to hold beyond its form; `exchange desensitize scan` says each by field, rule and remedy."""


def schema() -> dict[str, Any]:
    """The schema of both: a policy has a `format`, a declaration has none."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Desensitization policy or declaration 脱敏策略或声明",
        "description": "A policy (JSON, canonical, authorized) fixes everything. A declaration (TOML, or JSON) says what "
        "the scan must not decide by itself. 策略（JSON，规范形式，须经授权）规定一切；声明（TOML 或 JSON）说明扫描不得自行决定之处。",
        "$comment": "What no schema says: " + "; ".join(NOT_IN_THE_SCHEMA) + ".",
        "if": {"required": ["format"]},
        "then": {"$ref": "#/$defs/policy"},
        "else": {"$ref": "#/$defs/declaration"},
        "$defs": {
            "policy": _policy(),
            "declaration": _declaration(),
            "privacy": {
                "type": "array",
                "maxItems": MAX_MODELS,
                "uniqueItems": True,
                "items": {"oneOf": _models()},
                "description": "Privacy models that must hold besides k and l. 除 k 与 l 外还须满足的隐私模型。",
            },
            "loss": {"oneOf": _losses()},
            "role": {"enum": list(ROLES)},
            "technique": {"oneOf": _techniques()},
            "hierarchy": {"oneOf": _hierarchies()},
            "whole": {
                "description": "A whole number, as a string in a policy. 整数，策略中写作字符串。",
                "oneOf": [
                    {"type": "integer", "minimum": 0},
                    {"type": "string", "pattern": "^[0-9]{1,15}$"},
                ],
            },
            "number": {
                "description": "A decimal number, as a string in a policy. 十进制数，策略中写作字符串。",
                "oneOf": [
                    {"type": "number"},
                    {"type": "string", "pattern": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"},
                ],
            },
            "positive": {
                "allOf": [{"$ref": "#/$defs/number"}],
                "not": {"oneOf": [{"type": "number", "maximum": 0}, {"type": "string", "pattern": "^-"}]},
            },
        },
    }


_WHOLE = {"$ref": "#/$defs/whole"}
_NUMBER = {"$ref": "#/$defs/number"}
_POSITIVE = {"$ref": "#/$defs/positive"}
_FLAG = {"type": "boolean"}
_NAME = {"type": "string", "minLength": 1}
_MAYBE_NUMBER = {"oneOf": [{"type": "null"}, _NUMBER]}
_MAYBE_NAME = {"oneOf": [{"type": "null"}, _NAME]}


def _object(
    required: Mapping[str, Any], optional: Mapping[str, Any] | None = None, description: str = ""
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }
    return {**made, "description": description} if description else made


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


def _policy() -> dict[str, Any]:
    column = _object(
        {
            "name": _NAME,
            "role": {"$ref": "#/$defs/role"},
            "technique": {"$ref": "#/$defs/technique"},
        }
    )
    return _object(
        {
            "format": {"const": FORMAT},
            "requirements": _object(
                {"k": _WHOLE, "l": _WHOLE, "suppression_limit_ppm": _WHOLE},
                {"privacy": {"$ref": "#/$defs/privacy"}, "loss": {"$ref": "#/$defs/loss"}},
            ),
            "exempt_from_k": _FLAG,
            "columns": {"type": "array", "minItems": 1, "maxItems": MAX_COLUMNS, "items": column},
        }
    )


def _declaration() -> dict[str, Any]:
    csv = _object(
        {"csv": _NAME},
        description="A hierarchy file in ARX's form beside this one. 本文件旁 ARX 格式的层次文件。",
    )
    column = _object(
        {},
        {
            "role": {"$ref": "#/$defs/role"},
            "hierarchy": {"anyOf": [{"$ref": "#/$defs/hierarchy"}, csv]},
            "technique": {"$ref": "#/$defs/technique"},
        },
    )
    return _object(
        {},
        {
            "requirements": _object(
                {},
                {
                    "k": {
                        **_WHOLE,
                        "description": "At least so many persons in a class. 每个等价类至少的人数。",
                    },
                    "l": {
                        **_WHOLE,
                        "description": "At least so many distinct sensitive values in a class. 每个等价类中不同敏感值的最少个数。",
                    },
                    "suppression_limit_ppm": {
                        **_WHOLE,
                        "description": "So many rows in a million may be dropped. 至多抑制的行，百万分比。",
                    },
                    "generalization": {"enum": list(GENERALIZATIONS)},
                    "privacy": {"$ref": "#/$defs/privacy"},
                    "loss": {"$ref": "#/$defs/loss"},
                },
            ),
            "columns": {"type": "object", "additionalProperties": column},
        },
    )


def _models() -> list[dict[str, Any]]:
    distance = {
        "oneOf": [
            _object({"kind": {"const": "equal"}}),
            _object(
                {"kind": {"const": "ordered"}}, {"order": {**_list({"type": "string"}), "uniqueItems": True}}
            ),
            _object({"kind": {"const": "hierarchical"}, "paths": _paths()}),
        ]
    }
    column = {
        "column": {**_NAME, "description": "Without one: every sensitive column. 省略则适用于各敏感列。"}
    }

    def model(name: str, required: Mapping[str, Any], optional: Mapping[str, Any]) -> dict[str, Any]:
        return _object({"model": {"const": name}, **required}, optional)

    return [
        model("distinct_l", {"l": _WHOLE}, column),
        model("entropy_l", {"l": _POSITIVE}, {**column, "estimator": {"enum": list(get_args(Estimator))}}),
        model("recursive_cl", {"c": _POSITIVE, "l": _WHOLE}, column),
        model("t_closeness", {"t": _POSITIVE}, {**column, "distance": distance}),
        model("beta_likeness", {"beta": _POSITIVE}, {**column, "enhanced": _FLAG}),
        model("delta_disclosure", {"delta": _POSITIVE}, column),
        model("average_risk", {"at_most_ppm": _WHOLE}, {}),
        model("sample_uniqueness", {"at_most_ppm": _WHOLE}, {}),
        model("population_uniqueness", {"at_most_ppm": _WHOLE, "population": _WHOLE}, {}),
    ]


def _losses() -> list[dict[str, Any]]:
    members: Mapping[str, Any] = {
        "gs": {
            **_NUMBER,
            "description": "0: rather drop rows; 1: rather generalize. 0 宁可删行，1 宁可泛化。",
        },
        "aggregate": {"enum": list(get_args(Aggregate))},
        "weights": {"type": "object", "additionalProperties": _POSITIVE},
        "monotonic": _FLAG,
    }

    def loss(name: str, *takes: str) -> dict[str, Any]:
        return _object({"name": {"const": name}}, {one: members[one] for one in takes})

    return [
        loss("loss", "gs", "aggregate", "weights"),
        loss("non_uniform_entropy", "monotonic", "gs", "aggregate", "weights"),
        loss("precision", "monotonic", "gs", "aggregate", "weights"),
        loss("height"),
        loss("discernibility", "monotonic"),
        loss("average_class_size", "gs"),
    ]


def _techniques() -> list[dict[str, Any]]:
    hierarchy = {"hierarchy": {"$ref": "#/$defs/hierarchy"}}

    def technique(
        name: str, required: Mapping[str, Any] | None = None, optional: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return _object({"name": {"const": name}, **(required or {})}, optional)

    return [
        technique("keep"),
        technique("suppress"),
        technique("pseudonymize"),
        technique("tokenize"),
        technique("mask", {"keep_first": _WHOLE, "keep_last": _WHOLE}),
        technique("round", {"step": _POSITIVE}),
        technique("generalize", {**hierarchy, "level": _WHOLE}),
        technique("recode", hierarchy),
        technique(
            "noise",
            {"distribution": {"enum": list(DISTRIBUTIONS)}, "bound": _POSITIVE},
            {"scale": _MAYBE_NUMBER},
        ),
        technique(
            "microaggregate",
            {"group": _WHOLE},
            {"statistic": {"enum": list(STATISTICS)}, "with": _MAYBE_NAME},
        ),
        technique("clamp", {}, {"low": _MAYBE_NUMBER, "high": _MAYBE_NUMBER}),
        technique("shift_dates", {"most_days": _WHOLE}, {"by": _MAYBE_NAME}),
    ]


def _hierarchies() -> list[dict[str, Any]]:
    def hierarchy(
        kind: str, required: Mapping[str, Any] | None = None, optional: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return _object({"kind": {"const": kind}, **(required or {})}, optional)

    return [
        hierarchy(
            "interval",
            {"origin": _NUMBER, "widths": _list(_POSITIVE)},
            {"below": _MAYBE_NUMBER, "from": _MAYBE_NUMBER},
        ),
        hierarchy("cuts", {"cuts": _list(_list(_NUMBER))}),
        hierarchy("date", {"steps": _words(STEPS)}),
        hierarchy("prefix", {"keep": _list(_WHOLE)}),
        hierarchy("region", {}, {"levels": _words(DIVISIONS)}),
        hierarchy("tree", {"paths": _paths()}),
        hierarchy("frequent", {"kept": _list(_list({"type": "string"}))}),
        hierarchy("whole"),
    ]


def _words(known: Sequence[str]) -> dict[str, Any]:
    return {**_list({"enum": list(known)}), "uniqueItems": True}


def _paths() -> dict[str, Any]:
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": MAX_TREE_VALUES,
        "additionalProperties": {"type": "array", "items": _NAME},
    }
