"""The risk of a table as one relational expression: the engine that holds the rows computes it, and hands back one row.

The expression is Ibis, compiled for DuckDB here; it keeps to what Spark's SQL has too (null-safe joins, windows, lists
of structs), so that a table on a cluster needs no other code. It groups the rows once, into the distinct tuples of
quasi-identifiers and sensitive values with their counts; all else happens to those.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import ibis
import pyarrow as pa
from ibis import _
from ibis.expr import types as ir

from exchange.desensitization.reading.limits import empty


@dataclass(frozen=True, slots=True)
class Held:
    """A sensitive column: whether its values lie on a line (NULL before all), and the table of their ancestors.

    The first column of `tree` holds the values, the others their ancestors from the nearest on, the root left out.
    """

    column: str
    ordered: bool = False
    tree: ir.Table | None = None


def risk(
    table: ir.Table,
    quasi: Sequence[str],
    sensitive: Sequence[Held] = (),
    persons: Sequence[str] = (),
    population: int | None = None,
) -> ir.Table:
    """One row of figures over the rows of a table; none where it is empty.

    `rows`, `classes`, `k`, `unique`, `found`, and `people`, `alone` and `drawn`, which Zayatz's estimate is made of (see
    `criteria.population_uniques`; where no population is stated, all of it was drawn); of the i-th sensitive column `si_distinct`, `si_entropy` (nats), `si_c` at l = `si_distinct`, `si_equal`, `si_ordered`,
    `si_hierarchical`, `si_most` and `si_least`: the largest and the smallest ratio of a value's share in a class to its
    share in the table. NULL is a value like others, and NaN is NULL.
    """
    keys = [f"q{place}" for place in range(len(quasi))] or ["all"]
    values = [f"s{place}" for place in range(len(sensitive))]
    heads = [f"p{place}" for place in range(len(persons))]
    columns = {key: _present(table[name]) for key, name in zip(keys, quasi, strict=False)} or {
        "all": ibis.literal(0)
    }
    columns |= {value: _present(table[held.column]) for value, held in zip(values, sensitive, strict=True)}
    columns |= {head: _present(table[name]) for head, name in zip(heads, persons, strict=True)}
    rows = table.select(**columns)
    tuples = rows.group_by([*keys, *values]).agg(n=rows.count().cast("float64"))
    if values:
        pairs = ibis.struct({name: tuples[name] for name in [*values, "n"]})
        classes = tuples.group_by(keys).agg(size=tuples.n.sum(), held=pairs.collect())
    else:
        classes = tuples.rename(size="n")
    whole = _classes(rows, classes.select(*keys, "size"), keys, heads, population)
    if not values:
        return whole
    numbered = classes.select("size", "held", owner=ibis.row_number())
    flat = numbered.select("owner", "size", one=numbered.held.unnest())
    flat = flat.select("owner", "size", **{name: flat.one[name] for name in [*values, "n"]})
    found = whole
    for value, held in zip(values, sensitive, strict=True):
        found = found.cross_join(_held(flat, whole.select("rows"), value, held, alone=len(values) == 1))
    return found


def _present(column: ir.Column) -> ir.Column:
    """NaN as NULL."""
    return column.isnan().ifelse(ibis.null(column.type()), column) if column.type().is_floating() else column


def _classes(
    rows: ir.Table, classes: ir.Table, keys: Sequence[str], heads: Sequence[str], population: int | None
) -> ir.Table:
    """What the sizes of the classes tell."""
    counted = classes.mutate(heads=classes["size"])
    for head in heads:
        # Two group-bys stand side by side, since a join over many columns would cost more.
        people = rows.select(*keys, head).distinct().group_by(keys).agg(heads=_.count().cast("float64"))
        both = counted.union(people.select(*keys, "heads", size=ibis.literal(0.0)).select(counted.columns))
        counted = both.group_by(keys).agg(size=both["size"].max(), heads=both.heads.min())
    sums = counted.agg(
        rows=counted["size"].sum(),
        classes=counted.count(),
        k=counted.heads.min(),
        unique=counted["size"].sum(where=counted.heads == 1).fill_null(0.0),
        found=(counted["size"] / counted.heads).sum(),
        people=counted.heads.sum(),
        alone=counted.count(where=counted.heads == 1),
    )
    sums = sums.filter(sums.classes > 0)
    fraction = ibis.literal(1.0) if population is None else ibis.least(sums.people / population, 1.0)
    each = counted.cross_join(sums.select(fraction=fraction))
    drawn = each.heads * each.fraction * (1 - each.fraction).pow(each.heads - 1)
    return sums.cross_join(each.agg(drawn=drawn.sum()))


def _held(flat: ir.Table, whole: ir.Table, value: str, held: Held, *, alone: bool) -> ir.Table:
    """What the values of one sensitive column tell, in one row."""
    pairs = flat.select("owner", "size", "n", value=flat[value])
    if not alone:
        pairs = pairs.group_by(["owner", "value"]).agg(size=_["size"].max(), n=_.n.sum())
    totals = pairs.group_by("value").agg(total=pairs.n.sum())
    if held.ordered:
        totals = _on_a_line(totals)
    if held.tree is not None:
        named = held.tree.rename({f"a{place}": name for place, name in enumerate(held.tree.columns)})
        totals = totals.left_join(named, totals.value.identical_to(named.a0)).drop("a0")
    joined = (
        pairs.join(totals, pairs.value.identical_to(totals.value))
        .drop("value_right")
        .cross_join(whole)
        .mutate(place=ibis.row_number().over(group_by="owner", order_by=ibis.desc("n")))
    )
    by_class = joined.group_by("owner").agg(
        distinct=joined.count(),
        size=joined["size"].max(),
        logs=(joined.n * joined.n.ln()).sum(),
        apart=_surplus(joined),
        most=(joined.n * joined.rows / (joined["size"] * joined.total)).max(),
        least=(joined.n * joined.rows / (joined["size"] * joined.total)).min(),
    )
    figures = by_class.agg(
        distinct=by_class["distinct"].min(),
        entropy=(by_class["size"].ln() - by_class.logs / by_class["size"]).min(),
        equal=by_class.apart.max(),
        most=by_class.most.max(),
        least=by_class.least.min(),
    )
    ranked = joined.cross_join(figures.select("distinct"))
    ranked = ranked.group_by("owner").agg(
        most=ranked.n.max(), tail=ranked.n.sum(where=ranked.place + 1 >= ranked["distinct"])
    )
    figures = figures.cross_join(ranked.agg(c=(ranked.most / ranked.tail).max()))
    if held.ordered:
        figures = figures.cross_join(_moved(joined, totals))
    if held.tree is not None:
        levels = [f"a{place}" for place in range(1, len(held.tree.columns))]
        figures = figures.cross_join(_climbed(joined, totals, by_class, levels))
    return figures.rename({f"{value}_{name}": name for name in figures.columns})


def _surplus(pairs: ir.Table) -> ir.Value:
    """Half the absolute difference of two distributions is the sum of what one has above the other."""
    above = pairs.n / pairs["size"] - pairs.total / pairs.rows
    return ibis.greatest(above, ibis.literal(0.0)).sum()


def _on_a_line(totals: ir.Table) -> ir.Table:
    """The totals with each value's place on the line from 1 on, the rows up to it, and those sums summed up in turn."""
    line = [ibis.asc(totals.value, nulls_first=True)]
    totals = totals.mutate(
        rank=(ibis.row_number().over(order_by=line) + 1).cast("float64"),
        upto=totals.total.cumsum(order_by=line),
    )
    return totals.mutate(area=totals.upto.cumsum(order_by="rank"))


