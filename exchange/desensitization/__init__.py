"""The mask: finds what identifies a person in a table, generalizes it, measures the risk that is left.

A pure room that runs twice: inside the department, on raw data (`department.scan`, `department.desensitize`),
and at the exchange, on what arrives (`child.measure_in_child`, then `judge.judge`). Salts, keys and limits
are arguments; nothing here reads a clock, the environment or a random source, and nothing loads a server
or a database.

    errors limits findings policy grade judge verification scanned child    plain values: safe in the process that serves
    delimited columnar workbook source spool                   a table from CSV, Parquet or Excel, larger than memory
    classes lexicon recognizers detect screening hierarchies   arrays: only where a table is read
    criteria losses risk                                       what classes hold, and what making them costs
    lattice techniques declaration propose apply measure       the work
    department certificate report                              the acts, and what they hand on
"""

ENGINE_NAME = "exchange.desensitization"
ENGINE_VERSION = "2"
"""Rises with every change that can alter a finding, a figure or a product's bytes."""
