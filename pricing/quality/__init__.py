"""Data quality after GB/T 36344-2018: six dimensions counted from the data itself, each with its evidence.

A dimension is a fraction A / B of judged things that hold, as in the standard's own formulas, and is pooled
over the rules declared for it. Nothing is assumed: what no declared rule and no value speaks to is *not
measured*, with the reason, and never counts as perfect.

======================  ==========================================================================
conformity 规范性        described columns, declared kinds, patterns, allowed values
completeness 完整性      required cells that hold a value
accuracy 准确性          declared ranges; keys that must be unique
consistency 一致性       comparisons between columns; columns that determine another
timeliness 时效性        age of the latest record against the promised update cycle; no future records
accessibility 可访问性   attempts to reach the data that succeeded, from a record of attempts
======================  ==========================================================================

Beside them stand the six value indicators of 深圳经济特区数据条例 (`measure_value`): timeliness, coverage,
completeness, variety, time span and depth, against a declared yardstick.

Scores are integers in parts per million, rounded down: one bad cell in ten million shows. A missing cell is
null, NaN, or text that is blank or a declared placeholder; it lowers completeness and is judged by nothing
else. The order of the rows and their chunks changes no bit of the result.
"""

from pricing.quality.declaration import (
    Access,
    Bound,
    Column,
    Compare,
    Declaration,
    Determines,
    Freshness,
    Kind,
    Relation,
    Yardstick,
)
from pricing.quality.measure import measure, measure_value
from pricing.quality.scores import (
    Because,
    Dimension,
    Evidence,
    Indicator,
    Measured,
    NotMeasured,
    Quality,
    ValueIndicators,
)

__all__ = [
    "Access",
    "Because",
    "Bound",
    "Column",
    "Compare",
    "Declaration",
    "Determines",
    "Dimension",
    "Evidence",
    "Freshness",
    "Indicator",
    "Kind",
    "Measured",
    "NotMeasured",
    "Quality",
    "Relation",
    "ValueIndicators",
    "Yardstick",
    "measure",
    "measure_value",
]
