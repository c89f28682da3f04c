"""What the owner of the machine can do to a log that only she keeps: each attack tried, with who finds it and when.

She has the database with every right in it, old backups, and the log's own key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exchange.client import Conflict, Exchange, Forked, Unknown
from exchange.database import Addresses
from exchange.embedded import SUPERUSER, Postgres
from exchange.errors import Conflict as NotNow
from exchange.witness import Refusal, Witness
from ledger.audit import audit
from ledger.checkpoint import Verifier, open_note
from ledger.policy import Policy
from ledger.verdict import Verdict
from tests.stories.conftest import Member, ServerThread, Venue
from tests.stories.test_witness import made, opened, request


@contextmanager
def owner_of(database: Addresses, postgres: Postgres) -> Iterator[psycopg.Connection]:
    """The machine's owner in the database: a superuser for whom no trigger fires."""
    name = str(conninfo_to_dict(database.app_url)["dbname"])
    with psycopg.connect(postgres.url(SUPERUSER, name)) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


@contextmanager
def copied(database: Addresses, postgres: Postgres) -> Iterator[Addresses]:
    """A backup of the database as it is now, brought up beside it."""
    name = str(conninfo_to_dict(database.app_url)["dbname"])
    names = {"copy": sql.Identifier(f"{name}_old"), "name": sql.Identifier(name)}
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {name} ALLOW_CONNECTIONS false").format(**names))
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        connection.execute(
            sql.SQL("CREATE DATABASE {copy} TEMPLATE {name} STRATEGY file_copy").format(**names)
        )
        connection.execute(sql.SQL("ALTER DATABASE {name} ALLOW_CONNECTIONS true").format(**names))
        assert database.owner_url is not None
        yield Addresses(
            *(make_conninfo(url, dbname=f"{name}_old") for url in (database.app_url, database.owner_url))
        )
        connection.execute(sql.SQL("DROP DATABASE {copy} WITH (FORCE)").format(**names))


@contextmanager
def served(venue: Venue, database: Addresses) -> Iterator[str]:
    """The same exchange, keys and all, over another database; gives its address."""
    server = ServerThread(
        replace(venue.settings, database_url=database.app_url, database_owner_url=database.owner_url)
    )
    try:
        yield server.url
    finally:
        server.stop()


def led_to(folder: Path, url: str, key: str) -> Witness:
    """The witness of this folder, while the log's address leads to another server."""
    path = folder / "witness.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "url": url}))
    return opened(folder, key)


def witnessed(venue: Venue, folder: Path) -> tuple[Witness, Member, Member]:
    """A witness that judged and cosigned all so far, money too, the regulator whose key it has, and a buyer with money."""
    regulator = venue.admit("regulator")
    buyer = venue.admit("buyer", fen=70_000_00)
    venue.admit("buyer", fen=20_00)
    made(venue, folder)
    witness = opened(folder, regulator.secrets[0])
    witness.add_checkpoint(request(venue.client(), 0))
    return witness, regulator, buyer


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if check.status == "failed"}


ROWS = {
    "an account edited": (
        "UPDATE account SET credits_posted = credits_posted + 1 WHERE code = 'cash' AND credits_posted > 0",
        {"account_rows"},
    ),
    "balances swapped": (
        "UPDATE account a SET credits_posted = b.credits_posted FROM account b WHERE a.code = 'cash' AND b.code = 'cash'"
        " AND a.id <> b.id AND a.credits_posted <> b.credits_posted",
        {"account_rows"},
    ),
    "a transfer edited": (
        "UPDATE transfer SET amount = amount + 1 WHERE sequence = (SELECT max(sequence) FROM transfer)",
        {"transfer_rows"},
    ),
    "a transfer deleted": (
        "DELETE FROM transfer WHERE sequence = (SELECT max(sequence) FROM transfer)",
        {"transfer_rows"},
    ),
    "a transfer inserted": (
        "INSERT INTO transfer SELECT sequence + 1, 'invented', log_index, time_us, kind, debit, credit, amount, ledger,"
        " code, pending, linked, timeout_us, closes FROM transfer ORDER BY sequence DESC LIMIT 1",
        {"transfer_rows"},
    ),
    "a body edited": (
        "UPDATE log_chunk SET bodies = set_byte(bodies, 40, 33) WHERE size = (SELECT max(size) FROM log_chunk)",
        {"bodies"},
    ),
    "a leaf edited": (
        "UPDATE log_chunk SET leaves = set_byte(leaves, 20, 48 + (get_byte(leaves, 20) + 1) % 10)"
        " WHERE size = (SELECT max(size) FROM log_chunk)",
        set(),
    ),
}
"""What is done behind the exchange's back, and the check of the audit that names it; none where the signed checkpoint
is contradicted before there is anything to audit."""


