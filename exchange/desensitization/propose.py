"""Propose a policy that holds what is asked with the least loss, from what was detected and what was declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from exchange.desensitization import hierarchies
from exchange.desensitization.detection.detect import Column, Detected, roles
from exchange.desensitization.detection.findings import Role
from exchange.desensitization.enforcement import Enforcement, quality_of
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.hierarchies.defaults import default_hierarchy
from exchange.desensitization.measure import whose
from exchange.desensitization.policy import (
    KEYED,
    ColumnPolicy,
    Generalize,
    Hierarchy,
    Keep,
    Policy,
    Pseudonymize,
    Recode,
    Suppress,
    Technique,
    check,
)
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.policy.requirements import require_columns
from exchange.desensitization.risk import MILLION, millionths_up, share_ppm
from exchange.desensitization.search.classes import Coded, Codes, encode, numbered
from exchange.desensitization.search.lattice import Lattice, Nodes, Solution, search
from exchange.desensitization.search.local import Recoded, recode
from exchange.desensitization.search.losses import Attribute, Value, cell_loss
from exchange.desensitization.techniques import KEY_BYTES, Changed, carry_out

_NUMBERED_PERSONS = ("person_identifier", "row_identifier")
"""Numbers by which a buyer and the department can speak of a row; a keyed pseudonym keeps that use."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy and how it was found; `solution` is none where there was nothing to generalize."""

    policy: Policy
    solution: Solution | None


@dataclass(frozen=True, slots=True)
class Left:
    """What a solution leaves of the raw table, before it is carried out; shares in parts per million."""

    loss: Value
    optimal: bool
    dropped_rows: int
    classes: int
    prosecutor_ppm: int
    marketer_ppm: int
    loss_ppm: Mapping[str, int]


