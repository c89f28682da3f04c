"""The simulation runs on the same market in one process as the rooms' tests."""

from tests.exchange.conftest import house

__all__ = ["house"]