@pytest.mark.parametrize("attack", ROWS)
def test_rows_changed_behind_triggers_are_named_at_the_witness_s_next_look(
    venue: Venue, database: Addresses, postgres: Postgres, tmp_path: Path, attack: str
) -> None:
    witness, _, buyer = witnessed(venue, tmp_path / "w")
    signed = witness.note
    venue.bank.client.top_up(buyer.id, 5_00, "slip")
    statement, named = ROWS[attack]
    with owner_of(database, postgres) as connection:
        assert connection.execute(statement).rowcount
    look = witness.look()
    alarm = witness.alarm
    assert alarm is not None
    assert (set() if look is None or look.verdict is None else failed(look.verdict)) == named
    assert alarm.kind == ("audit" if named else "fork")
    assert len(alarm.evidence) == (1 if named else 2)
    assert all((tmp_path / "w" / name).stat().st_size for name in alarm.evidence)
    assert witness.note == signed
    with pytest.raises(Refusal) as refusal:
        witness.add_checkpoint(request(venue.client(), 0, signed))
    assert refusal.value.status == 403
    with pytest.raises(NotNow):
        witness.resume(" ")
    assert witness.resume("the row was put back from the log").kind == alarm.kind
    assert witness.alarm is None
    assert len(list((tmp_path / "w" / "alarms").iterdir())) == 1
    witness.close()


