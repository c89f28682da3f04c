"""Formats side by side: theory's equalities hold, the same seed draws the same bidders, and nonsense is refused."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.cli import app
from exchange.errors import Malformed
from pricing.auctions.compare import (
    Comparison,
    compare,
    draw_values,
    format_name,
    formats_for,
    picture,
    read_bids,
)
from pricing.errors import AuctionError


def by_name(comparison: Comparison) -> dict[str, Any]:
    return {line.name: line for line in comparison.lines}


def test_first_and_second_price_earn_the_same_on_average_and_both_are_efficient() -> None:
    """Revenue equivalence (Vickrey 1961); two bidders, uniform on [0, 1]: 1/3 each (Krishna, ch. 2)."""
    values = draw_values("uniform", 500_000, 2, 2_000, b"equivalence")
    found = by_name(compare(values, 1))
    first, second = found["first_price"], found["second_price"]
    for line in (first, second):
        assert abs(line.revenue_fen - 1_000_000 / 3) < 12_000
        assert line.efficiency_ppm == 1_000_000
    # Each lot's first-price winner pays half of its value.
    for lot, paid in list(zip(values, first.revenues_fen, strict=True))[:50]:
        assert abs(paid - max(lot) / 2) < 15_000


def test_a_reserve_of_half_the_highest_value_earns_more_and_sells_less() -> None:
    """Riley and Samuelson (1981): 5/12 instead of 1/3, unsold in a quarter of lots."""
    values = draw_values("uniform", 500_000, 2, 2_000, b"reserve")
    found = by_name(compare(values, 1, 500_000))
    for line in found.values():
        assert abs(line.revenue_fen - 1_000_000 * 5 / 12) < 12_000
        assert abs(line.unsold_ppm - 250_000) < 25_000


def test_for_one_unit_each_uniform_price_is_vickrey_and_pay_as_bid_earns_as_much() -> None:
    found = by_name(compare(draw_values("lognormal", 1_000_000, 6, 1_000, b"units"), 3))
    assert found["uniform_price"].revenues_fen == found["vickrey"].revenues_fen
    ratio = found["discriminatory"].revenue_fen / found["vickrey"].revenue_fen
    assert 0.97 < ratio < 1.03


def test_more_units_than_bidders_sell_at_the_reserve() -> None:
    found = by_name(compare([[500, 300]], 3, 100))
    for line in found.values():
        assert line.revenue_fen == 200
        assert (line.efficiency_ppm, line.surplus_fen) == (1_000_000, 600)
        assert line.unsold_ppm == 333_333


@given(
    st.lists(st.lists(st.integers(1, 1_000), min_size=1, max_size=6), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(1, 500),
)
def test_what_the_seller_gets_and_bidders_keep_is_what_was_realised(
    values: list[list[int]], supply: int, reserve: int
) -> None:
    for line in compare(values, supply, reserve).lines:
        assert 0 <= line.efficiency_ppm <= 1_000_000
        assert 0 <= line.unsold_ppm <= 1_000_000
        assert line.surplus_fen >= -1
        most = sum(sum(sorted(lot)[-supply:]) for lot in values) // len(values)
        assert line.revenue_fen + line.surplus_fen <= most


def test_the_same_seed_draws_the_same_bidders_and_another_one_others() -> None:
    assert draw_values("lognormal", 1_000, 3, 4, b"a") == draw_values("lognormal", 1_000, 3, 4, b"a")
    assert draw_values("lognormal", 1_000, 3, 4, b"a") != draw_values("lognormal", 1_000, 3, 4, b"b")
    drawn = [value for lot in draw_values("lognormal", 100_000, 10, 1_000, b"mean") for value in lot]
    assert abs(sum(drawn) / len(drawn) - 100_000) < 2_000


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("supply", [1, 3])
def test_the_picture_is_whole_and_names_every_format(language: Any, supply: int) -> None:
    found = compare([[100, 900, 500, 400]], supply)
    root = ET.fromstring(picture(found, language))
    said = " ".join(root.itertext())
    for name in formats_for(supply):
        assert format_name(name, language) in said
    bars = [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.find("*") is not None]
    assert len(bars) == 3 * len(found.lines)


def run(*words: object) -> Any:
    result = CliRunner().invoke(app, ["simulate", "auction", *map(str, words)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_command_compares_a_file_of_bids_and_drawn_bidders(tmp_path: Path) -> None:
    path = tmp_path / "bids.csv"
    path.write_text("\ufeffcode,price\nA,100.00\nB,80\n\nC,90.5\n", encoding="utf-8")
    said = json.loads(run(path, "--json"))
    assert (said["lots"], said["bidders"]) == ("1", "3")
    assert {one["name"]: one["revenue_fen"] for one in said["formats"]}["second_price"] == "9050"
    drawing = tmp_path / "a.svg"
    assert "密封第二价格" in run("--lots", 20, "--lang", "zh", "--picture", drawing)
    assert drawing.read_text(encoding="utf-8").startswith("<svg")
    path.write_bytes(b"\xff\xfe\x00price")
    with pytest.raises(Malformed):
        run(path)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: compare([], 1), "values"),
        (lambda: compare([[]], 1), "values"),
        (lambda: compare([[0]], 1), "values[0][0]"),
        (lambda: compare([[1]], 0), "supply"),
        (lambda: compare([[1]], 1, 0), "reserve_fen"),
        (lambda: draw_values("normal", 1, 1, 1, b""), "distribution"),  # type: ignore[arg-type]
        (lambda: draw_values("uniform", 0, 1, 1, b""), "mean_fen"),
        (lambda: draw_values("uniform", 1, 1_001, 1, b""), "bidders"),
        (lambda: draw_values("uniform", 1, 1, 10_001, b""), "lots"),
        (lambda: read_bids([]), "heading"),
        (lambda: read_bids([["code"]]), "heading"),
        (lambda: read_bids([["price"]]), "line 2"),
        (lambda: read_bids([["price"], ["x"]]), "line 2"),
        (lambda: read_bids([["price"], ["1"], ["0"]]), "line 3"),
        (lambda: read_bids([["code", "price"], ["1"]]), "line 2"),
    ],
)
def test_nonsense_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(AuctionError) as refused:
        make()
    assert refused.value.field == field
    assert refused.value.remedy