class Proposer:
    """A raw table under a declaration, ready to be searched with one demand after the other: the classes are found once.

    Declared techniques stay as they are. Raises PolicyRefused where the declaration names no column of the table
    or does not fit it.
    """

    def __init__(self, raw: Detected, declaration: Declaration) -> None:
        for name in declaration.columns:
            if all(column.name != name for column in raw.columns):
                raise PolicyRefused(
                    f"the table has no column {name!r}",
                    field=f"columns.{name}",
                    rule="a declaration names columns of the table",
                    remedy=f"the columns are {', '.join(column.name for column in raw.columns)}",
                )
        self.raw = raw
        self.rows = raw.columns[0].rows
        self.declaration = declaration
        self.role = roles(raw, declaration.roles)
        self.techniques = {
            column.name: _technique(raw, column, self.role[column.name], declaration)
            for column in raw.columns
        }
        # Under a key of zeros: what a keyed technique makes differs by its key, but not which rows it makes alike.
        self._changed = carry_out(
            raw,
            {name: technique for name, technique in self.techniques.items() if technique is not None},
            bytes(KEY_BYTES),
        )
        self.choices: dict[str, Hierarchy] = {}
        self.recoded: set[str] = set()
        self.attributes: list[Attribute] = []
        quasi = []
        for column in raw.columns:
            technique = self.techniques[column.name]
            # A masked or generalized direct identifier still tells people apart, and is searched as what it became.
            left = self.role[column.name] == "direct_identifier" and not isinstance(
                technique, Suppress | KEYED
            )
            if self.role[column.name] != "quasi_identifier" and not left:
                continue
            if technique is None or isinstance(technique, Recode):
                if technique is None:
                    hierarchy = _declared_hierarchy(declaration, column.name) or default_hierarchy(
                        column, _kind(raw, column)
                    )
                else:
                    hierarchy = technique.hierarchy
                if technique is not None or declaration.generalization == "local":
                    self.recoded.add(column.name)
                self.choices[column.name] = hierarchy
                self.attributes.append(Attribute(column.name, _maps(column, hierarchy)))
                quasi.append(column.coded.codes)
            else:
                mapping, codes = _fixed(column, self._changed[column.name])
                self.attributes.append(Attribute(column.name, (mapping,)))
                quasi.append(codes)
        crossing = {
            column.name
            for column in raw.columns
            if self.role[column.name] == "sensitive"
            and not isinstance(self.techniques[column.name], Suppress)
        }
        require_columns(declaration.privacy, declaration.loss, crossing.__contains__, self.role.__contains__)
        self._sensitive = {
            column.name: _crossing(column, self._changed.get(column.name))
            for column in raw.columns
            if column.name in crossing
        }
        # A pseudonym that never comes twice adds nothing to counting rows, and would undo the saving of distinct tuples.
        self._persons = {
            **whose(raw),
            **{
                column.name: column.coded
                for column in raw.columns
                if isinstance(self.techniques[column.name], KEYED) and not _never_twice(column)
            },
        }
        self._nodes: Nodes | None = None
        if self.attributes:
            table, self._place = self._enforcement(declaration).tuples(quasi, self.rows)
            self._nodes = Nodes(self.attributes, table)

    def search(
        self, declaration: Declaration, progress: Callable[[int, int], None] | None = None
    ) -> Solution | None:
        """The node of least loss that holds the demands of a declaration with these columns; none where nothing is searched.

        A model that compares classes with the table is searched on the raw table's shares and judged on those of
        the rows that cross. Where dropping rows moves them so far that too many more would have to go, fewer rows
        may be dropped, in the end none: the node found then holds, and is not said to be optimal. Raises
        PolicyRefused where the demands cannot be reached.
        """
        if self._nodes is None:
            return None
        enforcement = self._enforcement(declaration)
        quality = quality_of(declaration.loss, [attribute.name for attribute in self.attributes])
        allowed = limit = self.rows * declaration.suppression_limit_ppm // MILLION
        whole = enforcement.demands(self._nodes.table.finest)
        while True:
            found = search(Lattice(self._nodes, whole, allowed, quality), progress)
            if not declaration.privacy:
                return found
            classes = self._nodes.classes(found.levels)
            dropped = int(classes.sizes[~enforcement.stay(classes)].sum())
            if dropped <= limit:
                return replace(found, dropped_rows=dropped, optimal=found.optimal and allowed == limit)
            # At none dropped the two tables are one.
            allowed //= 2

    def recode(self, declaration: Declaration) -> tuple[Recoded, Codes]:
        """The local recoding of the searched columns that holds the demands, and the tuple of each row.

        A column that is not to be recoded is searched along with the others and may stand at several levels: for
        a policy, in which nothing is left to search, that cannot be. Raises PolicyRefused as `search` does.
        """
        assert self._nodes is not None  # a recoded column is an attribute
        enforcement = self._enforcement(declaration)
        quality = quality_of(declaration.loss, [attribute.name for attribute in self.attributes])
        allowed = limit = self.rows * declaration.suppression_limit_ppm // MILLION
        finest = self._nodes.table.finest
        demands = enforcement.demands(finest)
        while True:
            found = recode(Lattice(self._nodes, demands, allowed, quality))
            kept = ~found.dropped
            place, number = numbered([found.classes[kept]], int(kept.sum()))
            classes = finest.only(kept).merged(place, number)
            gone = int(classes.sizes[~enforcement.stay(classes)].sum())
            if found.dropped_rows + gone <= limit or not allowed:
                return found, self._place
            # As in `search`: what is compared with the table is compared with the one that crosses.
            allowed //= 2

    def left(self, declaration: Declaration, solution: Solution) -> Left:
        """What is left where a solution of these demands is carried out, and what each searched column loses.

        Where columns are recoded locally, the solution is where that begins, and what it comes to is told.
        """
        assert self._nodes is not None
        nodes, finest = self._nodes, self._nodes.table.finest
        if self.recoded:
            found, _ = self.recode(declaration)
            # Rows that no class takes are dropped before what is left is judged.
            taken, levels, loss, optimal = ~found.dropped, found.levels, found.loss, False
            place, number = numbered([found.classes[taken]], int(taken.sum()))
        else:
            taken = np.ones(len(finest), dtype=bool)
            levels = np.tile(np.array(solution.levels, dtype=np.int64), (len(finest), 1))
            loss, optimal = solution.loss, solution.optimal
            place, number = nodes.places(solution.levels), len(nodes.classes(solution.levels))
        classes = finest.only(taken).merged(place, number)
        stays = self._enforcement(declaration).stay(classes)
        heads = classes.sizes
        for name in self._persons:
            heads = np.minimum(heads, classes.held[name].distinct(len(classes)))
        rows = int(classes.sizes[stays].sum())
        kept = np.zeros(len(finest), dtype=np.int64)
        kept[taken] = np.where(stays[place], finest.sizes[taken], 0)
        gone = self.rows - rows
        lost = {}
        for attribute, level, codes in zip(self.attributes, levels.T, nodes.table.codes, strict=True):
            if attribute.name in self.choices:
                losses = np.stack([cell_loss(mapping) for mapping in attribute.maps])
                lost[attribute.name] = float(np.dot(losses[level, codes], kept)) + gone
        return Left(
            loss=loss,
            optimal=optimal,
            dropped_rows=gone,
            classes=int(np.count_nonzero(stays)),
            prosecutor_ppm=share_ppm(1, int(heads[stays].min())) if rows else 0,
            marketer_ppm=millionths_up(float((classes.sizes / heads)[stays].sum()) / rows) if rows else 0,
            loss_ppm={
                name: share_ppm(round(loss * MILLION), self.rows * MILLION) for name, loss in lost.items()
            },
        )

    def policy(self, declaration: Declaration, solution: Solution | None) -> Policy:
        """The policy that a solution comes to."""
        techniques = dict(self.techniques)
        if solution is not None:
            for attribute, level in zip(self.attributes, solution.levels, strict=True):
                if attribute.name in self.recoded:
                    techniques[attribute.name] = Recode(self.choices[attribute.name])
                elif attribute.name in self.choices:
                    techniques[attribute.name] = _at_level(self.choices[attribute.name], level)
        policy = Policy(
            columns=tuple(
                ColumnPolicy(column.name, self.role[column.name], techniques[column.name] or Keep())
                for column in self.raw.columns
            ),
            k=declaration.k,
            l=declaration.l,
            suppression_limit_ppm=declaration.suppression_limit_ppm,
            exempt_from_k=not self.raw.about_persons
            and all(found not in ("direct_identifier", "quasi_identifier") for found in self.role.values()),
            privacy=declaration.privacy,
            loss=declaration.loss,
        )
        check(policy)
        return policy

    def _enforcement(self, declaration: Declaration) -> Enforcement:
        return Enforcement(declaration, self._sensitive, self._persons)


