"""Equivalence classes over the quasi-identifiers and the figures that follow from them; NULL is a value of its own.

Two ways to the same figures. Columns that are coded in memory are grouped and measured there, by the functions that
the search's criteria use; what is larger, or lies in a database or a file, is one expression for the engine that
holds it (`expression`), and only a row of figures comes back. Both say the same to the last part in a million.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from exchange.desensitization.judge import Disclosure, Risk
from exchange.desensitization.reading.limits import empty
from exchange.desensitization.search.classes import Classes, Codes, distinct_per_class, tuples
from exchange.desensitization.search.criteria import (
    Equal,
    Hierarchical,
    Ordered,
    earth_movers,
    entropy,
    ranked,
    ratio,
)

if TYPE_CHECKING:
    from exchange.desensitization.expression import Held

MILLION = 1_000_000
IN_MEMORY_ROWS = 2_000_000
"""With more rows than this DuckDB, and the time to load it, cost less than to group in memory."""

Figures = Mapping[str, float | None]
"""The figures of `expression.risk`, by their names there."""


@dataclass(frozen=True, slots=True)
class Sensitive:
    """A coded sensitive column. `ordered` codes rise with the values, NULL's below all; `paths[code]` are a value's
    ancestors from the nearest on, the root left out."""

    name: str
    codes: Codes
    ordered: bool = False
    paths: tuple[tuple[str, ...], ...] | None = None


def persons_per_class(classes: Codes, sizes: Codes, persons: Sequence[Codes]) -> Codes:
    """How many persons each class holds: its rows, or fewer where a pseudonym shows that rows are of one person."""
    fewest = sizes
    for codes in persons:
        fewest = np.minimum(fewest, distinct_per_class(classes, len(sizes), codes))
    return fewest


def measure_risk(
    quasi: Sequence[tuple[str, Codes]],
    sensitive: Sequence[Sensitive],
    persons: Sequence[Codes],
    rows: int,
    population: int | None = None,
) -> Risk:
    """The risk over coded columns; a column that is both is only a quasi-identifier.

    `population` is how many persons those of the table were drawn from; none stated, they are taken for all there
    are. Raises UnreadableTable where there are no rows: no risk can be measured on them.
    """
    if not rows:
        raise empty()
    names = tuple(name for name, _ in quasi)
    codes = [codes for _, codes in quasi]
    held = [column for column in sensitive if column.name not in names]
    figured = _in_duckdb if rows > IN_MEMORY_ROWS else _in_memory
    figures = figured(codes, held, persons, rows, population)
    return _risk(names, [column.name for column in held], population, figures)


def measure_relation(
    connection: Any,
    relation: str,
    quasi: Sequence[str],
    sensitive: Sequence[Held] = (),
    persons: Sequence[str] = (),
    population: int | None = None,
) -> Risk:
    """The same of a table or view that a DuckDB connection knows, however large, on disk or in memory."""
    from exchange.desensitization import expression

    held = [column for column in sensitive if column.column not in quasi]
    found = expression.risk(expression.table(connection, relation), quasi, held, persons, population)
    figures = expression.evaluate(connection, found)
    return _risk(tuple(quasi), [column.column for column in held], population, figures)


def _in_memory(
    quasi: Sequence[Codes],
    sensitive: Sequence[Sensitive],
    persons: Sequence[Codes],
    rows: int,
    population: int | None,
) -> Figures:
    coded = {column.name: column.codes for column in sensitive}
    table, place = tuples(quasi, coded, np.ones(rows, dtype=np.int64))
    classes = table.finest
    heads = persons_per_class(place, classes.sizes, persons)
    people = int(heads.sum())
    fraction = 1.0 if population is None else min(1.0, people / population)
    figures: dict[str, float | None] = {
        "rows": rows,
        "classes": len(classes),
        "k": int(heads.min()),
        "unique": int(classes.sizes[heads == 1].sum()),
        "found": float((classes.sizes / heads).sum()),
        "people": people,
        "alone": int(np.count_nonzero(heads == 1)),
        "drawn": float((heads * fraction * (1 - fraction) ** (heads - 1)).sum()),
    }
    for number, column in enumerate(sensitive):
        figures |= {f"s{number}_{name}": found for name, found in _held(column, classes).items()}
    return figures


def _held(column: Sensitive, classes: Classes) -> Figures:
    held, sizes = classes.held[column.name], classes.sizes
    distinct = int(held.distinct(len(sizes)).min())
    most, tail = ranked(held, len(sizes), distinct)
    ratios = ratio(held, sizes)
    figures: dict[str, float | None] = {
        "distinct": distinct,
        "entropy": float(entropy(held, sizes).min()),
        "c": float((most / tail).max()),
        "equal": float(earth_movers(held, sizes, Equal()).max()),
        "most": float(ratios.max()),
        "least": float(ratios.min()),
    }
    if column.ordered:
        line = Ordered(tuple(range(len(held.total))))
        figures["ordered"] = float(earth_movers(held, sizes, line).max())
    if column.paths is not None:
        figures["hierarchical"] = float(earth_movers(held, sizes, Hierarchical(column.paths)).max())
    return figures


def _in_duckdb(
    quasi: Sequence[Codes],
    sensitive: Sequence[Sensitive],
    persons: Sequence[Codes],
    rows: int,
    population: int | None,
) -> Figures:
    from exchange.desensitization import expression

    columns = {f"q{number}": codes for number, codes in enumerate(quasi)}
    columns |= {f"s{number}": column.codes for number, column in enumerate(sensitive)}
    columns |= {f"p{number}": codes for number, codes in enumerate(persons)}
    columns = columns or {"q": np.zeros(rows, dtype=np.int64)}
    held = []
    with expression.connected() as connection:
        connection.register("coded", pa.table(columns))
        for number, column in enumerate(sensitive):
            tree = None
            if column.paths is not None:
                connection.register(f"tree{number}", _tree(column.paths))
                tree = expression.table(connection, f"tree{number}")
            held.append(expression.Held(f"s{number}", column.ordered, tree))
        found = expression.risk(
            expression.table(connection, "coded"),
            [f"q{number}" for number in range(len(quasi))],
            held,
            [f"p{number}" for number in range(len(persons))],
            population,
        )
        return expression.evaluate(connection, found)


def _tree(paths: tuple[tuple[str, ...], ...]) -> Any:
    """Codes and their ancestors, each told by its path from the root: names may come again elsewhere in the tree."""
    columns: dict[str, Any] = {"value": np.arange(len(paths))}
    for level in range(len(paths[0])):
        known: dict[tuple[str, ...], int] = {}
        columns[f"level{level}"] = [known.setdefault(path[level:], len(known)) for path in paths]
    return pa.table(columns)


def _risk(names: tuple[str, ...], held: Sequence[str], population: int | None, figures: Figures) -> Risk:
    def number(name: str) -> float:
        found = figures[name]
        assert found is not None, name
        return found

    rows, classes, k = int(number("rows")), int(number("classes")), int(number("k"))
    people, alone, drawn = number("people"), number("alone"), number("drawn")
    unique = int(number("unique"))
    fraction = 1.0 if population is None else min(1.0, people / population)
    return Risk(
        quasi_identifiers=names,
        rows=rows,
        classes=classes,
        k=k,
        l=tuple((name, int(number(f"s{place}_distinct"))) for place, name in enumerate(held)),
        unique_rows=unique,
        prosecutor_ppm=share_ppm(1, k),
        marketer_ppm=millionths_up(number("found") / rows),
        uniqueness_ppm=share_ppm(unique, rows),
        population=population,
        # Zayatz's estimate, see `criteria.population_uniques`, as a share of the persons.
        population_uniqueness_ppm=millionths_up(alone * alone * fraction / drawn / people) if alone else 0,
        disclosure=tuple(
            Disclosure(
                column=name,
                distinct_l=int(number(f"s{place}_distinct")),
                entropy_l_micro=millionths_down(math.exp(number(f"s{place}_entropy"))),
                recursive_c_micro=millionths_up(number(f"s{place}_c")),
                t_equal_ppm=millionths_up(number(f"s{place}_equal")),
                t_ordered_ppm=_or_none(figures.get(f"s{place}_ordered")),
                t_hierarchical_ppm=_or_none(figures.get(f"s{place}_hierarchical")),
                beta_micro=millionths_up(number(f"s{place}_most") - 1),
                delta_micro=millionths_up(
                    max(math.log(number(f"s{place}_most")), -math.log(number(f"s{place}_least")))
                ),
            )
            for place, name in enumerate(held)
        ),
    )


def _or_none(share: float | None) -> int | None:
    return None if share is None else millionths_up(share)


def share_ppm(part: int, whole: int) -> int:
    """A share in parts per million, rounded up: a risk is never understated."""
    return -(-part * MILLION // whole)


def millionths_up(figure: float) -> int:
    """A risk in millionths, rounded up; what is whole but for the noise of floating point stays as it is."""
    return math.ceil(figure * MILLION - _noise(figure))


def millionths_down(figure: float) -> int:
    """A protection in millionths, rounded down likewise."""
    return math.floor(figure * MILLION + _noise(figure))


def _noise(figure: float) -> float:
    return 1e-6 * max(1.0, abs(figure))
