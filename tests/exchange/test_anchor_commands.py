"""The commands of the anchor: a key of one's own, what the chain says, and the contract handed to another key."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from exchange.__main__ import main
from ledger.anchor import Anchor, address_of, deploy, load_key, new_key
from tests.ledger.anvil.node import Anvil, anvil

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command in a fresh data directory: its exit status and all that it said."""
    monkeypatch.setenv("EXCHANGE_DATA_DIR", str(tmp_path / "market"))
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str) -> tuple[int, str]:
        said = io.StringIO()
        monkeypatch.setattr("sys.argv", ["exchange", "anchor", *words])
        with redirect_stdout(said), redirect_stderr(said):
            try:
                main()
            except SystemExit as ended:
                return int(ended.code or 0), said.getvalue()
        return 0, said.getvalue()

    return command


def test_a_key_is_made_once_for_its_owner_alone_and_its_address_told(run: Run, tmp_path: Path) -> None:
    status, said = run("new-key")
    path = tmp_path / "market" / "keys" / "anchor.key"
    assert status == 0, said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert address_of(load_key(path)) in said
    before = path.read_bytes()
    status, said = run("new-key")
    assert status != 0
    assert "File exists" in said
    assert path.read_bytes() == before


def test_without_a_chain_or_a_contract_the_command_says_what_to_give(run: Run) -> None:
    status, said = run("status")
    assert (status != 0, "--url" in said) == (True, True)
    status, said = run("status", "--url", "http://127.0.0.1:9")
    assert (status != 0, "--contract" in said) == (True, True)


def test_a_contract_is_handed_to_another_key_in_two_steps_that_the_chain_shows(
    run: Run, tmp_path: Path, node: Anvil
) -> None:
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    for path, key in ((old, node.key), (new, new_key())):
        path.touch(0o600)
        path.write_text(key.hex())
    heir = address_of(load_key(new))
    node.ask("anvil_setBalance", heir, hex(10**20))
    contract = deploy(node.url, node.key)
    Anchor(node.url, contract, node.key).put(7, b"\xaa" * 32)
    where = ("--url", node.url, "--contract", contract)

    status, said = run("accept-owner", *where, "--key", str(new))
    assert (status != 0, "not the proposed owner" in said) == (True, True)
    status, said = run("propose-owner", heir, *where, "--key", str(old))
    assert status == 0, said
    status, said = run("status", *where)
    assert status == 0, said
    for line in (f"owner     {address_of(node.key)}", f"proposed  {heir}", "entries   7", "aa" * 32):
        assert line in said
    status, said = run("accept-owner", *where, "--key", str(new))
    assert status == 0, said
    status, said = run("status", *where)
    assert f"owner     {heir}" in said
    assert "proposed  —" in said


@pytest.fixture
def node() -> Iterator[Anvil]:
    with anvil() as found:
        found.ask("evm_setAutomine", True)
        yield found
