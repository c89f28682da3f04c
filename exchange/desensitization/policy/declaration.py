"""What the department says about its table before the scan: roles, hierarchies, demands; all of it optional.

A TOML file, or JSON of the same shape; a whole policy (`policy.json`) is one too, with everything fixed:

    [requirements]
    k = 5
    l = 2
    suppression_limit_ppm = 40000        # 4 % of the rows
    loss = { name = "loss", aggregate = "geometric_mean" }
    generalization = "local"             # each row only as far as it needs; "full_domain": one level a column

    [[requirements.privacy]]             # any of the models of `requirements`
    model = "t_closeness"
    column = "service"
    t = 0.2

    [columns.service]
    role = "sensitive"

    [columns.age]                        # the scan still chooses the level
    role = "quasi_identifier"
    hierarchy = { kind = "interval", origin = "0", widths = ["5", "10", "20"], from = "80" }

    [columns.trade]                      # a file in ARX's form, beside this one
    role = "quasi_identifier"
    hierarchy = { csv = "trades.csv" }

    [columns.note]                       # fixed: the scan changes nothing here
    role = "sensitive"
    technique = { name = "suppress" }
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

from exchange.desensitization import policy as policies
from exchange.desensitization.detection.findings import Role
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.policy import Hierarchy, Technique, hierarchy_files
from exchange.desensitization.policy.members import one_of, refused, whole
from exchange.desensitization.policy.requirements import (
    USUAL_LOSS,
    LossModel,
    PrivacyModel,
    loss_of,
    privacy_of,
)

DEFAULT_K = 5
DEFAULT_L = 2
DEFAULT_SUPPRESSION_LIMIT_PPM = 40_000

Generalization = Literal["full_domain", "local"]
GENERALIZATIONS: tuple[Generalization, ...] = get_args(Generalization)
"""One level for a whole column, or for each row the level that it needs."""


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """One column's declaration; what is none, the scan decides. With a `technique` the `hierarchy` is not asked."""

    role: Role | None = None
    hierarchy: Hierarchy | None = None
    technique: Technique | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is declared about a table. Local `generalization` recodes the columns whose technique is not declared."""

    k: int = DEFAULT_K
    l: int = DEFAULT_L  # noqa: E741
    suppression_limit_ppm: int = DEFAULT_SUPPRESSION_LIMIT_PPM
    privacy: tuple[PrivacyModel, ...] = ()
    loss: LossModel = USUAL_LOSS
    generalization: Generalization = "full_domain"
    columns: Mapping[str, DeclaredColumn] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, Role]:
        """The declared roles by column."""
        return {name: column.role for name, column in self.columns.items() if column.role is not None}


def load(text: str, folder: Path | None = None) -> Declaration:
    """A declaration, or a whole policy taken as one, from TOML or JSON. Raises PolicyRefused.

    Hierarchy files that it names are looked for in `folder`; without one it may name none.
    """
    data: Any
    try:
        # Fractions stay the decimals that were written.
        if text.lstrip().startswith("{"):
            data = json.loads(text, parse_float=Decimal)
        else:
            data = tomllib.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise PolicyRefused(
            f"neither TOML nor JSON: {error}",
            field="policy",
            rule="a declaration is TOML or JSON",
            remedy="correct the line that is named",
        ) from error
    if isinstance(data, dict) and data.get("format") == policies.FORMAT:
        return from_policy(policies.parse(data))
    return _parse(data, folder)


def from_policy(policy: policies.Policy) -> Declaration:
    """A policy as a declaration in which nothing is left to decide."""
    return Declaration(
        k=policy.k,
        l=policy.l,
        suppression_limit_ppm=policy.suppression_limit_ppm,
        privacy=policy.privacy,
        loss=policy.loss,
        columns={
            column.name: DeclaredColumn(column.role, None, column.technique) for column in policy.columns
        },
    )


def _parse(data: Any, folder: Path | None) -> Declaration:
    known = {"requirements", "columns"}
    if not isinstance(data, dict) or set(data) - known:
        unknown = sorted(set(data) - known) if isinstance(data, dict) else []
        raise refused(
            unknown[0] if unknown else "policy", "unknown", "declare [requirements] and [columns.NAME]"
        )
    requirements = data.get("requirements", {})
    columns = data.get("columns", {})
    names = {"k": DEFAULT_K, "l": DEFAULT_L, "suppression_limit_ppm": DEFAULT_SUPPRESSION_LIMIT_PPM}
    known = {*names, "privacy", "loss", "generalization"}
    if not isinstance(requirements, dict) or set(requirements) - known:
        raise refused("requirements", f"knows only {', '.join(sorted(known))}", "remove the rest")
    if not isinstance(columns, dict):
        raise refused("columns", "a table of columns by name", "write [columns.NAME]")
    asked = {
        name: whole(
            requirements.get(name, default), f"requirements.{name}", 0 if "ppm" in name else 1, 1_000_000
        )
        for name, default in names.items()
    }
    return Declaration(
        k=asked["k"],
        l=asked["l"],
        suppression_limit_ppm=asked["suppression_limit_ppm"],
        privacy=privacy_of(requirements.get("privacy", ()), "requirements.privacy"),
        loss=loss_of(requirements["loss"], "requirements.loss") if "loss" in requirements else USUAL_LOSS,
        generalization=one_of(
            requirements.get("generalization", "full_domain"), "requirements.generalization", GENERALIZATIONS
        ),
        columns={name: _column(column, f"columns.{name}", folder) for name, column in columns.items()},
    )


def _column(data: Any, where: str, folder: Path | None) -> DeclaredColumn:
    known = {"role", "hierarchy", "technique"}
    if not isinstance(data, dict) or set(data) - known:
        raise refused(where, f"knows only {', '.join(sorted(known))}", "remove the rest")
    data = {
        name: _with_files(member, f"{where}.{name}", folder) if name != "role" else member
        for name, member in data.items()
    }
    return DeclaredColumn(
        role=policies.role_from_json(data["role"], f"{where}.role") if "role" in data else None,
        hierarchy=policies.hierarchy_from_json(data["hierarchy"], f"{where}.hierarchy")
        if "hierarchy" in data
        else None,
        technique=policies.technique_from_json(data["technique"], f"{where}.technique")
        if "technique" in data
        else None,
    )


def _with_files(data: Any, where: str, folder: Path | None) -> Any:
    """A hierarchy, or a technique with one, in which a file that is named is replaced by what it says."""
    if not isinstance(data, dict):
        return data
    if "hierarchy" in data:
        return {**data, "hierarchy": _with_files(data["hierarchy"], f"{where}.hierarchy", folder)}
    if set(data) != {"csv"}:
        return data
    name = data["csv"]
    if not isinstance(name, str) or folder is None:
        raise refused(f"{where}.csv", "the path of a file beside the declaration", 'write csv = "trades.csv"')
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise refused(f"{where}.csv", f"{name} cannot be read: {error.strerror}", "check the path") from error
    return policies.hierarchy_to_json(hierarchy_files.read(content, f"{where}.csv"))
