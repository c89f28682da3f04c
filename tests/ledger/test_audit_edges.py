"""The judge at its edges: periods that end before the log does, and bundles made to wear it out or to mislead it."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.audit import State, audit, audit_on
from ledger.bundle import BundleWriter, Row, Shown
from ledger.checkpoint import Checkpoint, sign
from ledger.errors import BundleError, NoteError
from ledger.merkle import Edge, consistency_proof, leaf_hash, root
from tests.ledger.logbook import LOG, ORIGIN, Market, failed, read, write


def period(
    path: Path,
    market: Market,
    first: int,
    last: int,
    later: str | None = None,
    proof: list[bytes] | None = None,
) -> Path:
    """Batches first … last of a market, with the newest checkpoint of its log behind them."""
    leaves = [leaf_hash(entry.leaf) for entry in market.entries]
    start, stop = market.sizes[first - 1] if first else 0, market.sizes[last]
    with BundleWriter(
        path, origin=ORIGIN, vkeys=[LOG.vkey], sandbox=True, start=Edge.empty().append(leaves[:start])
    ) as bundle:
        bundle.segment(
            [Shown(e.leaf, e.salt, e.body) for e in market.entries[start:stop]],
            market.notes[first : last + 1],
            [Row(t, sequence, i, market.state(t)) for t, sequence, i in market.rows if start <= i < stop],
        )
        if later is None:
            later, proof = market.notes[-1], grown(leaves, stop)
        bundle.later(later, proof or [])
    return path


def grown(leaves: list[bytes], size: int) -> list[bytes]:
    """The proof that the tree of all leaves grew from that of the first `size`."""

    def node(level: int, index: int) -> bytes:
        return root(leaves[index << level : (index + 1) << level])

    return consistency_proof(size, len(leaves), node)


# Periods that end before the log does


def test_a_period_accuses_nobody_of_a_checkpoint_that_lies_beyond_its_end(tmp_path: Path) -> None:
    for seed in range(12):
        market = Market(random.Random(f"period {seed}")).run(20)
        path = period(tmp_path / "b.zip", market, seed % 5, 10)
        for held, status in (
            (market.notes[:6], "passed"),
            (market.notes[7:8], "passed"),
            (market.notes[14:15], "not checked"),
            (market.notes[-1:], "passed"),
            (market.notes, "passed"),
        ):
            verdict = audit(path, [LOG.vkey], held=held)
            assert not failed(verdict), (seed, verdict.explain("en"))
            assert verdict.check("held_checkpoints").status == status


def test_a_period_with_the_checkpoint_that_it_begins_at_shows_its_growth_from_there(tmp_path: Path) -> None:
    market = Market(random.Random(6)).run(9)
    records = read(market.export(tmp_path / "b.zip", start=8))
    alone = audit(tmp_path / "b.zip", [LOG.vkey])
    assert alone.check("consistency").status == "not checked"
    records["checkpoints.jsonl"].insert(0, {"note": market.notes[7]})
    both = audit(write(records, tmp_path / "m.zip"), [LOG.vkey])
    assert both.check("consistency").facts == {"count": 1}
    forged = sign(Checkpoint(ORIGIN, market.sizes[7], bytes(32)), LOG)
    records["checkpoints.jsonl"][0] = {"note": forged}
    assert failed(audit(write(records, tmp_path / "m.zip"), [LOG.vkey])) == {"checkpoints", "consistency"}


def test_a_checkpoint_beyond_the_newest_shows_that_the_log_was_cut_back(tmp_path: Path) -> None:
    market = Market(random.Random(1)).run(20)
    path = period(tmp_path / "b.zip", market, 2, 10)
    more = market.run(1).notes[-1]
    check = audit(path, [LOG.vkey], held=[more]).check("held_checkpoints")
    assert (check.saying, check.first_bad_index) == ("held_beyond", market.sizes[-2])


def test_another_newest_checkpoint_than_the_held_one_is_a_rewritten_history(tmp_path: Path) -> None:
    market = Market(random.Random(2)).run(20)
    path = period(tmp_path / "b.zip", market, 2, 10)
    forged = sign(Checkpoint(ORIGIN, market.edge.size, bytes(32)), LOG)
    check = audit(path, [LOG.vkey], held=[forged]).check("held_checkpoints")
    assert (check.status, check.saying) == ("failed", "held_root")


def test_what_became_of_holds_is_not_judged_before_the_newest_entry(tmp_path: Path) -> None:
    market = Market(random.Random(5)).run(20)
    check = audit(period(tmp_path / "b.zip", market, 0, 9), [LOG.vkey]).check("transfer_rows")
    assert (check.status, check.saying) == ("not checked", "transfer_rows_later")
    assert check.unchecked == sum(
        transfer.kind == "pending" for transfer, _, index in market.rows if index < market.sizes[9]
    )


@pytest.mark.parametrize("later", ["the same", "of another log"])
def test_a_later_checkpoint_must_be_later_and_of_this_log(later: str, tmp_path: Path) -> None:
    """Otherwise who does not want the account rows to be judged only has to claim one."""
    market = Market(random.Random(3)).run(9)
    note = market.notes[-1]
    proof: list[bytes] = []
    if later == "of another log":
        leaves = [leaf_hash(entry.leaf) for entry in market.run(1).entries]
        note = sign(Checkpoint("exchange.example/other", len(leaves), root(leaves)), LOG)
        proof = grown(leaves, market.sizes[8])
    verdict = audit(period(tmp_path / "b.zip", market, 0, 8, note, proof), [LOG.vkey])
    assert not verdict.ok


def test_nothing_is_remembered_of_a_tree_that_nobody_signed(tmp_path: Path) -> None:
    claimed = Edge(4, (bytes(32),))
    with BundleWriter(tmp_path / "b.zip", origin=ORIGIN, vkeys=[LOG.vkey], sandbox=True, start=claimed):
        pass
    verdict, state = audit_on(tmp_path / "b.zip", [LOG.vkey], None)
    assert verdict.check("checkpoints").status == "not checked"
    assert state is None
    known = State(ORIGIN, claimed, 7, None)
    assert audit_on(tmp_path / "b.zip", [LOG.vkey], known)[1] == known


# Bundles made to wear the judge out, or to mislead it


def test_a_body_of_a_known_shape_is_no_longer_than_any_other(tmp_path: Path) -> None:
    shown = []
    for number, length in enumerate((10, 65_535)):
        body = b'{"act":"%s","kind":"a.b","time":"%d"}' % (b"y" * length, number)
        salt = bytes([number]) * 32
        digest = sha256(salt + body).hexdigest().encode()
        shown.append(Shown(b'{"digest":"%s","kind":"a.b","time":"%d"}' % (digest, number), salt, body))
    edge = Edge.empty().append([leaf_hash(entry.leaf) for entry in shown])
    with BundleWriter(tmp_path / "b.zip", origin=ORIGIN, vkeys=[LOG.vkey], sandbox=True) as bundle:
        bundle.segment(shown, [sign(Checkpoint(ORIGIN, 2, edge.root()), LOG)], [])
    check = audit(tmp_path / "b.zip", [LOG.vkey]).check("bodies")
    assert (check.saying, check.first_bad_index) == ("body_form", 1)


PEAK = """
import sys
from ledger.audit import audit
from ledger.errors import BundleError
try:
    audit(sys.argv[1], None, processes=1)
