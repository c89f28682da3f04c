"""What the department says about its table before the scan: roles, hierarchies, demands; all of it optional.

A TOML file, or JSON of the same shape; a whole policy (`policy.json`) is one too, with everything fixed:

    [requirements]
    k = 5
    l = 2
    suppression_limit_ppm = 40000        # 4 % of the rows

    [columns.service]
    role = "sensitive"

    [columns.age]                        # the scan still chooses the level
    role = "quasi_identifier"
    hierarchy = { kind = "interval", origin = "0", widths = ["5", "10", "20"], from = "80" }

    [columns.note]                       # fixed: the scan changes nothing here
    role = "sensitive"
    technique = { name = "suppress" }
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exchange.desensitization import policy as policies
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.findings import Role
from exchange.desensitization.policy import Hierarchy, Technique

DEFAULT_K = 5
DEFAULT_L = 2
DEFAULT_SUPPRESSION_LIMIT_PPM = 40_000


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """One column's declaration; what is none, the scan decides. With a `technique` the `hierarchy` is not asked."""

    role: Role | None = None
    hierarchy: Hierarchy | None = None
    technique: Technique | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is declared about a table."""

    k: int = DEFAULT_K
    l: int = DEFAULT_L  # noqa: E741
    suppression_limit_ppm: int = DEFAULT_SUPPRESSION_LIMIT_PPM
    columns: Mapping[str, DeclaredColumn] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, Role]:
        """The declared roles by column."""
        return {name: column.role for name, column in self.columns.items() if column.role is not None}


def load(text: str) -> Declaration:
    """A declaration, or a whole policy taken as one, from TOML or JSON. Raises PolicyRefused."""
    data: Any
    try:
        data = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:
        raise PolicyRefused(
            f"neither TOML nor JSON: {error}",
            field="policy",
            rule="a declaration is TOML or JSON",
            remedy="correct the line that is named",
        ) from error
    if isinstance(data, dict) and data.get("format") == policies.FORMAT:
        return from_policy(policies.parse(data))
    return _parse(data)


def from_policy(policy: policies.Policy) -> Declaration:
    """A policy as a declaration in which nothing is left to decide."""
    return Declaration(
        k=policy.k,
        l=policy.l,
        suppression_limit_ppm=policy.suppression_limit_ppm,
        columns={
            column.name: DeclaredColumn(column.role, None, column.technique) for column in policy.columns
        },
    )


def _parse(data: Any) -> Declaration:
    known = {"requirements", "columns"}
    if not isinstance(data, dict) or set(data) - known:
        unknown = sorted(set(data) - known) if isinstance(data, dict) else []
        raise _refused(
            unknown[0] if unknown else "policy", "unknown", "declare [requirements] and [columns.NAME]"
        )
    requirements = data.get("requirements", {})
    columns = data.get("columns", {})
    names = {"k": DEFAULT_K, "l": DEFAULT_L, "suppression_limit_ppm": DEFAULT_SUPPRESSION_LIMIT_PPM}
    if not isinstance(requirements, dict) or set(requirements) - set(names):
        raise _refused("requirements", f"knows only {', '.join(names)}", "remove the rest")
    if not isinstance(columns, dict):
        raise _refused("columns", "a table of columns by name", "write [columns.NAME]")
    asked = {
        name: policies.whole(
            requirements.get(name, default), f"requirements.{name}", 0 if "ppm" in name else 1, 1_000_000
        )
        for name, default in names.items()
    }
    return Declaration(
        k=asked["k"],
        l=asked["l"],
        suppression_limit_ppm=asked["suppression_limit_ppm"],
        columns={name: _column(column, f"columns.{name}") for name, column in columns.items()},
    )


def _column(data: Any, where: str) -> DeclaredColumn:
    known = {"role", "hierarchy", "technique"}
    if not isinstance(data, dict) or set(data) - known:
        raise _refused(where, f"knows only {', '.join(sorted(known))}", "remove the rest")
    return DeclaredColumn(
        role=policies.role_from_json(data["role"], f"{where}.role") if "role" in data else None,
        hierarchy=policies.hierarchy_from_json(data["hierarchy"], f"{where}.hierarchy")
        if "hierarchy" in data
        else None,
        technique=policies.technique_from_json(data["technique"], f"{where}.technique")
        if "technique" in data
        else None,
    )


def _refused(where: str, rule: str, remedy: str) -> PolicyRefused:
    return PolicyRefused(f"{where}: {rule}", field=where, rule=rule, remedy=remedy)
