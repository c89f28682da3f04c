"""The mask: finds what identifies a person in a table, generalizes it, measures the risk that is left.

A pure room that runs twice: inside the department, on raw data (`scan`, `propose`, `apply`), and at the
exchange, on what arrives (`measure` in a child process, then `judge`). Salts, keys and limits are
arguments; nothing here reads a clock, the environment or a random source, and nothing here loads a
server or a database.

    errors · limits · findings · policy · grade · judge      plain values, no numpy: safe in the exchange's process
    source · recognizers · detect · hierarchies · risk       arrays: only where a table is read
    lattice · techniques · propose · apply · measure         the work itself
    certificate · report · child                             what is handed on, and the process that measures
"""

ENGINE_NAME = "exchange.desensitization"
ENGINE_VERSION = "1"
"""Rises with every change that can alter a finding, a figure or a product's bytes."""
