"""One of each approach, for the tests of appraisals: small figures, every text said."""

from __future__ import annotations

from typing import Any, Final

from pricing.appraisal import (
    Charge,
    Comparable,
    Direct,
    Excess,
    Incremental,
    Market,
    OtherAsset,
    Relief,
    Residual,
    Share,
)

_INCOME: Final[dict[str, Any]] = {
    "stream": "tickets of line 3",
    "amounts_fen": (100_000_00, 110_000_00, 120_000_00),
    "amounts_source": "the plan of 2026",
    "discount_rate_ppm": 120_000,
    "discount_source": "built up from a bond",
}
DIRECT: Final = Direct(reason="the data is sold by itself", **_INCOME)
SHARE: Final = Share(
    reason="the data works in a product", share_ppm=200_000, share_source="a panel of three", **_INCOME
)
RELIEF: Final = Relief(
    reason="others license such data",
    royalty_ppm=50_000,
    royalty_source="three licences of 2025",
    upfront_fen=1_000_00,
    tax_rate_ppm=250_000,
    amortisation_years=3,
    **_INCOME,
)
EXCESS: Final = Excess(
    reason="the data is the leading asset",
    charges=(Charge("vehicles", (200_000_00, 190_000_00, 180_000_00), 80_000, "a valuation of 2025"),),
    timing="mid",
    **_INCOME,
)
INCREMENTAL: Final = Incremental(
    reason="routes are planned with it",
    without_fen=(90_000_00, 95_000_00, 100_000_00),
    without_source="the plan without it",
    **_INCOME,
)
INCOMES: Final = (DIRECT, SHARE, RELIEF, EXCESS, INCREMENTAL)
MARKET: Final = Market(
    reason="two similar sets were sold",
    comparables=(
        Comparable("trips", 300_000_00, "sale 17", "another city", date_ppm=950_000, weight_ppm=600_000),
        Comparable("trips", 280_000_00, "sale 21", "an older set", quality_ppm=1_100_000, weight_ppm=400_000),
        Comparable("stops", 20_000_00, "sale 22", "the same city", capacity_ppm=800_000),
    ),
)
RESIDUAL: Final = Residual(
    reason="the business was valued as a whole",
    whole_fen=2_000_000_00,
    whole_source="a valuation of 2025",
    others=(OtherAsset("vehicles", 1_200_000_00, "register"), OtherAsset("brand", 300_000_00, "a valuation")),
    share_ppm=600_000,
    share_source="a panel of three",
)
