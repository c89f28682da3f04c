"""The ways to a value: published examples to the cent, and every formula by hand in fractions."""

from dataclasses import replace
from fractions import Fraction
from math import isqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.appraisal import (
    APPROACHES,
    Approach,
    Charge,
    Comparable,
    Direct,
    Excess,
    Incremental,
    InformationAttributes,
    Inputs,
    LegalAttributes,
    Relief,
    Residual,
    Share,
    ValueAttributes,
    appraise,
)
from pricing.appraisal.approaches import Figures, root, silence
from pricing.errors import AppraisalError
from pricing.money import PPM
from tests.pricing.appraised import DIRECT, EXCESS, INCOMES, INCREMENTAL, MARKET, RELIEF, RESIDUAL, SHARE


def inputs(*approaches: Approach) -> Inputs:
    return Inputs(
        asset="A",
        purpose="p",
        valued_on="2026-01-01",
        approaches=approaches,
        information=InformationAttributes(*(["given"] * 7)),
        legal=LegalAttributes(*(["given"] * 7)),
        value=ValueAttributes(*(["given"] * 6)),
    )


def value(approach: Approach) -> int:
    return appraise(inputs(approach)).value_fen


def half_up(number: Fraction) -> int:
    return (number + Fraction(1, 2)).__floor__()


def direct(amounts: list[int], rate_ppm: int, **more: Any) -> Direct:
    return replace(DIRECT, amounts_fen=tuple(amounts), discount_rate_ppm=rate_ppm, **more)


# --- published examples ---


def test_three_years_of_a_hundred_at_ten_percent_are_33100000_over_1331_cents() -> None:
    """egtry.com, DCF valuation: the present value of the stream, given there as an exact fraction."""
    assert value(direct([10_000] * 3, 100_000)) == half_up(Fraction(33_100_000, 1331)) == 24_869


def test_ten_years_of_growing_cash_flows_at_nine_percent() -> None:
    """Morningstar course 404, Putting DCF into Action: millions, discounted year by year and shown whole."""
    flows = [57500, 66125, 76044, 87450, 100568, 105596, 110876, 116420, 122241, 128353]
    shown = [528, 557, 587, 620, 654, 630, 607, 584, 563, 542]
    report = appraise(inputs(direct(flows, 90_000)))
    each = [half_up(Fraction(flow, 100) / Fraction(109, 100) ** t) for t, flow in enumerate(flows, start=1)]
    assert [abs(ours - theirs) <= 1 for ours, theirs in zip(each, shown, strict=True)] == [True] * 10
    assert round(report.value_fen / 100, -1) == 5_870


def test_five_years_of_a_thousand_at_five_percent() -> None:
    """The Motley Fool, Present value: $4,329."""
    assert round(value(direct([100_000] * 5, 50_000)) / 100) == 4_329


def test_relief_from_royalty_with_the_tax_benefit_of_amortisation() -> None:
    """Intangible Asset Valuation (Mak, Yuen, Wu & Hu), ch. 4, in the wiki of its library: $194,163.77, which was rounded
    on the way; the exact value is 194,163.7634."""
    patent = replace(
        RELIEF,
        amounts_fen=(100_000_000, 110_000_000, 120_000_000, 130_000_000, 140_000_000),
        royalty_ppm=50_000,
        discount_rate_ppm=120_000,
        tax_rate_ppm=250_000,
        amortisation_years=5,
        upfront_fen=0,
    )
    assert value(patent) == 19_416_376


def test_excess_earnings_over_five_years_with_the_tax_benefit_of_amortisation() -> None:
    """The example of `mpeem` in the same library (ran 2.1.4): $600,049.19, rounded to cents on the way."""
    flows = (200_000_00, 220_000_00, 240_000_00, 260_000_00, 280_000_00)
    charged = (50_000_00, 52_000_00, 54_000_00, 56_000_00, 58_000_00)
    relationships = replace(
        EXCESS,
        amounts_fen=flows,
        charges=(Charge("all contributing assets", charged, PPM, "the example's total charge"),),
        discount_rate_ppm=120_000,
        tax_rate_ppm=250_000,
        amortisation_years=5,
        timing="end",
    )
    assert abs(value(relationships) - 600_049_19) <= 1


def test_excess_earnings_that_go_on_come_to_their_capitalised_value() -> None:
    """FinancialAnalystGuide.com, CFA II vol. 5, 15.2: earnings 180,000 less 10 % of 1,000,000, capitalised at 20 %
    to 400,000. Ours end after a hundred years at most, which the fen does not show."""
    retailer = replace(
        EXCESS,
        amounts_fen=(180_000_00,) * 100,
        charges=(Charge("building, fixtures, stock", (1_000_000_00,) * 100, 100_000, "appraised"),),
        discount_rate_ppm=200_000,
        timing="end",
    )
    assert value(retailer) == 400_000_00


