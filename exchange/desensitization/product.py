"""Carry out a policy on a whole table: columns changed, rows that would break k or l dropped, the rest measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exchange.desensitization import hierarchies
from exchange.desensitization.detection.detect import Detected, detect, roles
from exchange.desensitization.detection.findings import Role
from exchange.desensitization.errors import NotReached, PolicyRefused
from exchange.desensitization.indices import Index, index_of, utility
from exchange.desensitization.judge import Risk
from exchange.desensitization.measure import effective_roles, enforcement_of, quasi_of, risk_of, whose
from exchange.desensitization.policy import KEYED, Policy, Recode, Suppress, Technique
from exchange.desensitization.policy.declaration import from_policy
from exchange.desensitization.propose import Proposer
from exchange.desensitization.risk import MILLION, share_ppm
from exchange.desensitization.search.classes import Coded, Codes, Mask
from exchange.desensitization.search.local import cells
from exchange.desensitization.search.losses import cell_loss
from exchange.desensitization.techniques import Changed, carry_out


@dataclass(frozen=True, slots=True)
class Applied:
    """A desensitized table and what it cost. `loss_ppm` per raw column: 0 untouched, a million gone.

    `utility` is the loss that the policy chose, over the quasi-identifiers.
    """

    table: Any
    before: Risk
    suppressed_rows: int
    row_suppression_ppm: int
    loss_ppm: Mapping[str, int]
    utility: tuple[float, ...]
    indices: Mapping[str, Index]


def apply_policy(raw: Detected, policy: Policy, key: bytes) -> Applied:
    """The product of a policy on a raw table, the same for the same table, policy and key.

    Rows of a product for persons are sorted by what they show, so that their order tells nothing about the
    raw table's; an exempt table keeps its order. Raises PolicyRefused where policy and table do not fit,
    NotReached where k and l would cost more rows than the policy allows.
    """
    _check_fit(raw, policy)
    rows = raw.columns[0].rows
    techniques = {column.name: column.technique for column in policy.columns}
    changed = carry_out(raw, techniques, key)
    kept = np.ones(rows, dtype=bool)
    if any(isinstance(technique, Recode) for technique in techniques.values()):
        recoded, dropped_tuples = _recoded(raw, policy)
        changed |= recoded
        kept &= ~dropped_tuples
    losses = {name: np.ones(rows) if made is None else made.loss for name, made in changed.items()}
    table = pa.table(
        {
            column.name: made.rows.filter(pa.array(kept))
            for column in raw.columns
            if (made := changed[column.name]) is not None
        }
    )
    if not policy.exempt_from_k:
        persons = {name: Coded(coded.codes[kept], coded.values) for name, coded in whose(raw).items()}
        stays = _kept(table, policy, persons)
        table = table.filter(pa.array(stays))
        kept[kept] = stays
    dropped = rows - int(np.count_nonzero(kept))
    if dropped * MILLION > policy.suppression_limit_ppm * rows or dropped == rows:
        raise NotReached(
            f"k = {policy.k} and l = {policy.l}{_more(policy)} would drop {dropped} of {rows} rows",
            field="requirements.suppression_limit_ppm",
            rule=f"at most {policy.suppression_limit_ppm} rows in a million are dropped",
            remedy="generalize the quasi-identifiers further; `exchange desensitize scan` proposes how",
        )
    if not policy.exempt_from_k:
        last = [column.name for column in policy.columns if isinstance(column.technique, KEYED)]
        order = sorted(table.column_names, key=lambda name: (name in last, table.column_names.index(name)))
        table = table.sort_by([(name, "ascending") for name in order])
    role = raw_roles(raw, policy)
    return Applied(
        table=table.combine_chunks(),
        before=risk_of(raw, role, policy),
        suppressed_rows=dropped,
        row_suppression_ppm=share_ppm(dropped, rows),
        loss_ppm={
            name: share_ppm(round((float(loss[kept].sum()) + dropped) * MILLION), rows * MILLION)
            for name, loss in losses.items()
        },
        utility=utility(
            {
                column.name: (column, techniques[column.name], changed[column.name])
                for column in raw.columns
                if is_quasi(role[column.name], techniques[column.name])
            },
            policy.loss,
            kept,
        ),
        indices={
            column.name: index_of(column, techniques[column.name], changed[column.name], kept)
            for column in raw.columns
        },
    )


def is_quasi(role: Role, technique: Technique | None) -> bool:
    """Whether a column tells persons apart: a quasi-identifier, or what a technique leaves of a direct one."""
    left = role == "direct_identifier" and not isinstance(technique, Suppress | KEYED)
    return role == "quasi_identifier" or left


def raw_roles(raw: Detected, policy: Policy) -> dict[str, Role]:
    """The roles of the raw columns; a direct identifier stays one."""
    return roles(raw, {column.name: column.role for column in policy.columns})


def write_product(table: Any, path: Path) -> None:
    """The table as Parquet: the same bytes for the same table and library."""
    pq.write_table(
        table.replace_schema_metadata(None),
        path,
        version="2.6",
        compression="zstd",
        row_group_size=131_072,
        write_page_checksum=True,
    )


def _recoded(raw: Detected, policy: Policy) -> tuple[dict[str, Changed | None], Mask]:
    """The recoded columns, and the rows that no class takes."""
    proposer = Proposer(raw, from_policy(policy))
    found, place = proposer.recode(from_policy(policy))
    made: dict[str, Changed | None] = {}
    for attribute, levels in zip(proposer.attributes, found.levels.T, strict=True):
        if attribute.name not in proposer.recoded:
            continue
        column = next(column for column in raw.columns if column.name == attribute.name)
        values = column.coded.values
        hierarchy = proposer.choices[column.name]
        labels = [
            [None if value is None else hierarchies.text(value) for value in values.to_pylist()],
            *(
                hierarchies.labels(column.name, hierarchy, level, values)
                for level in range(1, hierarchy.height + 1)
            ),
        ]
        _require_told_apart(column.name, labels, cells(attribute))
        level = levels[place]
        codes = level * len(values) + column.coded.codes
        losses = np.stack([cell_loss(mapping) for mapping in attribute.maps])
        shown = pa.array([label for made_ in labels for label in made_], pa.string())
        made[column.name] = Changed(shown, codes, losses[level, column.coded.codes])
    return made, found.dropped[place]


def _require_told_apart(column: str, labels: Sequence[Sequence[str | None]], cell: Codes) -> None:
    """Rows of a recoded column stand at several levels, so a label must mean the same values wherever it stands."""
    means: dict[str | None, int] = {}
    for level, made in enumerate(labels):
        for code, label in enumerate(made):
            if means.setdefault(label, int(cell[level, code])) != cell[level, code]:
                raise PolicyRefused(
                    f"a label of column {column!r} means other values at level {level} than at a level below",
                    field=column,
                    rule="in local recoding a label tells what may stand behind it",
                    remedy="rename the group in the hierarchy, or generalize the column to one level",
                )


def _kept(table: Any, policy: Policy, persons: Mapping[str, Coded]) -> Mask:
    """Which rows stand in classes that are large and various enough, over the roles that the exchange will see."""
    seen = detect(table, about_persons=policy.for_persons)
    role = effective_roles(seen, policy)
    return enforcement_of(seen, role, policy, persons).kept(quasi_of(seen, role), table.num_rows)


def _more(policy: Policy) -> str:
    return f" and {len(policy.privacy)} more privacy models" if policy.privacy else ""


def _check_fit(raw: Detected, policy: Policy) -> None:
    present = [column.name for column in raw.columns]
    for name in present:
        if policy.column(name) is None:
            raise PolicyRefused(
                f"the table's column {name!r} is not in the policy",
                field=name,
                rule="a policy names every column of the table",
                remedy="run `exchange desensitize scan` on this table and have its policy authorized",
            )
    for column in policy.columns:
        if column.name not in present:
            raise PolicyRefused(
                f"the policy's column {column.name!r} is not in the table",
                field=column.name,
                rule="a policy names only columns of the table",
                remedy="check that this is the table that was scanned",
            )
    for finding in raw.findings:
        declared = policy.column(finding.column)
        assert declared is not None
        if finding.kind == "biometric" and not isinstance(declared.technique, Suppress):
            raise PolicyRefused(
                f"column {finding.column!r} holds biometric data",
                field=finding.column,
                rule="biometric data never crosses, whoever authorizes it (GB/T 35273-2020 annex B)",
                remedy="suppress the column",
            )
