"""Succession: a log that lost entries ends with a signed note, and its successor is believed from there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import money, oversight, venue
from exchange.acts import Caller
from exchange.database import Addresses, Database, driver
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.gate import Gate
from exchange.recall import recall
from exchange.replay import from_bundle
from exchange.settings import Settings
from exchange.succession import Succeeded, succeed
from ledger.audit import audit
from ledger.bundle import BundleWriter, Shown
from ledger.checkpoint import Checkpoint, Cosigner, Signer, Verifier, sign
from ledger.cosignatures import keep, last_sizes, witnessed
from ledger.entries import Entry, verify_receipt
from ledger.errors import NoteError
from ledger.log import prove_consistency, read_head
from ledger.merkle import Edge, leaf_hash, verify_consistency
from ledger.policy import Policy
from ledger.succession import Ended, open_ended, parse, sign_ended
from ledger.verdict import Verdict
from tests.exchange.conftest import ORIGIN, House
from tests.exchange.floor import played
from tests.exchange.test_recall import (
    KEYS,
    _rooms_of_the_tests,
    again,
    ends,
    exported,
    query,
    require_same,
)

NEW = "exchange.example/test-2"
HEIR = Signer(NEW, b"n" * 32)
OLD = Signer(ORIGIN, KEYS.log)
REASON = "the disk was lost, and the newest backup lay behind the witness 磁盘损毁"

pytestmark = pytest.mark.anyio
__all__ = ["_rooms_of_the_tests"]  # the fixture is borrowed


async def ended(
    database: Addresses, house: House, *held: str, heir: Signer = HEIR, seen: int | None = None
) -> Succeeded:
    """End the log of a database in favour of another."""
    return await succeed(
        database.app_url,
        KEYS,
        ORIGIN,
        heir,
        reason=REASON,
        held=held,
        seen_size=seen,
        clock=lambda: house.now_us,
    )


@asynccontextmanager
async def heirs_gate(database: Addresses, house: House) -> AsyncIterator[Gate]:
    """The successor's process."""
    engine = Database(database.app_url, readers=2)
    gate = Gate(engine, HEIR, KEYS.mac, lambda: house.now_us)
    await gate.start()
    yield gate
    await gate.stop()
    await engine.close()


async def judged(
    gate: Gate, path: Path, *vkeys: str, held: tuple[str, ...] = (), policy: Any = None
) -> Verdict:
    """The audit of the successor's export."""
    await gate.read(lambda session: oversight.export(session, path, gate.signer))
    return audit(path, vkeys, held=held, policy=policy)


def checked(verdict: Verdict, name: str) -> tuple[str, str]:
    """Status and saying of one check."""
    check = verdict.check(name)
    return check.status, check.saying


