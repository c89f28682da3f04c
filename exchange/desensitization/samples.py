"""What a column becomes, shown without a value of the raw table: labels where they stand for many, forms where not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization.detection.detect import Column
from exchange.desensitization.detection.recognizers import form
from exchange.desensitization.hierarchies import text
from exchange.desensitization.policy import ColumnPolicy, Generalize, Pseudonymize, Recode, Suppress, Tokenize

_SAMPLES = 3


def becomes(product: Any, column: ColumnPolicy, raw: Column) -> list[str]:
    """Up to three samples of a column of the product, the most frequent first; none of a removed one.

    Labels of a hierarchy stand as they are, since each is shown by whole classes of rows, unless they are values of
    the raw column too; of these and of all else only the form is shown (`#` digit, `X`/`x` letter, `文` Han character).
    """
    match column.technique:
        case Suppress():
            return []
        case Pseudonymize():
            return ["psn-…"]
        case Tokenize():
            return ["tok-…"]
        case technique:
            counted = pc.value_counts(pc.drop_null(product.column(column.name).combine_chunks()))
            order = pc.sort_indices(counted.field("counts"), sort_keys=[("", "descending")])
            values = [str(value) for value in counted.field("values").take(order[:64]).to_pylist()]
            if not isinstance(technique, Recode) and not (
                isinstance(technique, Generalize) and technique.level > 0
            ):
                return list(dict.fromkeys(form(value) for value in values))[:_SAMPLES]
            itself = pc.is_in(pa.array(values, pa.string()), value_set=_texts(raw)).to_pylist()
            labels = (form(value) if own else value for value, own in zip(values, itself, strict=True))
            return list(dict.fromkeys(labels))[:_SAMPLES]


def _texts(raw: Column) -> Any:
    """The raw column's distinct values as labels write them."""
    return pa.array([text(value) for value in raw.distinct.to_pylist()], pa.string())