def test_an_account_edited_is_found_by_the_book_when_it_is_next_touched(
    venue: Venue, database: Addresses, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    buyer = venue.admit("buyer", fen=70_000_00)
    with owner_of(database, postgres) as connection:
        connection.execute(
            "UPDATE account SET credits_posted = credits_posted + 1 WHERE code = 'cash' AND credits_posted > 0"
        )
    (cash,) = buyer.client.accounts()
    with pytest.raises(Unknown) as unknown:
        venue.client(venue.bank.secrets[0], timeout_s=3).top_up(buyer.id, 5_00, "slip")
    assert f"account {cash.id} was changed outside the book" in caplog.text
    assert venue.bank.client.lookup(unknown.value.identifier) is None


def test_a_database_rolled_back_to_an_old_backup_is_found_by_whoever_saw_more(
    venue: Venue, database: Addresses, postgres: Postgres, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    buyer = venue.admit("buyer", fen=70_000_00)
    with copied(database, postgres) as old:
        venue.bank.client.top_up(buyer.id, 5_00, "slip")
        made(venue, tmp_path / "w")
        witness = opened(tmp_path / "w", regulator.secrets[0])
        client = Exchange(venue.server.url, vkey=venue.vkey, remember=tmp_path / "seen")
        witness.add_checkpoint(request(client, 0))
        witness.close()
        seen = witness.note
        assert seen is not None
        with served(venue, old) as url:
            # The witness, at its next look.
            witness = led_to(tmp_path / "w", url, regulator.secrets[0])
            witness.look()
            alarm = witness.alarm
            assert alarm is not None
            assert alarm.kind == "fork"
            notes = [(tmp_path / "w" / name).read_text("utf-8") for name in alarm.evidence]
            sizes = [open_note(note, [Verifier.parse(venue.vkey)]).checkpoint.size for note in notes]
            assert sizes[0] > sizes[1]
            assert witness.note == seen
            witness.close()
            # Every client that remembers, at its next answer.
            with pytest.raises(Forked):
                Exchange(url, vkey=venue.vkey, remember=tmp_path / "seen").checkpoint()
            # An audit, by the checkpoint that somebody kept, and by nothing else.
            Exchange(url, regulator.secrets[0], venue.vkey).audit_bundle(tmp_path / "bundle.zip")
        assert failed(audit(tmp_path / "bundle.zip", [venue.vkey])) == set()
        assert failed(audit(tmp_path / "bundle.zip", [venue.vkey], held=[seen])) == {"held_checkpoints"}


def test_a_history_written_again_and_signed_with_the_stolen_key_finds_no_second_signature(
    venue: Venue, database: Addresses, postgres: Postgres, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    buyer = venue.admit("buyer", fen=70_000_00)
    with copied(database, postgres) as old:
        venue.bank.client.top_up(buyer.id, 5_00, "slip")
        made(venue, tmp_path / "w")
        witness = opened(tmp_path / "w", regulator.secrets[0])
        policy = Policy.k_of_n(venue.vkey, {"w": witness.vkey}, 1)
        client = Exchange(venue.server.url, policy=policy, remember=tmp_path / "seen")
        witness.add_checkpoint(request(client, 0))
        last = witness.cosigned
        seen = witness.note
        assert last is not None
        assert seen is not None
        with served(venue, old) as url:
            # She leaves the top-up out, goes on as if it had never been, and signs all of it: as good a log as any.
            forger = Exchange(url, regulator.secrets[0], policy=policy)
            receipt = [
                forger.set_party_state(buyer.id, state, "so it was").receipt
                for state in ("suspended", "active")
            ][1]
            forged = forger.checkpoint()
            assert forged.size > last.size
            forger.audit_bundle(tmp_path / "bundle.zip")
            assert failed(audit(tmp_path / "bundle.zip", [venue.vkey])) == set()
            # No witness signs it: there is no proof from what it signed before, and what it looks at is a fork.
            with pytest.raises(Refusal) as refusal:
                witness.add_checkpoint(request(forger, last.size))
            assert refusal.value.status == 422
            witness.close()
            witness = led_to(tmp_path / "w", url, regulator.secrets[0])
            witness.look()
            assert witness.alarm is not None
            assert witness.alarm.kind == "fork"
            assert witness.note == seen
            witness.close()
            # So no receipt of it is completed, under whatever policy asks for one of them.
            with pytest.raises(Conflict) as unwitnessed:
                forger.complete(receipt)
            assert unwitnessed.value.code == "checkpoint.not_witnessed"
            # Clients that remember, the audit under the policy, and the audit with what somebody kept.
            with pytest.raises(Forked):
                Exchange(url, policy=policy, remember=tmp_path / "seen").checkpoint()
        assert failed(audit(tmp_path / "bundle.zip", None, policy=policy)) == {"witnesses"}
        assert failed(audit(tmp_path / "bundle.zip", [venue.vkey], held=[seen])) == {"held_checkpoints"}


def test_two_heads_shown_to_two_clients_convict_the_log_when_they_meet(
    venue: Venue, database: Addresses, postgres: Postgres, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    buyer = venue.admit("buyer", fen=70_000_00)
    with copied(database, postgres) as old, served(venue, old) as url:
        venue.bank.client.top_up(buyer.id, 5_00, "slip")
        there = Exchange(url, regulator.secrets[0], venue.vkey)
        there.set_party_state(buyer.id, "suspended", "so it was")
        here = venue.client()
        here.checkpoint()
        there.checkpoint()  # each of the two is content
        # The two, comparing what they hold.
        with pytest.raises(Forked) as forked:
            here.compare(there.newest_note())
        assert (forked.value.seen, forked.value.shown) == (here.newest_note(), there.newest_note())
        # The witness of the one, when anybody shows it what the other was shown, whatever that was to prove.
        made(venue, tmp_path / "w")
        witness = opened(tmp_path / "w", regulator.secrets[0])
        witness.add_checkpoint(request(here, 0))
        with pytest.raises(Refusal) as refusal:
            witness.add_checkpoint(request(there, 0))
        assert refusal.value.status == 409
        alarm = witness.alarm
        assert alarm is not None
        assert alarm.kind == "split"
        shown = {(tmp_path / "w" / name).read_text("utf-8") for name in alarm.evidence}
        assert shown == {witness.note, there.newest_note()}
        with pytest.raises(Refusal) as refusal:
            witness.add_checkpoint(request(here, here.checkpoint().size))
        assert refusal.value.status == 403
        witness.close()
