"""The rulebook: every figure with its source, a digest that changes with any of it, versions that replace one another."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any

import pytest
import rfc8785

from exchange.errors import Misconfigured
from exchange.rulebook import OWN, PRESETS, Rule, Rulebook, differences, load, parse

RULE = b'version = "x@1"\n[rules.auction]\na_ppm = { value = 1, source = "s", clause = "c", effective = "2026-01-01", verified = true }\n'


@pytest.mark.parametrize("profile", ["cn-venue", "generic"])
def test_every_figure_states_value_unit_source_and_date(profile: str) -> None:
    rules = load(profile)
    assert rules.version.startswith(f"{profile}@")
    assert re.fullmatch("[0-9a-f]{64}", rules.digest)
    for name, rule in rules.rules.items():
        assert rule.name == name
        assert rule.source
        assert rule.source in rule.cite()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", rule.effective)
        assert rule.verified == rule.own  # no law's text was read; the venue's own was
        if type(rule.value) is int:
            unit = r"_(ppm|us|fen|days|months|years|decimals|day)$|_at_(least|most)(_|$)|_days_before$|_every_months$"
            assert re.search(unit, name), name


def test_the_statutory_figures_are_what_their_clauses_say() -> None:
    rules = load("cn-venue")
    assert rules.value("auction.open_at_least_us") == 24 * 3600 * 10**6
    assert (
        rules.value("auction.soft_close_window_us")
        == rules.value("auction.soft_close_extension_us")
        == 300 * 10**6
    )
    assert rules.value("auction.start_of_appraisal_at_least_ppm") == 700_000
    assert (rules.value("auction.deposit_at_least_ppm"), rules.value("auction.deposit_at_most_ppm")) == (
        50_000,
        200_000,
    )
    assert rules.value("listing.exclusive_at_most_days") == 365
    assert rules.value("fees.value_added_tax_ppm") == 60_000
    assert rules["auction.soft_close_window_us"].cite() == "法释〔2016〕18号 第二十条"
    assert (rules.value("market.resale_gap_trading_days"), rules.value("market.resale_holders_at_most")) == (
        5,
        200,
    )
    assert rules.value("surveillance.cancelled_at_least_fen") == 10_000_000_00
    assert rules.value("retention.registration_years") == 30
    for ban in ("call_auction", "continuous_trading", "market_making", "anonymous_matching"):
        assert not rules.allows(f"market.{ban}_allowed")
    assert set(rules.words("market.formats")) == {"fixed", "negotiation", "ascending", "tender"}


def test_generic_is_set_apart_where_only_the_law_of_china_asks() -> None:
    chinese, generic = load("cn-venue"), load("generic")
    assert {"second_price", "uniform_price", "digital_goods", "package"} <= set(
        generic.words("market.formats")
    )
    assert generic.allows("market.call_auction_allowed")
    assert chinese.rules.keys() == generic.rules.keys()
    foreign = [rule for rule in generic.rules.values() if not rule.own]
    assert not [rule.name for rule in foreign if re.search("〔|中华人民共和国|条例", rule.source)]
    apart = {each.name for each in differences(chinese, generic)}
    assert {"auction.start_of_appraisal_at_least_ppm", "fees.value_added_tax_ppm"} <= apart
    assert "release.k_at_least" not in apart


def test_S53_the_three_models_are_presets_of_opening_operator_and_approvals() -> None:
    found = {
        preset: (
            rules.word("model.opening_default"),
            rules.allows("model.operators_allowed"),
            rules.value("model.operator_state_share_at_least_ppm"),
            rules.value("model.approvals_at_least"),
        )
        for preset in PRESETS
        if (rules := load("cn-venue", preset))
    }
    assert found == {
        "top-level": ("closed", True, 1_000_000, 3),
        "cooperation": ("conditional", True, 0, 1),
        "data-driven": ("open", False, 0, 1),
    }
    changed = differences(load("cn-venue"), load("cn-venue", "top-level"))
    assert {each.name.partition(".")[0] for each in changed} == {"model"}
    with pytest.raises(Misconfigured):
        load("cn-venue", "anarchy")


def test_an_unknown_profile_is_refused() -> None:
    for name in ("atlantis", "gates", "presets", "calendar.cn", "../cn-venue"):
        with pytest.raises(Misconfigured) as unknown:
            load(name)
        assert unknown.value.field == "EXCHANGE_PROFILE"
        assert unknown.value.remedy


def test_the_digest_is_of_the_whole_document_and_of_nothing_else() -> None:
    one = parse("x", RULE)
    assert one.value("auction.a_ppm") == 1
    assert one.digest == hashlib.sha256(rfc8785.dumps(one.document())).hexdigest()
    assert parse("x", RULE + b"# a comment\n").digest == one.digest
    for old, new in ((b"value = 1", b"value = 2"), (b'"s"', b'"t"'), (b'"c"', b'"d"'), (b"2026-01-01", b"2026-01-02"), (b"true", b"false"), (b"x@1", b"x@2"), (b"a_ppm", b"b_ppm")):  # fmt: skip
        assert parse("x", RULE.replace(old, new)).digest != one.digest
    assert parse("y", RULE).digest != one.digest
    holidays = parse("x", RULE.replace(b"\n", b'\ncalendar = "cn"\n', 1))
    assert holidays.digest != one.digest
    assert Rulebook.from_document(holidays.document()) == holidays


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"value = 1", b"value = 1.0"),
        (b"value = 1", b"value = -1"),
        (b"value = 1", b'value = "1"'),
        (b"value = 1", b'value = ["A b"]'),
        (b"value = 1", b"value = []"),
        (b"value = 1, ", b""),
        (b'source = "s"', b'source = ""'),
        (b', clause = "c"', b""),
        (b'"2026-01-01"', b'"soon"'),
        (b'"2026-01-01"', b"2026-01-01"),
        (b"verified = true", b'verified = "yes"'),
        (b"verified = true", b"verified = true, note = 1"),
    ],
)
def test_a_figure_without_its_source_is_not_a_rule(good: bytes, bad: bytes) -> None:
    with pytest.raises(Misconfigured) as wrong:
        parse("x", RULE.replace(good, bad))
    assert (wrong.value.code, wrong.value.field) == ("rulebook.rule", "auction.a_ppm")


def test_a_calendar_that_does_not_ship_is_refused() -> None:
    with pytest.raises(Misconfigured) as wrong:
        parse("x", b'calendar = "../secret"\n' + RULE)
    assert wrong.value.code == "rulebook.calendar"


BOOK = load("cn-venue")


def figure(name: str, value: Any, **changed: Any) -> Rule:
    """A rule of the book with another value."""
    return replace(BOOK[name], value=value, **changed)


def test_a_change_makes_the_next_version_and_leaves_the_old_one_as_it_was() -> None:
    before = BOOK.digest
    made = BOOK.changed([figure("fees.buyer_commission_ppm", 9_000)])
    assert (made.version, made.value("fees.buyer_commission_ppm")) == ("cn-venue@2", 9_000)
    assert BOOK.digest == before != made.digest
    assert [
        (each.name, each.old and each.old.value, each.new and each.new.value)
        for each in differences(BOOK, made)
    ] == [("fees.buyer_commission_ppm", 10_000, 9_000)]
    back = made.changed([BOOK["fees.buyer_commission_ppm"]])
    assert back.rules == BOOK.rules
    assert back.digest != BOOK.digest  # it is another version of the same figures


IMPOSSIBLE: list[tuple[list[Rule], str, str]] = [
    ([], "rulebook.change", "changes"),
    ([BOOK["fees.buyer_commission_ppm"]], "rulebook.change", "changes"),
    ([figure("fees.buyer_commission_ppm", True)], "rulebook.change", "fees.buyer_commission_ppm"),
    ([replace(BOOK["fees.buyer_commission_ppm"], name="fees.gift_ppm")], "rulebook.change", "fees.gift_ppm"),
    ([figure("fees.buyer_commission_ppm", 50_001)], "rulebook.bounds", "fees.buyer_commission_ppm"),
    ([figure("auction.deposit_at_least_ppm", 200_001)], "rulebook.bounds", "auction.deposit_at_least_ppm"),
    ([figure("model.approvals_at_least", 4)], "rulebook.bounds", "model.approvals_at_least"),
    ([figure("model.approvals_at_least", 0)], "rulebook.bounds", "model.approvals_at_least"),
    ([figure("model.opening_default", "ajar")], "rulebook.bounds", "model.opening_default"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "code", "field"), IMPOSSIBLE)
def test_a_change_that_contradicts_the_rest_is_refused_by_name(
    rules: list[Rule], code: str, field: str
) -> None:
    with pytest.raises(Misconfigured) as wrong:
        BOOK.changed(rules)
    assert (wrong.value.code, wrong.value.field) == (code, field)
    assert wrong.value.remedy


def test_the_edge_of_a_bound_is_allowed() -> None:
    assert (
        BOOK.changed([figure("fees.buyer_commission_ppm", 50_000)]).value("fees.buyer_commission_ppm")
        == 50_000
    )
    assert BOOK["fees.buyer_commission_ppm"].own
    assert not BOOK["fees.commission_at_most_ppm"].own
    assert BOOK["fees.buyer_commission_ppm"].source == OWN
