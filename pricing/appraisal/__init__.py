"""What a data asset is worth: cost, income, market and residual approaches, with reasons, ranges and pictures.

    report = appraise(Inputs(…))    refuses what is missing or cannot be, by name
    report.value_fen                the conclusion; report.valued: each approach with its steps
    words(report, "zh")             the whole report as text
    tornado(report, "en")           pictures of what moves the value, and of its range, as SVG
    read_report(written)            a stranger computes it again from its bytes

`cost`, `income` and `comparison` hold the approaches, each with its formulas and their sources.
"""

from pricing.appraisal.approaches import Approach, Reason, Step
from pricing.appraisal.attributes import (
    InformationAttributes,
    LegalAttributes,
    ValueAttributes,
    attribute_words,
)
from pricing.appraisal.comparison import Comparable, Market, OtherAsset, Residual
from pricing.appraisal.cost import EQUAL_WEIGHTS_PPM, Cost, CostItem, CostKind, Factor
from pricing.appraisal.income import Charge, Direct, Excess, Income, Incremental, Relief, Share
from pricing.appraisal.pictures import distribution, tornado
from pricing.appraisal.report import (
    APPROACHES,
    Inputs,
    Report,
    Signature,
    Swing,
    Uncertain,
    Valued,
    appraise,
    claims,
    missing_attributes,
    read_report,
    recompute,
    require_signature,
    require_unclaimed,
    stream_key,
)
from pricing.appraisal.words import words

__all__ = [
    "APPROACHES",
    "EQUAL_WEIGHTS_PPM",
    "Approach",
    "Charge",
    "Comparable",
    "Cost",
    "CostItem",
    "CostKind",
    "Direct",
    "Excess",
    "Factor",
    "Income",
    "Incremental",
    "InformationAttributes",
    "Inputs",
    "LegalAttributes",
    "Market",
    "OtherAsset",
    "Reason",
    "Relief",
    "Report",
    "Residual",
    "Share",
    "Signature",
    "Step",
    "Swing",
    "Uncertain",
    "ValueAttributes",
    "Valued",
    "appraise",
    "attribute_words",
    "claims",
    "distribution",
    "missing_attributes",
    "read_report",
    "recompute",
    "require_signature",
    "require_unclaimed",
    "stream_key",
    "tornado",
    "words",
]