except BundleError as error:
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(error.field, int(peak) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory of a process from /proc")
@pytest.mark.parametrize("name", ["manifest.json", "anchors.json", "segments/00000000/bodies.jsonl"])
def test_a_member_that_says_less_than_it_holds_takes_no_memory(name: str, tmp_path: Path) -> None:
    write(read(Market(random.Random(4)).run(5).export(tmp_path / "b.zip")), tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as bundle:
        members = {info.filename: bundle.read(info) for info in bundle.infolist()}
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for other, content in members.items():
            if other != name:
                bundle.writestr(other, content)
        with bundle.open(name, "w") as member:
            member.write(members[name])
            for _ in range(256):
                member.write(bytes(1 << 20))
    data = bytearray(path.read_bytes())
    for mark, size_at, name_at in ((b"PK\1\2", 24, 46), (b"PK\3\4", 22, 30)):  # APPNOTE 4.3.7, 4.3.12
        at = data.find(mark)
        while at >= 0:
            if data[at + name_at :].startswith(name.encode()):
                data[at + size_at : at + size_at + 4] = struct.pack("<I", len(members[name]))
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    done = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True)
    field, peak_mib = done.stdout.split()
    assert field == name
    assert int(peak_mib) < 200


def test_an_account_that_is_claimed_twice_to_a_party_is_found(tmp_path: Path) -> None:
    market = Market(random.Random("party 1")).run(30)
    own = sorted(market.accounts)[1:3]
    records = read(market.export(tmp_path / "b.zip", own=own))
    row = records["accounts.jsonl"][0]
    records["accounts.jsonl"].insert(0, {**row, "credits_posted": "77777777"})
    check = audit(write(records, tmp_path / "m.zip"), [LOG.vkey]).check("account_rows")
    assert (check.status, check.saying) == ("failed", "account_row_twice")


ODD: tuple[Any, ...] = (
    None, True, 7, -1, 1.5, 10**30, "", "x", "-1", "01", "٣", "9" * 19, "9" * 400, "\ud7ff\ue000", "\x00",
    "e\u0301", "0" * 64, [], [[]], {}, {"id": 1}, [None], {"chunks": {}}, "data-asset-exchange-bundle@2",
)  # fmt: skip
"""Values where others are expected."""


def garbled(value: Any, chance: random.Random) -> Any:
    """The same with one of its members, somewhere, lost, doubled, or made odd."""
    if isinstance(value, dict) and value and chance.random() < 0.95:
        name = chance.choice(sorted(value))
        if chance.random() < 0.1:
            return {other: value[other] for other in value if other != name}
        return {**value, name: garbled(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.95:
        at = chance.randrange(len(value))
        more = chance.choice([[], [value[at]]]) if chance.random() < 0.1 else [garbled(value[at], chance)]
        return [*value[:at], *more, *value[at + 1 :]]
    if isinstance(value, str) and value.startswith("{") and chance.random() < 0.8:
        try:
            return json.dumps(garbled(json.loads(value), chance), sort_keys=True, separators=(",", ":"))
        except json.JSONDecodeError:
            return value[:-1]
    return chance.choice(ODD)


def whole(market: Market, path: Path) -> Path:
    return market.export(path)


def of_a_period(market: Market, path: Path) -> Path:
    return period(path, market, 3, 8)


def of_a_party(market: Market, path: Path) -> Path:
    return market.export(path, lambda index: index % 3 > 0, own=sorted(market.accounts)[:2])


@pytest.mark.parametrize("made", [whole, of_a_period, of_a_party])
def test_whatever_a_member_says_there_is_a_verdict_or_a_named_error(
    made: Callable[[Market, Path], Path], tmp_path: Path
) -> None:
    verdicts = 0
    for seed in range(250):
        chance = random.Random(f"garbled {made.__name__} {seed}")
        if seed % 40 == 0:
            market = Market(chance, large=0.05).run(12)
            honest = read(made(market, tmp_path / "b.zip"))
        records = honest
        for _ in range(chance.randrange(1, 4)):
            member = chance.choice(sorted(records))
            records = {**records, member: garbled(records[member], chance)}
        try:
            path = write(records, tmp_path / "m.zip")
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # the hand that writes needs more sense than the judge
        try:
            verdict, state = audit_on(path, [LOG.vkey], None, held=market.notes[:2], processes=1)
        except (BundleError, NoteError):
            continue
        verdicts += 1
        assert verdict.explain("en")
        assert json.dumps(verdict.to_json())
        assert state is None or State.from_bytes(state.to_bytes()).to_bytes() == state.to_bytes()
    assert verdicts > 50
