"""What the public page of a tender computes for itself: the award from the marks that it shows, and points of a hundred."""

from __future__ import annotations

from typing import Any

from exchange import tenders
from exchange.acts import plain
from exchange.web.openings import agrees, points
from pricing.auctions import Criterion

CODES = ("B1", "B2", "B3")


def awarded() -> dict[str, Any]:
    """A tender as its page reads it: three bids, one assessor, an award."""
    rule = tenders.ScoringRule(600_000, (Criterion("plan", 400_000, 100),))
    found: dict[str, Any] = {
        "rules": plain(rule.complete(None, 3, ("per-1",)).to_json()),
        "assessors": ["per-1"],
        "opened": [
            {
                "bid_id": code,
                "code": code,
                "digest": code * 8,
                "price_fen": str(1000 + 10 * n),
                "state": "valid",
            }
            for n, code in enumerate(CODES)
        ],
        "envelopes": [{"digest": code * 8, "index": str(n)} for n, code in enumerate(CODES)],
        "marks": [
            {
                "assessor": "per-1",
                "marks": {code: {"plan": str(90 - 20 * n)} for n, code in enumerate(CODES)},
            }
        ],
    }
    again = tenders.replayed_award(
        found["rules"],
        found["assessors"],
        found["opened"],
        {code * 8: n for n, code in enumerate(CODES)},
        {"per-1": tenders.marks_of(found["marks"][0]["marks"])},
    )
    assert isinstance(again, tuple)
    return {**found, "outcome": {"digest": again[0].digest}, "scores": again[1]}


def test_an_award_that_follows_from_its_marks_agrees() -> None:
    assert agrees(awarded()) is True
    assert agrees({**awarded(), "outcome": None}) is None


def test_a_mark_a_price_or_a_score_that_was_changed_is_told() -> None:
    found = awarded()
    found["marks"][0]["marks"]["B3"]["plan"] = "100"
    assert agrees(found) is False
    found = awarded()
    found["opened"][0]["price_fen"] = "1001"
    assert agrees(found) is False
    found = awarded()
    found["scores"][0]["total_ppm"] = "1"
    assert agrees(found) is False
    found = awarded()
    del found["marks"][0]["marks"]["B3"]["plan"]  # what cannot be decided again does not agree
    assert agrees(found) is False


def test_points_are_exact() -> None:
    assert [points(ppm) for ppm in ("0", 400_000, "987654", 1_000_000)] == [
        "0.0000",
        "40.0000",
        "98.7654",
        "100.0000",
    ]
