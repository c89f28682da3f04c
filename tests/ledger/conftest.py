"""What the ledger's tests on real tables share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

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
