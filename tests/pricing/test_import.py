"""`pricing` is a library for others: importing it costs little and brings nothing of the exchange along."""

import subprocess
import sys

import pytest

MODULES = [
    "pricing",
    "pricing.auctions",
    "pricing.money",
    "pricing.sale",
    "pricing.quality",
    "pricing.appraisal",
    "pricing.monte_carlo",
    "pricing.weights",
    "pricing.regulated",
    "pricing.tariff",
    "pricing.screens",
    "pricing.sealed_bids",
]
HEAVY = [
    "pyarrow",
    "numpy",
    "pydantic",
    "fastapi",
    "sqlalchemy",
    "sqlmodel",
    "psycopg",
    "web3",
    "exchange",
    "ledger",
]


@pytest.mark.parametrize("module", MODULES)
def test_a_fresh_interpreter_loads_nothing_heavy_and_no_other_package_of_ours(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.split() == []