async def test_after_a_loss_the_log_ends_and_its_successor_is_audited_across_the_end(
    house: House, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    sizes = await ends(floor)
    kept = sizes[-4]
    early = await house.gate.receipt(3)
    seen = sign((await house.gate.head()).checkpoint(), OLD)
    # All but the last batches came back, and nobody has the rest.
    await again(
        second_database, await exported(house, tmp_path / "a.zip", start=0, stop=kept), folder=tmp_path
    )
    old = Gate(Database(second_database.app_url, readers=2), OLD, KEYS.mac, lambda: house.now_us)
    await old.start()
    inside = sign((await old.head()).checkpoint(), OLD)
    done = await ended(second_database, house, seen, inside)
    assert (done.ended.size, done.ended.seen_size, done.ended.lost) == (kept, sizes[-1], sizes[-1] - kept)
    assert done.ended.root == (await house.gate.read(_root_at, kept))
    assert open_ended(done.note, [Verifier.parse(OLD.vkey)]) == done.ended

    # The old log takes nothing more, from whoever is still running.
    with pytest.raises(Conflict, match=f"{NEW} goes on from it") as late:
        await old.perform(money.withdraw, money.Withdraw(1), caller=floor.buyers[0], key="late")
    assert late.value.code == "log.ended"
    with pytest.raises(Conflict, match="has ended"):
        await old.head()
    await old.stop()
    await old.database.close()

    async with heirs_gate(second_database, house) as gate:
        assert await gate.read(venue.predecessor) == done.note
        reply = await gate.perform(money.withdraw, money.Withdraw(7), caller=floor.buyers[0], key="on")
        assert reply.index == kept + 1
        verify_receipt(await gate.receipt(reply.index), [Verifier.parse(HEIR.vkey)])
        # A receipt of the old log holds under the old key, and its tree is the beginning of the new one.
        old_root = verify_receipt(early, [Verifier.parse(OLD.vkey)])
        head, proof = await gate.read(_proven, old_root.size)
        verify_consistency(old_root.size, head.size, proof, old_root.root, head.root)

        # Whoever trusts both keys gets it confirmed, with what they hold of the old log.
        verdict = await judged(
            gate, tmp_path / "b.zip", HEIR.vkey, OLD.vkey, held=(seen, inside, early.checkpoint)
        )
        assert verdict.ok, verdict.explain("en")
        assert checked(verdict, "succession") == ("passed", "succession_ok")
        assert f"from entry {kept} on it goes on from {ORIGIN}" in verdict.explain("en")
        assert f"另有 {sizes[-1] - kept} 条曾被见到而已遗失" in verdict.explain("zh")
        assert checked(verdict, "held_checkpoints") == ("passed", "held_ok")
        # Whoever knows only the new key is told that the old one's word was not checked.
        verdict = await judged(gate, tmp_path / "c.zip", HEIR.vkey)
        assert verdict.ok
        assert checked(verdict, "succession") == ("not checked", "succession_own")
        # A checkpoint of the old log that the note keeps silent about is a fault, and so is another tree.
        beyond = sign(Checkpoint(ORIGIN, sizes[-1] + 1, bytes(32)), OLD)
        other = sign(Checkpoint(ORIGIN, sizes[2], bytes(32)), OLD)
        for held, saying in ((beyond, "held_undeclared"), (other, "held_root")):
            verdict = await judged(gate, tmp_path / "d.zip", HEIR.vkey, OLD.vkey, held=(held,))
            assert checked(verdict, "held_checkpoints") == ("failed", saying)
        verdict = await judged(gate, tmp_path / "e.zip", HEIR.vkey, OLD.vkey, held=(seen,))
        assert checked(verdict, "held_checkpoints") == ("not checked", "held_lost")
        # Deciding everything again goes on across the end, too.
        assert from_bundle(tmp_path / "e.zip").differences == []


async def _root_at(session: Any, size: int) -> bytes:
    connection = await driver(session)
    row = await (await connection.execute("SELECT peaks FROM log_chunk WHERE size = %s", (size,))).fetchone()
    assert row is not None
    return Edge.from_bytes(size, row[0]).root()


async def _proven(session: Any, old: int) -> tuple[Checkpoint, list[bytes]]:
    connection = await driver(session)
    head = (await read_head(connection)).checkpoint()
    return head, await prove_consistency(connection, old, head.size)


async def test_a_successor_is_recalled_like_any_log(
    house: House, database: Addresses, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    await house.gate.stop()
    await ended(database, house)
    async with heirs_gate(database, house) as gate:
        await gate.perform(money.withdraw, money.Withdraw(7), caller=floor.buyers[0], key="on")
        bundle = tmp_path / "all.zip"
        await gate.read(lambda session: oversight.export(session, bundle, gate.signer))
        settings = Settings(data_dir=tmp_path, origin=NEW, sandbox=True)
        keys = type(KEYS)(log=b"n" * 32, mac=KEYS.mac, links=KEYS.links)
        size = await recall(second_database.app_url, keys, settings, [bundle], lambda line: None)
    assert query(second_database, "SELECT origin, size FROM log_head") == [(NEW, size)]
    require_same(database, second_database)


async def test_the_end_is_one_step_that_can_be_repeated_and_is_refused_where_it_would_lie(
    house: House, database: Addresses
) -> None:
    await played(house)
    size = await house.log_size()
    foreign = sign(Checkpoint(ORIGIN, 3, bytes(32)), OLD)
    with pytest.raises(Conflict) as refused:
        await ended(database, house, foreign)
    assert refused.value.code == "succession.other_history"
    with pytest.raises(NoteError, match="none of them trusted"):
        await ended(database, house, sign(Checkpoint(NEW, 3, bytes(32)), HEIR))
    with pytest.raises(Unprocessable, match="log-ended"):
        await succeed(
            database.app_url, KEYS, ORIGIN, HEIR, reason="two\nlines", held=(), clock=lambda: house.now_us
        )
    with pytest.raises(Conflict) as refused:
        await ended(database, house, heir=OLD)
    assert refused.value.code == "succession.other_log"
    for caller in (house.administrator, Caller("x", "y", frozenset({"regulator"}))):
        with pytest.raises(Forbidden):
            await house.act(venue.succeed_log, venue.SucceedLog("", ""), caller)
    with pytest.raises(NotFound) as none:
        await house.gate.read(venue.predecessor)
    assert none.value.code == "log.no_predecessor"
    assert await house.log_size() == size

    first = await ended(database, house, seen=size + 9)
    assert (first.ended.lost, first.ended.seen_root) == (9, None)
    assert await ended(database, house) == first
    with pytest.raises(Conflict) as refused:
        await ended(database, house, heir=Signer(NEW, b"x" * 32))
    assert refused.value.code == "succession.other_key"
    with pytest.raises(Conflict) as refused:
        await ended(database, house, heir=Signer("exchange.example/third", b"x" * 32))
    assert refused.value.code == "succession.other_log"
    assert query(database, "SELECT size FROM log_head") == [(size + 1,)]


def end(**changed: Any) -> Ended:
    """The end of a log of three entries, or a lie about it."""
    edge = Edge.empty().append([leaf_hash(entry.leaf) for entry in BEFORE])
    true: dict[str, Any] = {
        "origin": ORIGIN, "size": 3, "root": edge.root(), "successor": HEIR.vkey, "seen_size": 3, "seen_root": None,
        "time_us": 7, "reason": REASON,
    }  # fmt: skip
    return Ended(**{**true, **changed})


BEFORE = [
    Entry.of(
        {"act": {}, "by": "p", "key": str(n), "kind": "test.act", "party": "q", "time": "7"}, bytes([n]) * 32
    )
    for n in range(3)
]


@pytest.mark.parametrize(
    ("note", "changed", "found"),
    [
        (sign_ended(end(), OLD), {}, ("passed", "succession_ok")),
        (sign_ended(end(root=bytes(32)), OLD), {}, ("failed", "another root")),
        (sign_ended(end(size=2), OLD).replace("seen 3\n", "seen 3 -\n"), {}, ("failed", "does not hold")),
        (sign_ended(end(size=4, seen_size=4), OLD), {}, ("failed", "ended with 4 entries")),
        (sign_ended(end(), Signer(ORIGIN, b"t" * 32)), {}, ("failed", "none of them trusted")),
        (sign_ended(end(), Signer("b", b"b" * 32)), {}, ("failed", "none of them trusted")),
        (sign_ended(end(successor=OLD.vkey), OLD), {}, ("failed", "it names")),
        (sign_ended(end(), OLD), {"vkey": OLD.vkey}, ("failed", "it names")),
        (sign_ended(end(), OLD), {"predecessor": None}, ("failed", "body")),
        ("no note", {}, ("failed", "no signatures")),
        (None, {}, ("not checked", "withheld")),
    ],
)  # fmt: skip
def test_the_judge_believes_no_end_but_the_one_that_the_ended_key_signed(
    tmp_path: Path, note: str | None, changed: dict[str, Any], found: tuple[str, str]
) -> None:
    act = {"note": note, "origin": NEW, "predecessor": {"vkey": OLD.vkey}, "vkey": HEIR.vkey, **changed}
    body = {"act": act, "by": "s", "key": "k", "kind": "log_succeeded", "party": "s", "time": "7"}
    entries = [*BEFORE, Entry.of(body, bytes(32))]
    edge = Edge.empty()
    notes = []
    for part in (BEFORE, entries[3:]):
        edge = edge.append([leaf_hash(entry.leaf) for entry in part])
        notes.append(sign(Checkpoint(NEW, edge.size, edge.root()), HEIR))
    with BundleWriter(tmp_path / "b.zip", origin=NEW, vkeys=[HEIR.vkey], sandbox=False) as bundle:
        shown = [Shown(entry.leaf, entry.salt, entry.body) for entry in entries]
        if note is None:
            shown[3] = Shown(entries[3].leaf, None, None)
        bundle.segment(shown, notes, [])
    verdict = audit(tmp_path / "b.zip", [HEIR.vkey, OLD.vkey])
    check = verdict.check("succession")
    assert check.status == found[0]
    assert found[1] in f"{check.saying} {check.detail}"
    assert verdict.ok == (found[0] != "failed")
    assert verdict.first_bad_index == (None if verdict.ok else 3)


async def test_cosignatures_of_the_ended_log_stay_with_it(
    house: House, database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    head = (await house.gate.head()).checkpoint()
    witness = Cosigner("witness.example", b"w" * 32)
    async with await house.gate.database.connect() as connection:
        await keep(connection, head.size, witness.vkey, witness.cosign(head.body(), 9), 9)
    done = await ended(database, house)
    async with heirs_gate(database, house) as gate:
        new = (await gate.head()).checkpoint()
        policy = Policy.k_of_n(HEIR.vkey, {"w": witness.vkey}, 1)
        verdict = await judged(gate, tmp_path / "a.zip", OLD.vkey, policy=policy)
        assert checked(verdict, "witnesses") == ("failed", "witnesses_short")
        assert checked(verdict, "signatures")[0] == "passed", verdict.explain("en")
        async with await gate.database.connect() as connection:
            begun = await venue.begun(connection)
            assert (begun, new.size) == (done.ended.size, done.ended.size + 1)
            assert await last_sizes(connection, begun) == {}
            assert await witnessed(connection, HEIR, None, begun) is None
            await keep(connection, new.size, witness.vkey, witness.cosign(new.body(), 9), 9)
            await connection.commit()
            assert await last_sizes(connection, begun) == {witness.vkey: new.size}
        assert (await judged(gate, tmp_path / "b.zip", OLD.vkey, policy=policy)).ok
    del floor


names = st.from_regex(r"[a-z][a-z0-9./-]{0,30}", fullmatch=True)
roots = st.binary(min_size=32, max_size=32)
reasons = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=80).filter(
    lambda text: text.isprintable() and bool(text.strip())
)


@given(
    origin=names, size=st.integers(1, 2**62), root=roots, heir=names, lost=st.integers(0, 1000),
    seen_root=st.none() | roots, time_us=st.integers(0, 2**62), reason=reasons,
)  # fmt: skip
def test_the_note_of_an_end_is_read_as_it_was_written(
    origin: str,
    size: int,
    root: bytes,
    heir: str,
    lost: int,
    seen_root: bytes | None,
    time_us: int,
    reason: str,
) -> None:
    said = Ended(
        origin,
        size,
        root,
        Signer(heir, b"h" * 32).vkey,
        size + lost,
        seen_root if lost else None,
        time_us,
        reason,
    )
    assert parse(said.text()) == said
    signer = Signer(origin, b"o" * 32)
    note = sign_ended(said, signer)
    assert open_ended(note, [Verifier.parse(signer.vkey)]) == said
    with pytest.raises(NoteError):
        Checkpoint.parse(said.text())  # it can never pass for a checkpoint
    with pytest.raises(NoteError):
        open_ended(sign(Checkpoint(origin, size, root), signer), [Verifier.parse(signer.vkey)])
    with pytest.raises(NoteError):
        open_ended(note, [Verifier.parse(Signer(origin, b"x" * 32).vkey)])


async def test_a_stranger_does_not_end_a_log_and_a_note_with_other_lines_is_none() -> None:
    said = Ended("a", 3, bytes(32), HEIR.vkey, 5, None, 7, "why")
    other = Signer("b", b"b" * 32)
    with pytest.raises(NoteError, match="ended by its own key"):
        open_ended(sign_ended(said, other), [Verifier.parse(other.vkey)])
    text = said.text()
    for changed in (
        text.replace("\n3\n", "\n0\n"),
        text.replace("\n3\n", "\n6\n"),
        text.replace("seen 5 -", "seen 5"),
        text.replace("seen 5 -", "seen 3 -"),
        text.replace("why", " "),
        text.replace("why", "w" * 1001),
        text + "more\n",
        text.replace(HEIR.vkey, "nobody"),
        text.replace("AAA=", "AAB="),
    ):
        assert changed != text
        with pytest.raises(NoteError):
            parse(changed)
