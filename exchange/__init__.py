"""The market: a public-data exchange in which nobody has to trust the operator."""
