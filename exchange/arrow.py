"""Lets pyarrow start without pandas, which it would import at its first conversion: over a second, for nothing."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder


class _NoPandas(MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used here", name="pandas")


def without_pandas() -> None:
    """For processes of ours alone, before the first conversion; a library must not decide this for its importer."""
    sys.meta_path.insert(0, _NoPandas())