def _moved(joined: ir.Table, totals: ir.Table) -> ir.Table:
    """The earth mover's distance on a line: the mean, over the cuts between values, of how far the shares below differ.

    Between two values that a class holds its share below the cut stays, and that of the table rises; where it
    passes the class's, the sign of the difference turns. That place is found for all at once, by one window over
    the shares of the classes and of the table together.
    """
    line = {"group_by": "owner", "order_by": "rank"}
    last = totals.agg(values=totals.count().cast("float64"), whole=totals.area.max())
    shares = joined.cross_join(last)
    shares = shares.mutate(
        below=shares.n.cumsum(**line),
        before=shares.area - shares.upto,
        next_rank=shares.rank.lead().over(**line),
        next_before=(shares.area - shares.upto).lead().over(**line),
        first=ibis.row_number().over(**line) == 0,
    )
    shares = shares.select(
        "owner",
        "rank",
        "rows",
        "before",
        "first",
        "values",
        key=shares.below * shares.rows / shares["size"],
        end=ibis.coalesce(shares.next_rank - 1, shares["values"]),
        until=ibis.coalesce(shares.next_before, shares.whole),
        kind=ibis.literal(1, "int8"),
        passed=ibis.null("float64"),
        area=ibis.null("float64"),
    )
    nothing = {
        name: ibis.null(shares[name].type())
        for name in ("owner", "rank", "rows", "before", "first", "values", "end", "until")
    }
    marks = totals.select(
        **nothing, key=totals.upto, kind=ibis.literal(0, "int8"), passed=totals.rank, area=totals.area
    )
    both = shares.union(marks.select(shares.columns))
    order = {"order_by": ["key", "kind"]}
    both = both.mutate(passed=both.passed.cummax(**order), area=both.area.cummax(**order))
    cuts = both.filter(both.kind == 1)
    share = cuts.key
    turn = ibis.least(ibis.greatest(ibis.coalesce(cuts.passed, 0.0), cuts.rank - 1), cuts.end)
    area = ibis.least(ibis.greatest(ibis.coalesce(cuts.area, 0.0), cuts.before), cuts.until)
    moved = (2 * turn - cuts.rank + 1 - cuts.end) * share - 2 * area + cuts.before + cuts.until
    moved += cuts["first"].ifelse(cuts.before, 0.0)
    steps = ibis.greatest(cuts["values"] - 1, ibis.literal(1.0)) * cuts.rows
    by_class = cuts.select("owner", moved=moved / steps)
    by_class = by_class.group_by("owner").agg(moved=by_class.moved.sum())
    return by_class.agg(ordered=by_class.moved.max())


