"""Published discounts: the best that is met applies, to whoever meets it."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.discount import Buyer, Criterion, Discount, best
from pricing.errors import SaleError

PURPOSES, KINDS = ("industry", "research"), ("qualification", "identity")

buyers = st.builds(
    Buyer,
    st.integers(1, 12),
    st.integers(0, 6),
    st.sampled_from(("", *PURPOSES)),
    st.frozensets(st.sampled_from(KINDS)),
)


@st.composite
def registers(draw: st.DrawFn) -> list[Discount]:
    found = []
    for n in range(draw(st.integers(0, 5))):
        criterion, starts = draw(st.sampled_from(Criterion)), draw(st.integers(0, 8))
        counted = criterion in (Criterion.QUANTITY, Criterion.HISTORY)
        known = PURPOSES if criterion is Criterion.PURPOSE else KINDS
        words = () if counted else tuple(draw(st.sets(st.sampled_from(known), min_size=1)))
        found.append(
            Discount(
                f"dsc-{n}",
                criterion,
                draw(st.integers(1, 1_000_000)),
                starts,
                starts + draw(st.integers(1, 8)),
                draw(st.integers(1, 10)) if counted else 0,
                words,
            )
        )
    return found


@given(
    st.dictionaries(st.sampled_from("ABCDE"), buyers, min_size=2), registers(), st.integers(0, 16), st.data()
)
def test_exchanging_the_identities_of_like_buyers_changes_no_price(
    named: dict[str, Buyer], register: list[Discount], now: int, data: st.DataObject
) -> None:
    priced = {name: best(10_000, register, buyer, now) for name, buyer in named.items()}
    swapped = dict(zip(data.draw(st.sampled_from([*permutations(named)])), named.values(), strict=True))
    again = {name: best(10_000, register, buyer, now) for name, buyer in swapped.items()}
    for name, buyer in swapped.items():
        before = [priced[other] for other, same in named.items() if same == buyer]
        assert before
        assert all(one == again[name] for one in before)


@given(buyers, registers(), st.integers(0, 16), st.integers(0, 10**12))
def test_the_price_is_the_least_that_any_discount_in_force_gives_this_buyer(
    buyer: Buyer, register: list[Discount], now: int, full: int
) -> None:
    price, applied = best(full, register, buyer, now)
    least = min(
        [full, *(full * (1_000_000 - one.off_ppm) // 1_000_000 for one in register if one.met(buyer, now))]
    )
    assert price == least
    assert (applied is None) == (not any(one.met(buyer, now) for one in register))


@pytest.mark.parametrize(("licences", "met"), [(4, False), (5, True)])
@pytest.mark.parametrize(("now", "stands"), [(9, False), (10, True), (19, True), (20, False)])
def test_a_discount_holds_from_its_count_and_moment_on_and_until_its_end(
    licences: int, met: bool, now: int, stands: bool
) -> None:
    five = Discount("dsc", Criterion.QUANTITY, 100_000, 10, 20, 5)
    assert five.met(Buyer(licences), now) is (met and stands)


@pytest.mark.parametrize(
    ("criterion", "off", "at_least", "words", "ends", "field"),
    [
        (Criterion.QUANTITY, 1_000_000, 1, (), 2, None),
        (Criterion.QUANTITY, 1_000_001, 1, (), 2, "off_ppm"),
        (Criterion.QUANTITY, 0, 1, (), 2, "off_ppm"),
        (Criterion.HISTORY, 1, 0, (), 2, "at_least"),
        (Criterion.PURPOSE, 1, 0, (), 2, "words"),
        (Criterion.PURPOSE, 1, 1, ("research",), 2, "words"),
        (Criterion.QUANTITY, 1, 1, (), 1, "ends_us"),
    ],
)
def test_terms_that_are_none_are_refused_by_field(
    criterion: Criterion, off: int, at_least: int, words: tuple[str, ...], ends: int, field: str | None
) -> None:
    def made() -> Discount:
        return Discount("dsc", criterion, off, 1, ends, at_least, words)

    if field is None:
        assert best(999, [made()], Buyer(1), 1)[0] == 0
        return
    with pytest.raises(SaleError) as refused:
        made()
    assert refused.value.field == field
