"""The hall: one door for every format of bidding, so that the market names a format and never its file."""

from __future__ import annotations

from pricing.auctions.ascending import (
    VERSION,
    Admitted,
    AscendingRules,
    Reason,
    Rejected,
    Rung,
    Standing,
    admit,
    award,
    explain,
    least_admissible_fen,
    open_standing,
    proxy_bid,
    verify,
)
from pricing.outcome import Allotment, Bid, Explanation, Outcome

__all__ = [
    "VERSION",
    "Admitted",
    "Allotment",
    "AscendingRules",
    "Bid",
    "Explanation",
    "Outcome",
    "Reason",
    "Rejected",
    "Rung",
    "Standing",
    "admit",
    "award",
    "explain",
    "least_admissible_fen",
    "open_standing",
    "proxy_bid",
    "verify",
]
