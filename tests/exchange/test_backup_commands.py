"""The commands that keep an exchange: what they take along, what they prove, and what they refuse."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from exchange import keys
from exchange.app import open_market, running
from exchange.backup import Store, backups, reached
from exchange.cli import app
from exchange.cli import backup as commands
from exchange.cli.backup import newest_checkpoint, prove
from exchange.credentials import key_digest
from exchange.embedded import Postgres
from exchange.errors import Conflict, Malformed, Misconfigured, Unavailable
from exchange.settings import Settings
from ledger.anchor import Anchor, deploy
from ledger.anchors import keep_mined, keep_signed
from ledger.chain import SandboxChain
from ledger.checkpoint import Checkpoint, Signer, Verifier, open_note, sign
from ledger.errors import NoteError
from tests.exchange.test_backup import ORIGIN, SIGNER, Market, append, open_folder, running_market


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Type a command; what it prints, or the error that it ends with."""
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "CHAIN_URL", "SANDBOX"):
        monkeypatch.delenv(f"EXCHANGE_{name}", raising=False)
    monkeypatch.setenv("EXCHANGE_ORIGIN", ORIGIN)
    monkeypatch.setattr(commands.console, "width", 200)  # it took the terminal's when it was imported

    def typed(*words: str | Path) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return typed


