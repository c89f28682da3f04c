"""A development node of an EVM chain (Foundry's anvil, from npm), whose pool a test fills and whose blocks it takes back."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.anchor import address_of, new_key

FOLDER = Path(sys.prefix) / "anvil" / "node_modules" / "@foundry-rs"
MISSING = f"no anvil below {FOLDER}: `make test` brings it from npm"


@dataclass(frozen=True, slots=True)
class Anvil:
    """One node that mines when it is told to, and a key with money on its chain."""

    url: str
    key: bytes

    def ask(self, method: str, *params: Any) -> Any:
        """What the node answers; whatever it refuses fails the test."""
        answer = httpx.post(
            self.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, timeout=20
        ).json()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def mine(self, blocks: int = 1) -> None:
        """Put what waits into a block, and so many blocks on the chain."""
        self.ask("anvil_mine", hex(blocks))

    def reorganise(self, depth: int) -> None:
        """Put other blocks in the place of the newest; what was in them is in none, and no longer waits."""
        self.ask("anvil_reorg", depth, [])

    def price(self, wei: int) -> None:
        """Ask so much for a unit of gas from the next block on: what pays less waits."""
        self.ask("anvil_setNextBlockBaseFeePerGas", hex(wei))


@contextmanager
def anvil() -> Iterator[Anvil]:
    """A fresh chain; skipped where the program is missing."""
    programs = sorted(FOLDER.glob("anvil-*/bin/anvil*"))
    if not programs:
        pytest.skip(MISSING)
    key = new_key()
    child = subprocess.Popen(
        [
            programs[0],
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--accounts",
            "1",
            "--no-mining",
            "--order",
            "fifo",
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
        text=True,
    )
    try:
        assert child.stdout is not None
        for line in child.stdout:
            if found := re.search(r"Listening on (127\.0\.0\.1:\d+)", line):
                break
        else:
            raise RuntimeError("anvil did not start")
        node = Anvil(f"http://{found[1]}", key)
        node.ask("anvil_setBalance", address_of(key), hex(10**20))
        yield node
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
