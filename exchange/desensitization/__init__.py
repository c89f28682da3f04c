"""The mask: finds what identifies a person in a table, generalizes it, measures the risk that is left.

A pure room that runs twice: inside the department, on raw data (`scan`, `plan`, `apply`, `verify`),
and at the exchange, on what arrives (`child.measure_in_child`, then `judge.judge`). Salts, keys and limits
are arguments; nothing here reads a clock, the environment or a random source, and nothing loads a server
or a database.

    errors grade judge verification scanned child   plain values: safe in the process that serves; with them
    policy/       what is done to each column, as data: members, requirements, declaration, hierarchy files, schema
    reading/      a table from CSV, Parquet or Excel, larger than memory
    detection/    what a column is: findings, lexicon, recognizers
    hierarchies/  what values become: intervals, dates, divisions; what stands in where none is declared
    search/       classes, what they must hold, what making them costs, the lattice and local recoding
    techniques microaggregation risk expression enforcement indices screening   what is done, and what is left
    propose frontier product measure samples   the work
    department certificate pictures report commented   the acts, and what they hand on

The four acts are loaded at their first use, so that the process that serves takes the plain values alone.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.desensitization.department import apply, plan, scan, verify

__all__ = ["ENGINE_NAME", "ENGINE_VERSION", "apply", "plan", "scan", "verify"]

ENGINE_NAME = "exchange.desensitization"
ENGINE_VERSION = "3"
"""Rises with every change that can alter a finding, a figure or a product's bytes."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        from exchange.desensitization import department

        return getattr(department, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
