"""The rulebook: every figure with its source, and a digest that changes with any of it."""

from __future__ import annotations

import re

import pytest

from exchange.errors import Misconfigured
from exchange.rulebook import load, parse

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
        assert rule.clause or rule.verified  # a law has a clause, the venue's own rule was read
        assert rule.value > 0
    assert rules.value("fees.buyer_commission_ppm") <= rules.value("fees.commission_at_most_ppm")
    assert rules.value("fees.seller_commission_ppm") <= rules.value("fees.commission_at_most_ppm")


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
    assert rules["auction.soft_close_window_us"].cite() == "法释〔2016〕18号 第十九条"


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(Misconfigured) as unknown:
        load("atlantis")
    assert unknown.value.field == "EXCHANGE_PROFILE"
    assert unknown.value.remedy


def test_the_digest_is_of_every_byte() -> None:
    one = parse("x", RULE)
    assert one.value("auction.a_ppm") == 1
    assert parse("x", RULE).digest == one.digest
    assert parse("x", RULE + b"# a comment\n").digest != one.digest


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"value = 1", b"value = 1.0"),
        (b"value = 1", b"value = true"),
        (b"value = 1", b'value = "1"'),
        (b"value = 1, ", b""),
        (b'source = "s"', b'source = ""'),
        (b', clause = "c"', b""),
        (b"verified = true", b'verified = "yes"'),
        (b"verified = true", b"verified = true, note = 1"),
    ],
)
def test_a_figure_without_its_source_is_not_a_rule(good: bytes, bad: bytes) -> None:
    with pytest.raises(Misconfigured) as wrong:
        parse("x", RULE.replace(good, bad))
    assert (wrong.value.code, wrong.value.field) == ("rulebook.rule", "auction.a_ppm")