# --- every formula by hand ---

amounts = st.lists(st.integers(0, 10**13), min_size=1, max_size=12)
rates = st.integers(0, PPM)


def present(flows: list[Fraction], rate_ppm: int) -> Fraction:
    """The slow twin: each flow by itself over the power of its year."""
    return sum(
        (flow / (1 + Fraction(rate_ppm, PPM)) ** t for t, flow in enumerate(flows, start=1)), Fraction(0)
    )


@settings(max_examples=40)
@given(amounts, rates, st.integers(0, PPM - 1), st.integers(0, 2 * PPM), st.integers(0, 15))
def test_income_equals_the_sum_of_discounted_flows_rounded_once(
    flows: list[int], rate: int, tax: int, level: int, years: int
) -> None:
    after = (1 - Fraction(tax, PPM)) * Fraction(level, PPM)
    exact = present([Fraction(flow) for flow in flows], rate) * after
    if years:
        exact /= 1 - Fraction(tax, PPM) * present([Fraction(1)] * years, rate) / years
    found = value(direct(flows, rate, tax_rate_ppm=tax, level_ppm=level, amortisation_years=years))
    assert found == half_up(exact)


@settings(max_examples=40)
@given(amounts, rates, rates, st.integers(0, 10**12), st.data())
def test_each_way_to_an_income_equals_its_formula(
    flows: list[int], rate: int, part: int, more: int, data: st.DataObject
) -> None:
    common: dict[str, Any] = {"amounts_fen": tuple(flows), "discount_rate_ppm": rate}
    plain = [Fraction(flow) for flow in flows]
    shared = present([flow * Fraction(part, PPM) for flow in plain], rate)
    assert value(replace(SHARE, share_ppm=part, **common)) == half_up(shared)
    relief = replace(
        RELIEF, royalty_ppm=part, upfront_fen=more, tax_rate_ppm=0, amortisation_years=0, **common
    )
    assert value(relief) == half_up(shared + more)
    less = tuple(data.draw(st.integers(0, flow)) for flow in flows)
    pairs = list(zip(plain, less, strict=True))
    rest = present([flow - other for flow, other in pairs], rate)
    assert value(replace(INCREMENTAL, without_fen=less, **common)) == half_up(rest)
    excess = present([flow - other * Fraction(part, PPM) for flow, other in pairs], rate)
    charges = (Charge("all else", less, part, "books"),)
    assert value(replace(EXCESS, charges=charges, timing="end", **common)) == half_up(excess)


@given(st.integers(0, 10**13), rates)
def test_money_that_comes_mid_year_is_worth_the_root_of_a_year_more(flow: int, rate: int) -> None:
    year = Fraction(PPM + rate, PPM)
    half = Fraction(isqrt(int(year * 10**24)), 10**12)
    assert abs(half * half - year) < Fraction(1, 10**11)
    assert value(direct([flow], rate, timing="mid")) == half_up(flow / year * half)


def test_market_and_residual_equal_their_formulas() -> None:
    trips = 300_000_00 * Fraction(95, 100) * Fraction(6, 10) + 280_000_00 * Fraction(11, 10) * Fraction(4, 10)
    assert value(MARKET) == half_up(trips + 20_000_00 * Fraction(8, 10))
    assert value(RESIDUAL) == (2_000_000_00 - 1_500_000_00) * 6 // 10


@pytest.mark.parametrize("approach", [*INCOMES, MARKET, RESIDUAL], ids=lambda each: each.approach)
def test_the_formula_gives_in_doubles_what_it_gives_exactly(approach: Approach) -> None:
    """One formula in two kinds of numbers: the range is drawn by the one that gives the value."""
    numbers = {path: float(figure) for path, figure in approach.figures().items()}
    drawn = approach.value(Figures(numbers, float), None, silence)
    assert float(drawn) == pytest.approx(value(approach), abs=0.51, rel=1e-12)


def test_every_figure_of_every_approach_moves_its_value() -> None:
    """A figure that is listed and does nothing would make a range too narrow."""
    for approach in (*INCOMES, MARKET, RESIDUAL):
        for path, figure in approach.figures().items():
            if path.startswith("tax_rate"):
                continue  # nothing of it is stated in most of these
            moved = {name: Fraction(each) for name, each in approach.figures().items()}
            moved[path] = Fraction(figure) * Fraction(9, 10)
            exact = {name: Fraction(each) for name, each in approach.figures().items()}
            before, after = (
                approach.value(Figures(each, Fraction), None, silence) for each in (exact, moved)
            )
            assert before != after, path


def test_the_root_of_doubles_is_that_of_the_processor() -> None:
    assert root(2.0) == 2.0**0.5
    assert root(Fraction(2)) == Fraction(1_414_213_562_373, 10**12)


