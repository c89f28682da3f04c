"""The mind: valuation and bidding as pure functions over integers."""
