"""What the ledger's tests on real tables share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

import ledger.audit.reading
import ledger.bundle
from exchange.database import Addresses
from ledger import log

ORIGIN = "ledger.example/test"


@pytest.fixture
async def connection(database: Addresses) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """The application's role on a fresh database, with an empty log."""
    async with await psycopg.AsyncConnection.connect(database.app_url) as found:
        await log.create(found, ORIGIN, 0)
        await found.commit()
        yield found


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 16 entries, for the bundle's writer and judge alike."""
    monkeypatch.setattr(ledger.bundle, "SEGMENT", 16)
    monkeypatch.setattr(ledger.audit.reading, "SEGMENT", 16)