@contextmanager
def serving(note: str) -> Iterator[str]:
    """A witness's address, as far as a restore asks it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/checkpoint" else 404)
            self.end_headers()
            self.wfile.write(note.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_the_commands_bring_back_is_proven_against_what_was_seen_outside(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_market() as market:
        var, copies, witness = market.root / "var", market.root / "copies", market.root / "witness"
        monkeypatch.setenv("EXCHANGE_DATA_DIR", str(var))
        monkeypatch.setenv("EXCHANGE_BACKUP_TARGET", str(copies))
        signer = keys.load(var / "keys", make=True).signer(ORIGIN)
        with pytest.raises(Misconfigured, match="copies cannot be used"):
            run("backup", "list")
        said = run("backup")
        assert "up to entry 5, read back and verified" in said
        assert "private keys are not in it" in said
        market.append(2)
        time.sleep(1.0)  # a backup is named by the second
        assert "up to entry 7" in run("backup", "--incremental")
        full, incremental = backups(Store(copies, keys.backup_key(var / "keys")))
        said = run("backup", "list")
        assert f"on {full.name}" in said
        assert incremental.name in said
        assert "every entry from 5 to 6" in said

        market.append(3)
        witness.mkdir()
        note = asyncio.run(newest_checkpoint(market.postgres.app_url, signer))
        (witness / "checkpoint").write_text(note)
        forged = market.root / "forged"
        forged.write_text(sign(Checkpoint(ORIGIN, 5, bytes(32)), Signer(ORIGIN, b"f" * 32)))
        market.postgres.stop()
        lost = market.root / "lost"
        (var / "postgres").rename(lost)

        # The witness has seen ten entries: a log of seven that went on from there would fork.
        behind = pytest.raises(Conflict, match="has 7 entries, and 10 were seen outside")
        with serving(note) as address, behind:
            run("restore", "--witness", address)
        with pytest.raises(Unavailable, match="gives no checkpoint"):
            run("restore", "--witness", address)
        with pytest.raises(NoteError, match="none of them trusted"):
            run("restore", "--held", forged)
        for words in ("yesterday", "2026-01-31T12:00:00", "-1"):
            with pytest.raises(Misconfigured, match="is no moment and no entry"):
                run("restore", f"--to={words}")
        assert not (var / "postgres").exists()

        tail = ("--wal", lost / "wal_archive", "--wal", lost / "data" / "pg_wal")
        said = run("restore", *tail, "--witness", witness, "--lang", "zh")
        assert "restored and proven: 10 entries" in said
        assert "[通过] 审计人自持的检查点在此日志上" in said
        with Postgres.start(var, durable=False) as restored:
            assert asyncio.run(newest_checkpoint(restored.app_url, signer)) == note


def test_keys_that_were_lost_come_back_from_three_officers(
    tmp_path: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXCHANGE_DATA_DIR", str(tmp_path))
    kept, burnt, sheets = tmp_path / "keys", tmp_path / "burnt", tmp_path / "sheets"
    made = keys.load(kept, make=True)
    (kept / "anchor.key").write_text("ab" * 32 + "\n")
    (kept / "anchor.key").chmod(0o600)
    vkey = tmp_path / "log.vkey"
    vkey.write_text(made.signer(ORIGIN).vkey + "\n")
    said = run("keys", "split", "--out", sheets)
    assert "5 sheets" in said
    assert {path.stat().st_mode & 0o777 for path in sheets.iterdir()} == {0o600}
    for secret in (made.log, made.mac, made.links):
        assert secret.hex() not in said
    with pytest.raises(Misconfigured, match="cannot be made"):
        run("keys", "split", "--out", sheets)
    kept.rename(burnt)
    brought = [sheets / f"share-{n}-of-5.txt" for n in (5, 1, 3)]
    with pytest.raises(Malformed, match="2 of 3 shares"):
        run("keys", "join", *brought[:2], "--into", kept)
    with pytest.raises(Misconfigured, match="the shares give the key of") as caught:
        run("keys", "join", *brought, "--into", kept, "--vkey", Signer(ORIGIN, b"x" * 32).vkey)
    assert caught.value.code == "keys.another_log"
    (tmp_path / "noise").write_bytes(b"\xff\xfe")
    with pytest.raises(Malformed, match="noise cannot be read"):
        run("keys", "join", tmp_path / "noise", "--into", kept)
    assert not kept.exists()
    said = run("keys", "join", *brought, "--into", kept, "--vkey", vkey)
    assert "anchor, backup, links, log, mac in" in said
    for path in burnt.iterdir():
        assert (kept / path.name).read_bytes() == path.read_bytes()
        assert (kept / path.name).stat().st_mode & 0o777 == 0o600
    assert "not compared with the published log key" in run("keys", "join", *brought, "--into", kept)
    (kept / "mac.key").write_bytes(bytes(32))
    with pytest.raises(Misconfigured, match=r"mac\.key holds another key"):
        run("keys", "join", *brought, "--into", kept)


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    with running_market() as market:
        yield market


def test_the_last_anchor_has_to_lie_on_what_came_back(market: Market, tmp_path: Path) -> None:
    with SandboxChain() as chain:
        contract = deploy(chain.url, chain.key)
        anchor = Anchor(chain.url, contract, chain.key)
        settings = Settings(data_dir=tmp_path, origin=ORIGIN, chain_url=chain.url)

        async def keep() -> None:
            """Anchor the newest head, as the worker does."""
            note = await newest_checkpoint(market.postgres.app_url, SIGNER)
            head = open_note(note, [Verifier.parse(SIGNER.vkey)]).checkpoint
            signed = anchor.sign(head.size, head.root)
            async with await psycopg.AsyncConnection.connect(market.postgres.app_url) as connection:
                await keep_signed(connection, signed, contract, 0)
                anchor.offer(signed)
                mined = anchor.mined(signed.tx)
                assert mined is not None
                await keep_mined(connection, signed.size, mined, final=False)

        def proven() -> tuple[bool, bool, int, str]:
            proof = asyncio.run(prove(market.postgres, settings, SIGNER, [], [], "en"))
            return proof.ok, proof.sound, proof.seen_size, proof.words

        asyncio.run(keep())
        ok, _, seen, words = proven()
        assert (ok, seen) == (True, 5)
        assert "[passed] The chain's last anchor, of 5 entries, lies on this log" in words
        # More was anchored than came back.
        anchor.put(9, b"r" * 32)
        ok, sound, seen, words = proven()
        assert (ok, sound, seen) == (False, True, 9)
        assert "The chain has anchored 9 entries, what came back has 5" in words
        # As many came back, and they are others.
        asyncio.run(append(market.postgres.app_url, 4))
        ok, sound, _, words = proven()
        assert (ok, sound) == (False, False)
        assert "[FAILED] The chain's last anchor, of 9 entries, is not of this log" in words


@pytest.mark.anyio
async def test_a_running_exchange_keeps_its_backups_by_itself() -> None:
    with open_folder() as root:
        copies = root / "copies"
        settings = Settings(data_dir=root / "var", origin=ORIGIN, backup_target=copies, backup_every_s=3600)
        async with running(settings, work=False, make_keys=True) as house:
            await open_market(
                house,
                uscc="91440101MA0000001Q",
                name="The venue",
                person="First",
                token_digest=key_digest("t" * 43),
            )
        store = Store(copies, keys.backup_key(settings.keys_dir), make=True)
        async with running(settings), asyncio.timeout(60):
            while not list(copies.glob("backups/*/backup.json")):  # noqa: ASYNC110  # another thread writes it
                await asyncio.sleep(0.05)
        (made,) = backups(store)
        upto = reached(store)
        assert upto is not None
        assert (made.below, made.size_after, upto.size) == (None, 1, 1)
        # A stop does not wait for a copy: it is given up, and nothing is served the worse for it.
        begun = time.monotonic()
        async with running(replace(settings, backup_every_s=1)):
            await asyncio.sleep(0.3)
        assert time.monotonic() - begun < 20
        assert all(b.name for b in backups(store))
        with pytest.raises(Misconfigured, match="a cluster that it does not run"):
            async with running(replace(settings, database_url="postgresql://a@127.0.0.1:1/b")):
                pass
