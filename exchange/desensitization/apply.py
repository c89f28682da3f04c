"""Carry out a policy on a whole table: columns changed, rows that would break k or l dropped, the rest measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exchange.desensitization.classes import Codes, distinct_per_class, encode, group
from exchange.desensitization.detect import Detected, detect, roles
from exchange.desensitization.errors import NotReached, PolicyRefused
from exchange.desensitization.findings import Role
from exchange.desensitization.judge import Risk
from exchange.desensitization.losses import cell_loss
from exchange.desensitization.measure import effective_roles, person_columns, risk_of
from exchange.desensitization.policy import Policy, Pseudonymize, Suppress
from exchange.desensitization.risk import MILLION, persons_per_class, share_ppm
from exchange.desensitization.techniques import transform


@dataclass(frozen=True, slots=True)
class Applied:
    """A desensitized table and what it cost. `loss_ppm` per raw column: 0 untouched, a million gone."""

    table: Any
    before: Risk
    suppressed_rows: int
    row_suppression_ppm: int
    loss_ppm: Mapping[str, int]


def apply_policy(raw: Detected, policy: Policy, key: bytes) -> Applied:
    """The product of a policy on a raw table, the same for the same table, policy and key.

    Rows of a product for persons are sorted by what they show, so that their order tells nothing about the
    raw table's; an exempt table keeps its order. Raises PolicyRefused where policy and table do not fit,
    NotReached where k and l would cost more rows than the policy allows.
    """
    _check_fit(raw, policy)
    rows = raw.columns[0].rows
    arrays: dict[str, Any] = {}
    losses: dict[str, Any] = {}
    for column in raw.columns:
        declared = policy.column(column.name)
        assert declared is not None  # _check_fit
        changed = transform(column, declared.technique, key)
        if changed is None:
            losses[column.name] = np.ones(rows)
            continue
        codes = column.coded.codes
        losses[column.name] = cell_loss(encode(changed).codes)[codes]
        arrays[column.name] = changed.take(pa.array(codes))
    table = pa.table(arrays)
    kept = np.ones(rows, dtype=bool) if policy.exempt_from_k else _kept(table, policy)
    dropped = rows - int(np.count_nonzero(kept))
    if dropped * MILLION > policy.suppression_limit_ppm * rows or dropped == rows:
        raise NotReached(
            f"k = {policy.k} and l = {policy.l} would drop {dropped} of {rows} rows",
            field="requirements.suppression_limit_ppm",
            rule=f"at most {policy.suppression_limit_ppm} rows in a million are dropped",
            remedy="generalize the quasi-identifiers further; `exchange desensitize scan` proposes how",
        )
    table = table.filter(pa.array(kept))
    if not policy.exempt_from_k:
        last = [column.name for column in policy.columns if isinstance(column.technique, Pseudonymize)]
        order = sorted(table.column_names, key=lambda name: (name in last, table.column_names.index(name)))
        table = table.sort_by([(name, "ascending") for name in order])
    return Applied(
        table=table.combine_chunks(),
        before=risk_of(raw, raw_roles(raw, policy), policy),
        suppressed_rows=dropped,
        row_suppression_ppm=share_ppm(dropped, rows),
        loss_ppm={
            name: share_ppm(round((float(loss[kept].sum()) + dropped) * MILLION), rows * MILLION)
            for name, loss in losses.items()
        },
    )


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


def _kept(table: Any, policy: Policy) -> Any:
    """Which rows stand in classes that are large and various enough, over the roles that the exchange will see."""
    seen = detect(table, about_persons=policy.for_persons)
    role = effective_roles(seen, policy)
    quasi: list[Codes] = [
        column.coded.codes for column in seen.columns if role[column.name] == "quasi_identifier"
    ]
    classes, sizes = group(quasi, table.num_rows)
    persons = [column.coded.codes for column in person_columns(seen, policy)]
    good = persons_per_class(classes, sizes, persons) >= policy.k
    for column in seen.columns:
        if role[column.name] == "sensitive":
            good &= distinct_per_class(classes, len(sizes), column.coded.codes) >= policy.l
    return good[classes]


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