def _climbed(joined: ir.Table, totals: ir.Table, by_class: ir.Table, levels: Sequence[str]) -> ir.Table:
    """The earth mover's distance on a tree whose leaves are `height` below its root: the mean, over the levels below
    the root, of the equal distance between what the values become there.

    This is Li et al.'s sum (2007, section 4.2) in another order: at each inner node the lesser of surplus and need is
    half the children's differences less the node's own, and the sum over all levels telescopes.
    """
    height = len(levels) + 1
    parts = by_class.select("owner", apart=by_class.apart / height)
    for level in levels:
        made = joined.group_by(["owner", level]).agg(
            n=joined.n.sum(), size=joined["size"].max(), rows=joined.rows.max()
        )
        whole = totals.group_by(level).agg(total=totals.total.sum())
        above = made.join(whole, made[level].identical_to(whole[level]))
        above = above.group_by("owner").agg(apart=_surplus(above) / height)
        parts = parts.union(above)
    parts = parts.group_by("owner").agg(apart=parts.apart.sum())
    return parts.agg(hierarchical=parts.apart.max())


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """A DuckDB database of one's own, which spills to a folder that goes with it and takes as many threads as Arrow."""
    with (
        tempfile.TemporaryDirectory(prefix="classes-") as folder,
        duckdb.connect(config={"temp_directory": folder, "threads": pa.cpu_count()}) as connection,
    ):
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        yield connection


_MEMORY = "3GB"


def table(connection: Any, name: str) -> ir.Table:
    """A table or view that a DuckDB connection knows, for expressions over it."""
    schema = connection.table(name).limit(0).to_arrow_table().schema
    return ibis.table(ibis.Schema.from_pyarrow(schema), name=name)


def evaluate(connection: Any, expression: ir.Table) -> Mapping[str, Any]:
    """The one row of an expression over tables that the connection knows. Raises UnreadableTable where there is none."""
    from ibis.backends.sql.compilers.duckdb import compiler

    found = connection.sql(compiler.to_sqlglot(expression).sql("duckdb")).to_arrow_table().to_pylist()
    if not found:
        raise empty()
    return dict(found[0])