# --- nonsense ---

NAN: Any = float("nan")
CHARGE = EXCESS.charges[0]
COMPARABLE = MARKET.comparables[0]


@pytest.mark.parametrize(
    ("approach", "field"),
    [
        (replace(DIRECT, stream=" "), "direct.stream"),
        (replace(DIRECT, amounts_source=""), "direct.amounts_source"),
        (replace(DIRECT, discount_source=""), "direct.discount_source"),
        (replace(DIRECT, amounts_fen=()), "direct.amounts_fen"),
        (replace(DIRECT, amounts_fen=(1,) * 101), "direct.amounts_fen"),
        (replace(DIRECT, amounts_fen=(1, -1)), "direct.amounts_fen[1]"),
        (replace(DIRECT, amounts_fen=(NAN,)), "direct.amounts_fen[0]"),
        (replace(DIRECT, discount_rate_ppm=PPM + 1), "direct.discount_rate_ppm"),
        (replace(DIRECT, discount_rate_ppm=-1), "direct.discount_rate_ppm"),
        (replace(DIRECT, tax_rate_ppm=PPM), "direct.tax_rate_ppm"),
        (replace(DIRECT, amortisation_years=101), "direct.amortisation_years"),
        (replace(DIRECT, level_ppm=-1), "direct.level_ppm"),
        (replace(DIRECT, amounts_fen=(2**63 - 1,) * 3), "direct: value_fen"),
        (replace(SHARE, share_ppm=PPM + 1), "share.share_ppm"),
        (replace(SHARE, share_source=""), "share.share_source"),
        (replace(RELIEF, royalty_ppm=-1), "relief.royalty_ppm"),
        (replace(RELIEF, royalty_source=""), "relief.royalty_source"),
        (replace(RELIEF, upfront_fen=-1), "relief.upfront_fen"),
        (replace(EXCESS, charges=()), "excess.charges"),
        (replace(EXCESS, charges=(replace(CHARGE, source=""),)), "excess.charges[0].source"),
        (replace(EXCESS, charges=(replace(CHARGE, asset_fen=(1,)),)), "excess.charges[0].asset_fen"),
        (replace(EXCESS, charges=(replace(CHARGE, return_ppm=PPM + 1),)), "excess.charges[0].return_ppm"),
        (replace(EXCESS, charges=(replace(CHARGE, return_ppm=PPM),)), "excess"),
        (replace(INCREMENTAL, without_source=""), "incremental.without_source"),
        (replace(INCREMENTAL, without_fen=(1,)), "incremental.without_fen"),
        (replace(INCREMENTAL, without_fen=(10**9,) * 3), "incremental"),
        (replace(MARKET, comparables=()), "market.comparables"),
        (replace(MARKET, comparables=(COMPARABLE,)), "market.comparables"),
        (
            replace(MARKET, comparables=(replace(COMPARABLE, value_fen=-1),)),
            "market.comparables[0].value_fen",
        ),
        (replace(MARKET, comparables=(replace(COMPARABLE, date_ppm=0),)), "market.comparables[0].date_ppm"),
        (replace(MARKET, comparables=(replace(COMPARABLE, part=""),)), "market.comparables[0].part"),
        (replace(RESIDUAL, whole_source=""), "residual.whole_source"),
        (replace(RESIDUAL, others=()), "residual.others"),
        (
            replace(RESIDUAL, others=(replace(RESIDUAL.others[0], value_fen=-1),)),
            "residual.others[0].value_fen",
        ),
        (replace(RESIDUAL, share_ppm=PPM + 1), "residual.share_ppm"),
        (replace(RESIDUAL, whole_fen=1), "residual"),
    ],
)
def test_nonsense_in_an_approach_is_refused_by_name(approach: Approach, field: str) -> None:
    with pytest.raises(AppraisalError) as refused:
        appraise(inputs(approach))
    assert refused.value.field == field
    assert refused.value.remedy


def test_rates_and_shares_have_a_bound_of_one_also_when_they_are_uncertain() -> None:
    bounded = {
        f"{each.approach}.{path}": each.most(path)
        for each in (*INCOMES, MARKET, RESIDUAL)
        for path in each.figures()
    }
    for name, most in bounded.items():
        kind, _, path = name.partition(".")
        if path.endswith("_ppm") and path not in ("level_ppm",) and kind != "market":
            assert most <= PPM, name
        else:
            assert most > PPM, name


def test_every_approach_has_its_own_name_and_formula() -> None:
    kinds = (Direct, Share, Relief, Excess, Incremental, Residual)
    assert set(kinds) < set(APPROACHES)
    assert len({kind.approach for kind in APPROACHES}) == len(APPROACHES)
    assert len({kind.names for kind in APPROACHES}) == len(APPROACHES)
    assert Comparable("p", 1, "s", "r").weight_ppm == PPM