def propose(
    raw: Detected, declaration: Declaration, progress: Callable[[int, int], None] | None = None
) -> Proposal:
    """The policy of least loss that holds the declared demands. Declared techniques stay as they are.

    A table in which no person column is found or declared gets the exemption from k, to be assessed and
    authorized. Raises PolicyRefused where the demands cannot be reached or the declaration names no column.
    """
    proposer = Proposer(raw, declaration)
    solution = proposer.search(declaration, progress)
    return Proposal(proposer.policy(declaration, solution), solution)


def _technique(raw: Detected, column: Column, role: Role, declaration: Declaration) -> Technique | None:
    """The technique that is declared or follows from the role; none where the search decides."""
    declared = declaration.columns.get(column.name)
    if declared is not None and declared.technique is not None:
        return declared.technique
    finding = raw.finding(column.name)
    match role:
        case "direct_identifier":
            numbered = finding is not None and finding.kind in _NUMBERED_PERSONS
            # Rows joined under one pseudonym are a trail, which k over single rows does not measure:
            # that is for the department to declare.
            return Pseudonymize() if numbered and _never_twice(column) else Suppress()
        case "quasi_identifier":
            return None
        case "sensitive":
            return Suppress() if finding is not None and finding.kind == "free_text" else Keep()
        case "other":
            return Keep()


def _crossing(column: Column, changed: Changed | None) -> Coded:
    """A sensitive column as it will cross: rounding or masking may make values alike."""
    if changed is None:
        return column.coded
    shown = encode(changed.values)
    return Coded(shown.codes[changed.codes], shown.values)


def _kind(raw: Detected, column: Column) -> str:
    finding = raw.finding(column.name)
    return finding.kind if finding is not None else "none"


def _never_twice(column: Column) -> bool:
    return column.coded.cardinality == column.rows


def _declared_hierarchy(declaration: Declaration, name: str) -> Hierarchy | None:
    declared = declaration.columns.get(name)
    return declared.hierarchy if declared is not None else None


def _maps(column: Column, hierarchy: Hierarchy) -> tuple[Codes, ...]:
    values = column.coded.values
    maps = [np.arange(len(values), dtype=np.int64)]
    for level in range(1, hierarchy.height + 1):
        made = hierarchies.labels(column.name, hierarchy, level, values)
        maps.append(encode(pa.array(made, pa.string())).codes)
    return tuple(maps)


def _fixed(column: Column, changed: Changed | None) -> tuple[Codes, Codes]:
    """What a declared technique makes of the values, and the value of each row; of the rows where it looks at rows."""
    if changed is None:
        return np.zeros(len(column.coded.values), dtype=np.int64), column.coded.codes
    return encode(changed.values).codes, changed.codes


def _at_level(hierarchy: Hierarchy, level: int) -> Technique:
    if level == 0:
        return Keep()
    return Suppress() if level == hierarchy.height else Generalize(hierarchy, level)
