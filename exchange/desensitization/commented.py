"""A declaration written as TOML, with a comment at every line that somebody decides, in the language of who reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from exchange.desensitization.policy import hierarchy_to_json, technique_to_json
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.policy.requirements import loss_to_json, model_to_json
from exchange.desensitization.report import Language, word


def commented(
    declaration: Declaration, language: Language, notes: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The declaration as text that `declaration.load` reads back to the same; `notes` say more of a column."""
    lines = [
        *_comment("toml_head", language),
        "",
        "[requirements]",
        *_comment("toml_k", language),
        f"k = {declaration.k}",
        *_comment("toml_l", language),
        f"l = {declaration.l}",
        *_comment("toml_suppression", language),
        f"suppression_limit_ppm = {declaration.suppression_limit_ppm}",
        *_comment("toml_generalization", language),
        f"generalization = {_value(declaration.generalization)}",
        *_comment("toml_loss", language),
        f"loss = {_value(loss_to_json(declaration.loss))}",
        "",
        *_comment("toml_privacy", language),
    ]
    for model in declaration.privacy:
        lines += ["[[requirements.privacy]]"]
        lines += [f"{_key(name)} = {_value(value)}" for name, value in model_to_json(model).items()]
        lines.append("")
    if declaration.columns:
        lines += ["", *_comment("toml_columns", language)]
    for name, column in declaration.columns.items():
        lines += ["", f"[columns.{_key(name)}]"]
        lines += [f"# {line}" for note in (notes or {}).get(name, ()) for line in note.splitlines()]
        if column.role is not None:
            lines.append(f"role = {_value(column.role)}  # {word(column.role, language)}")
        if column.hierarchy is not None:
            lines += _comment("toml_hierarchy", language)
            lines.append(f"hierarchy = {_value(hierarchy_to_json(column.hierarchy))}")
        if column.technique is not None:
            technique = technique_to_json(column.technique)
            lines.append(f"technique = {_value(technique)}  # {word(technique['name'], language)}")
    return "\n".join(lines).rstrip() + "\n"


def _comment(name: str, language: Language) -> list[str]:
    return [f"# {line}".rstrip() for line in word(name, language).splitlines()]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for the one control character that JSON lets through.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    """A value of a policy's JSON in TOML, which has no null: what is none is left out."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case Mapping():
            members = [f"{_key(name)} = {_value(one)}" for name, one in value.items() if one is not None]
            return f"{{ {', '.join(members)} }}" if members else "{}"
        case Sequence():
            return f"[{', '.join(_value(one) for one in value)}]"
        case _:
            return str(value)
