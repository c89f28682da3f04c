"""Every refusal of the ledger says where, which rule and what to do."""

from __future__ import annotations

import pytest

from ledger import errors
from ledger.errors import LedgerError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LedgerError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_shows_all_it_knows_and_is_a_value_error(kind: type[LedgerError]) -> None:
    error = kind("five bytes", field="salt", rule="32 bytes", remedy="draw 32 bytes")
    assert isinstance(error, ValueError)
    assert str(error) == "salt: five bytes (rule: 32 bytes; remedy: draw 32 bytes)"
    assert (error.detail, error.field, error.rule, error.remedy) == (
        "five bytes",
        "salt",
        "32 bytes",
        "draw 32 bytes",
    )
