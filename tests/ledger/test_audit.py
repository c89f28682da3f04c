"""The judge against a mutator that recomputes everything and lacks only the keys.

A log is simulated from a seed and exported; records of the bundle are then changed, and whatever follows from
them without a key (leaf digests, indexes, table rows, anchors, the manifest) is computed anew. The judge must
find every change, name the right check and an index, or a batch, that holds it; and accuse no honest bundle.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.audit import audit
from ledger.bundle import BundleWriter, Shown
from ledger.checkpoint import Checkpoint, Cosigner, sign
from ledger.entries import Entry, canonical, commitment
from ledger.errors import AbsentError, BundleError, NoteError, UnansweredError
from ledger.merkle import leaf_hash, root
from ledger.policy import Policy
from ledger.postings import (
    Account,
    Transfer,
    account_to_json,
    transfer_to_json,
)
from ledger.verdict import CHECKS, SAYINGS
from tests.ledger.logbook import (
    LOG,
    ORIGIN,
    SEGMENT_0,
    THIEF,
    WITNESS,
    Market,
    Records,
    failed,
    leaves_of,
    read,
    recompute,
    set_by,
    signed_again,
    statuses,
    write,
)
from tests.ledger.mutations import HISTORY, SMALL, delete, edit_author, insert, move, swap

POLICY = Policy.k_of_n(LOG.vkey, {"regulator": WITNESS.vkey}, 1)


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Market, Records, Path]]:
    folder = tmp_path_factory.mktemp("bundles")
    made = []
    for seed in range(12):
        market = Market(random.Random(seed)).run(8 + seed)
        path = market.export(folder / f"{seed}.zip")
        made.append((market, read(path), path))
    return made


def chain_of(market: Market) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
    """What a chain shows that kept the market's anchors."""
    leaves = [leaf_hash(entry.leaf) for entry in market.entries]
    kept = {anchor["tx"]: (anchor["size"], root(leaves[: anchor["size"]])) for anchor in market.anchors()}

    def read_anchor(anchor: dict[str, Any]) -> tuple[int, bytes]:
        if anchor["tx"] not in kept:
            raise AbsentError(
                "no such transaction", field="tx", rule="it is on the chain", remedy="look again"
            )
        return kept[anchor["tx"]]

    return read_anchor


def test_an_honest_bundle_passes_every_check(markets: list[tuple[Market, Records, Path]]) -> None:
    for market, _, path in markets:
        verdict = audit(path, None, chain_of(market), held=market.notes[2:4], policy=POLICY)
        assert statuses(verdict) == dict.fromkeys(CHECKS, "passed"), verdict.explain("en")
        assert verdict.ok
        assert verdict.first_bad_index is None
        assert (verdict.size, verdict.root) == (market.edge.size, market.edge.root())
        assert {name: (a.balance, a.available) for name, a in verdict.balances.items()} == {
            name: (a.balance, a.available) for name, a in market.accounts.items()
        }


def test_an_honest_bundle_written_again_by_another_hand_passes(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    for market, records, _ in markets[:4]:
        again = deepcopy(records)
        recompute(again)
        assert again == {**records, "manifest.json": again["manifest.json"]}
        verdict = audit(write(again, tmp_path / "again.zip"), [LOG.vkey], chain_of(market), held=market.notes)
        assert not failed(verdict)


def batch_of(market: Market, index: int) -> range:
    """The entries that the first checkpoint behind `index` signs for anew."""
    end = next((size for size in market.sizes if size > index), market.edge.size)
    start = max((size for size in market.sizes if size <= index), default=0)
    return range(start, end)


@pytest.mark.parametrize("change", HISTORY, ids=lambda change: change.__name__)
def test_a_rewritten_history_is_found_in_the_right_batch_whatever_was_recomputed(
    change: Callable[[Records, random.Random], int | None],
    markets: list[tuple[Market, Records, Path]],
    tmp_path: Path,
) -> None:
    cases = 0
    for seed in range(40):
        chance = random.Random(f"{change.__name__} {seed}")
        market, honest, _ = markets[seed % len(markets)]
        records = deepcopy(honest)
        index = change(records, chance)
        recompute(records)
        if index is None or leaves_of(records) == leaves_of(honest):
            continue
        cases += 1
        verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey])
        check = verdict.check("checkpoints")
        assert check.status == "failed", (seed, verdict.explain("en"))
        batch = batch_of(market, index)
        assert (check.first_bad_index, check.last_bad_index) == (batch.start, batch[-1])
        assert index in batch
        assert not verdict.ok
        assert verdict.first_bad_index is not None
        assert verdict.first_bad_index <= index
    assert cases >= 30


@pytest.mark.parametrize("change", SMALL, ids=lambda change: change.__name__)
def test_a_body_that_was_changed_without_its_leaf_is_found_at_its_very_index(
    change: Callable[[Records, random.Random], int | None],
    markets: list[tuple[Market, Records, Path]],
    tmp_path: Path,
) -> None:
    for seed in range(15):
        market, honest, _ = markets[seed % len(markets)]
        records = deepcopy(honest)
        index = change(records, random.Random(f"{change.__name__} {seed}"))
        verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey], chain_of(market))
        assert failed(verdict) == {"bodies"}
        assert verdict.check("bodies").saying == "body_digest"
        assert verdict.first_bad_index == verdict.check("bodies").last_bad_index == index
        assert verdict.check("account_rows").status == "not checked"
        assert verdict.balances == {}


@pytest.mark.parametrize("change", [swap, move], ids=lambda change: change.__name__)
def test_entries_out_of_place_are_found_in_their_batch(
    change: Callable[[Records, random.Random], int | None],
    markets: list[tuple[Market, Records, Path]],
    tmp_path: Path,
) -> None:
    for seed in range(10):
        market, honest, _ = markets[seed % len(markets)]
        records = deepcopy(honest)
        index = change(records, random.Random(f"{change.__name__} {seed}"))
        assert index is not None
        check = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey]).check("checkpoints")
        assert check.first_bad_index == batch_of(market, index).start


@pytest.mark.parametrize("change", [delete, insert], ids=lambda change: change.__name__)
def test_another_number_of_entries_than_the_manifest_claims_is_refused_by_member(
    change: Callable[[Records, random.Random], int | None],
    markets: list[tuple[Market, Records, Path]],
    tmp_path: Path,
) -> None:
    records = deepcopy(markets[0][1])
    change(records, random.Random(change.__name__))
    assert refusal(write(records, tmp_path / "mutated.zip")).field.endswith("leaves.jsonl")


# Changes to the tables: each gives the check that must fail, and the index it must name.


def test_a_changed_account_row_names_table_identifier_and_the_entry_that_last_set_it(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    for seed in range(40):
        chance = random.Random(f"account {seed}")
        market, honest, _ = markets[seed % len(markets)]
        records = deepcopy(honest)
        rows = records["accounts.jsonl"]
        row = chance.choice(rows)
        member = chance.choice([name for name in row if name != "id"])
        if member == "closed":
            row[member] = not row[member]
        else:
            row[member] = str(int(row[member]) + 1) if row[member].isdigit() else row[member] + "x"
        verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey], chain_of(market))
        check = verdict.check("account_rows")
        assert failed(verdict) == {"account_rows"}
        assert check.first_bad_index == verdict.first_bad_index == set_by(market, row["id"])
        assert check.faults == 1
        for word in ("accounts", row["id"], member, str(row[member]), str(check.first_bad_index)):
            assert word in check.detail
            assert word in check.explain("zh")


def test_account_rows_that_are_missing_invented_or_doubled_are_found(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    for market, honest, _ in markets:
        chance = random.Random(market.edge.size)
        rows = honest["accounts.jsonl"]
        row = chance.choice(rows)
        at = set_by(market, row["id"])
        for changed, saying, index in (
            ([other for other in rows if other is not row], "account_row_missing", at),
            ([*rows, {**row, "id": "account-x"}], "account_row_unknown", None),
            ([*rows, row], "account_row_twice", at),
        ):
            records = {**honest, "accounts.jsonl": changed}
            verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey], chain_of(market))
            assert failed(verdict) == {"account_rows"}
            check = verdict.check("account_rows")
            assert (check.saying, check.first_bad_index) == (saying, index)


def test_a_changed_transfer_row_names_the_entry_that_carries_it(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    for seed in range(40):
        chance = random.Random(f"transfer {seed}")
        market, honest, _ = markets[seed % len(markets)]
        records = deepcopy(honest)
        row = chance.choice(records["transfers.jsonl"])
        member = chance.choice([name for name in row if name not in ("sequence", "state")])
        row[member] = f"{row[member]}1"
        verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey], chain_of(market))
        check = verdict.check("transfer_rows")
        assert failed(verdict) == {"transfer_rows"}
        carried = next(index for _, sequence, index in market.rows if str(sequence) == row["sequence"])
        assert check.first_bad_index == carried
        assert check.facts["member"] == member


def test_the_state_of_a_hold_is_judged_by_what_became_of_it(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    seen = set()
    for market, honest, _ in markets:
        for place, row in enumerate(honest["transfers.jsonl"]):
            if row["kind"] != "pending":
                continue
            end = next((index for transfer, _, index in market.rows if transfer.pending == row["id"]), None)
            seen.add(row["state"])
            records = deepcopy(honest)
            records["transfers.jsonl"][place]["state"] = "posted" if row["state"] != "posted" else "pending"
            verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey], chain_of(market))
            assert failed(verdict) == {"transfer_rows"}
            assert verdict.first_bad_index == (int(row["index"]) if end is None else end)
            break
    assert len(seen) > 1


def test_transfer_rows_that_are_missing_invented_doubled_or_swapped_are_found(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    for market, honest, _ in markets:
        chance = random.Random(market.edge.size)
        rows: list[dict[str, Any]] = honest["transfers.jsonl"]
        at = chance.randrange(len(rows) - 1)
        row, behind = rows[at], rows[at + 1]
        above = {**row, "id": "transfer-x", "sequence": str(len(rows) + 1)}
        renumbered = [{**other, "sequence": str(n)} for n, other in enumerate(rows[:at] + rows[at + 1 :], 1)]
        for changed, index in (
            (rows[:at] + rows[at + 1 :], int(row["index"])),
            (renumbered, int(row["index"])),
            ([*rows, above], 0),  # beside the only segment, which begins there
            ([*rows[: at + 1], row, *rows[at + 1 :]], int(row["index"])),
            ([*rows[:at], behind, row, *rows[at + 2 :]], int(row["index"])),
        ):
            records = {**honest, "transfers.jsonl": changed}
            verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey], chain_of(market))
            assert failed(verdict) == {"transfer_rows"}
            assert verdict.first_bad_index == index


# Laws that a log may break although every key signed it: the log itself is written wrongly.


def amend(records: Records, index: int, change: Callable[[dict[str, Any]], None]) -> int:
    body = json.loads(records["entries.jsonl"][index]["body"])
    change(body)
    records["entries.jsonl"][index]["body"] = canonical(body).decode()
    return index


def payers(records: Records) -> list[int]:
    return [i for i, line in enumerate(records["entries.jsonl"]) if json.loads(line["body"]).get("transfers")]


def law_breakers() -> dict[str, tuple[str, str, Callable[[Records], int]]]:
    def first_transfer(records: Records, place: int = -1) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(records["entries.jsonl"][payers(records)[place]]["body"])[
            "transfers"
        ][0]
        return value

    def overdraw(records: Records) -> int:
        over = Transfer("over", "post", "account-1", "account-0", 10**15, "CNY", "sale")
        return amend(records, 9, lambda body: body.update(transfers=[transfer_to_json(over)]))

    def repeat(records: Records) -> int:
        old = first_transfer(records, 0)
        at = payers(records)[-1]
        return amend(records, at, lambda body: body["transfers"].append(old))

    def open_twice(records: Records) -> int:
        again = account_to_json(Account("account-0", "CNY", "cash", "none"))
        return amend(records, 11, lambda body: body.update(accounts=[again]))

    def take_twice(records: Records) -> int:
        bodies = [json.loads(line["body"]) for line in records["entries.jsonl"]]
        taken = next(t for b in bodies for t in b.get("transfers", []) if t["pending"])
        last = len(bodies) - 1
        return amend(records, last, lambda body: body.update(transfers=[{**taken, "id": "again"}]))

    def garbled_transfer(records: Records) -> int:
        return amend(records, 8, lambda body: body.update(transfers=[{"id": "x"}]))

    def garbled_transfers(records: Records) -> int:
        return amend(records, 8, lambda body: body.update(transfers=None))

    def garbled_account(records: Records) -> int:
        return amend(records, 8, lambda body: body.update(accounts=["x"]))

    def earlier(records: Records) -> int:
        return amend(records, 7, lambda body: body.update(time="1"))

    return {
        "overdraw": ("transfers", "transfer_refused", overdraw),
        "repeat": ("transfers", "transfer_twice", repeat),
        "open_twice": ("accounts", "account_twice", open_twice),
        "take_twice": ("transfers", "transfer_refused", take_twice),
        "garbled_transfer": ("transfers", "transfer_form", garbled_transfer),
        "garbled_transfers": ("transfers", "transfer_form", garbled_transfers),
        "garbled_account": ("accounts", "account_form", garbled_account),
        "earlier": ("time", "time_back", earlier),
    }


@pytest.mark.parametrize("name", law_breakers())
def test_a_law_that_the_log_itself_broke_is_found_at_its_index(
    name: str, markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    check, saying, change = law_breakers()[name]
    for _, honest, _ in markets[2:]:
        records = deepcopy(honest)
        index = change(records)
        verdict = audit(signed_again(records, tmp_path / "wrong.zip"), [LOG.vkey])
        found = verdict.check(check)
        assert (found.status, found.saying, found.first_bad_index) == ("failed", saying, index), (
            verdict.explain("en")
        )
        assert not failed(verdict) & {"leaves", "bodies", "checkpoints", "consistency", "signatures"}


def test_a_leaf_that_misstates_its_body_is_found_at_its_index(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    records = deepcopy(markets[0][1])
    line = records["entries.jsonl"][5]
    body = json.loads(line["body"])
    lying = Entry("auctions.close", int(body["time"]), bytes.fromhex(line["salt"]), line["body"].encode())
    line["leaf"] = lying.leaf.decode()
    verdict = audit(write(records, tmp_path / "lie.zip"), [LOG.vkey])
    check = verdict.check("bodies")
    assert (check.status, check.saying, check.first_bad_index) == ("failed", "body_envelope", 5)


@pytest.mark.parametrize(
    ("member", "value", "check"),
    [
        ("leaf", "?", "leaves"),
        ("leaf", None, "leaves"),
        ("leaf", "{}", "leaves"),
        ("salt", None, "bodies"),
        ("salt", "00", "bodies"),
        ("body", "7", "bodies"),
        ("body", None, "bodies"),
    ],
)
def test_a_garbled_entry_is_a_failed_check_at_its_index(
    member: str, value: object, check: str, markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    records = deepcopy(markets[1][1])
    records["entries.jsonl"][6][member] = value
    verdict = audit(write(records, tmp_path / "garbled.zip"), [LOG.vkey])
    assert verdict.check(check).status == "failed"
    assert verdict.check(check).first_bad_index == verdict.check(check).last_bad_index == 6


def test_a_body_that_is_not_canonical_is_found_although_its_digest_holds(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    records = deepcopy(markets[1][1])
    line = records["entries.jsonl"][3]
    entry = Entry("auctions.bid", 1_700_000_000_000_000, bytes.fromhex(line["salt"]), b'{"b":"1", "a":"2"}')
    line |= {"body": entry.body.decode(), "leaf": entry.leaf.decode()}
    check = audit(write(records, tmp_path / "garbled.zip"), [LOG.vkey]).check("bodies")
    assert (check.status, check.saying, check.first_bad_index) == ("failed", "body_form", 3)


# Witnesses


def test_the_quorum_of_a_policy_is_found_and_what_it_does_not_cover_is_counted(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    _, honest, path = markets[3]
    check = audit(path, None, policy=POLICY).check("witnesses")
    assert (check.status, check.facts["behind"]) == ("passed", 0)
    assert "regulator" in check.explain("zh")
    fewer = deepcopy(honest)
    last = fewer["checkpoints.jsonl"][-1]
    last["note"] = "".join(line for line in last["note"].splitlines(True) if WITNESS.name not in line)
    check = audit(write(fewer, tmp_path / "fewer.zip"), None, policy=POLICY).check("witnesses")
    assert check.status == "passed"
    assert int(check.facts["behind"]) > 0
    assert audit(path, [LOG.vkey]).check("witnesses").status == "not checked"


def test_a_quorum_that_is_not_there_fails_and_a_forged_cosignature_too(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    _, honest, path = markets[3]
    stranger = Cosigner("other.example", b"\x09" * 32)
    two = Policy.k_of_n(LOG.vkey, {"regulator": WITNESS.vkey, "other": stranger.vkey}, 2)
    verdict = audit(path, None, policy=two)
    assert failed(verdict) == {"witnesses"}
    assert "2" in verdict.check("witnesses").detail
    forged = deepcopy(honest)
    notes = [row["note"] for row in forged["checkpoints.jsonl"]]
    line = next(one for one in notes[0].splitlines(True) if WITNESS.name in one)
    forged["checkpoints.jsonl"][-1]["note"] = (
        notes[-1].rpartition("\n\n")[0]
        + "\n\n"
        + "".join(
            line if WITNESS.name in one else one for one in notes[-1].rpartition("\n\n")[2].splitlines(True)
        )
    )
    verdict = audit(write(forged, tmp_path / "forged.zip"), None, policy=POLICY)
    assert "signatures" in failed(verdict)


# Checkpoints and keys


def test_keys_that_came_in_the_bundle_prove_nothing(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, honest, path = markets[3]
    verdict = audit(path, None, chain_of(market), held=market.notes[:1])
    assert verdict.ok
    assert verdict.not_checked == ["signatures", "witnesses", "held_checkpoints"]
    forged = deepcopy(honest)
    leaves = leaves_of(forged)
    forged["checkpoints.jsonl"] = [{"note": sign(Checkpoint(ORIGIN, len(leaves), root(leaves)), THIEF)}]
    forged["manifest.json"]["vkeys"] = [THIEF.vkey]
    file = write(forged, tmp_path / "forged.zip")
    assert audit(file, None).check("signatures").status == "not checked"
    assert failed(audit(file, [LOG.vkey])) == {"signatures"}
    assert failed(audit(file, [])) == {"signatures"}


def test_a_checkpoint_that_only_a_witness_signed_is_not_the_logs(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, honest, _ = markets[3]
    records = deepcopy(honest)
    checkpoint = Checkpoint(ORIGIN, market.edge.size, market.edge.root())
    records["checkpoints.jsonl"][-1]["note"] = checkpoint.body() + "\n" + WITNESS.cosign(checkpoint.body(), 5)
    file = write(records, tmp_path / "witnessed.zip")
    verdict = audit(file, [LOG.vkey, WITNESS.vkey])
    assert failed(verdict) == {"signatures"}
    assert verdict.first_bad_index == market.sizes[-2]
    assert not failed(audit(file, [WITNESS.vkey]))


def note_changes() -> dict[str, tuple[set[str], Callable[[list[dict[str, Any]], random.Random], None]]]:
    def other_root(notes: list[dict[str, Any]], chance: random.Random) -> None:
        note = chance.choice(notes)
        origin, size, _, rest = note["note"].split("\n", 3)
        note["note"] = "\n".join((origin, size, base64.b64encode(chance.randbytes(32)).decode(), rest))

    def other_size(notes: list[dict[str, Any]], chance: random.Random) -> None:
        origin, size, rest = notes[-1]["note"].split("\n", 2)
        notes[-1]["note"] = "\n".join((origin, str(int(size) + 1), rest))

    def swapped(notes: list[dict[str, Any]], chance: random.Random) -> None:
        at = chance.randrange(len(notes) - 1)
        notes[at], notes[at + 1] = notes[at + 1], notes[at]

    def last_dropped(notes: list[dict[str, Any]], chance: random.Random) -> None:
        notes.pop()

    def all_dropped(notes: list[dict[str, Any]], chance: random.Random) -> None:
        notes.clear()

    def garbled(notes: list[dict[str, Any]], chance: random.Random) -> None:
        chance.choice(notes)["note"] = "nothing"

    def not_text(notes: list[dict[str, Any]], chance: random.Random) -> None:
        chance.choice(notes)["note"] = 5

    def unsigned(notes: list[dict[str, Any]], chance: random.Random) -> None:
        note = chance.choice(notes)
        text, _, lines = note["note"].rpartition("\n\n")
        note["note"] = f"{text}\n\n" + lines.split("\n", 1)[1]

    def other_log(notes: list[dict[str, Any]], chance: random.Random) -> None:
        notes[0]["note"] = sign(Checkpoint("exchange.example/other", 1, chance.randbytes(32)), LOG)

    return {
        "other_root": ({"checkpoints", "consistency", "signatures"}, other_root),
        "other_size": ({"checkpoints", "signatures"}, other_size),
        "swapped": ({"consistency"}, swapped),
        "last_dropped": ({"checkpoints"}, last_dropped),
        "all_dropped": ({"checkpoints"}, all_dropped),
        "garbled": ({"checkpoints"}, garbled),
        "not_text": ({"checkpoints"}, not_text),
        "unsigned": ({"signatures"}, unsigned),
        "other_log": ({"checkpoints"}, other_log),
    }


@pytest.mark.parametrize("name", note_changes())
def test_a_changed_checkpoint_fails_the_checks_that_it_must(
    name: str, markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    expected, change = note_changes()[name]
    for seed, (market, honest, _) in enumerate(markets):
        records = deepcopy(honest)
        change(records["checkpoints.jsonl"], random.Random(f"{name} {seed}"))
        verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey], chain_of(market))
        assert failed(verdict) == expected, verdict.explain("en")


def test_a_log_cut_back_to_an_earlier_checkpoint_is_seen_only_by_who_holds_a_later_one(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    for market, honest, _ in markets:
        size = market.sizes[-3]
        records = deepcopy(honest)
        del records["entries.jsonl"][size:]
        del records["checkpoints.jsonl"][-2:]
        names = {t for line in records["entries.jsonl"] for t in line["body"].split('"')}
        records["openings.jsonl"] = [row for row in honest["openings.jsonl"] if row["commitment"] in names]
        recompute(records)
        file = write(records, tmp_path / "young.zip")
        assert not failed(audit(file, [LOG.vkey]))
        verdict = audit(file, [LOG.vkey], held=market.notes[-1:])
        assert failed(verdict) == {"held_checkpoints"}
        assert verdict.first_bad_index == size


def test_a_history_rewritten_with_the_stolen_key_is_seen_by_who_holds_two_checkpoints(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    for market, honest, _ in markets:
        records = deepcopy(honest)
        index = edit_author(records, random.Random(market.edge.size))
        assert index is not None
        file = signed_again(records, tmp_path / "stolen.zip")
        assert not failed(audit(file, [LOG.vkey]))
        verdict = audit(file, [LOG.vkey], held=market.notes)
        assert failed(verdict) == {"held_checkpoints"}
        check = verdict.check("held_checkpoints")
        batch = batch_of(market, index)
        assert (check.first_bad_index, check.last_bad_index) == (batch.start, batch[-1])


def test_a_held_checkpoint_must_itself_be_trusted_and_of_this_log(
    markets: list[tuple[Market, Records, Path]],
) -> None:
    market, _, path = markets[0]
    checkpoint = Checkpoint(ORIGIN, market.edge.size, market.edge.root())
    foreign = Checkpoint("exchange.example/other", 1, bytes(32))
    for note, saying in (
        ("nothing", "held_form"),
        (sign(checkpoint, THIEF), "held_form"),
        (sign(foreign, LOG), "held_origin"),
    ):
        check = audit(path, [LOG.vkey], held=[note]).check("held_checkpoints")
        assert (check.status, check.saying) == ("failed", saying)


def test_a_key_that_is_no_key_is_an_error_of_the_caller(markets: list[tuple[Market, Records, Path]]) -> None:
    with pytest.raises(NoteError):
        audit(markets[0][2], ["nothing"])


# Openings, anchors, manifest


def test_openings_are_checked_and_erased_ones_are_not_judged(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, honest, _ = next(each for each in markets if len(each[1]["openings.jsonl"]) > 2)
    row = honest["openings.jsonl"][1]
    at = next(i for i, e in enumerate(market.entries) if row["commitment"] in e.body.decode())
    cases: list[tuple[dict[str, Any], str, str, int | None]] = [
        ({**row, "value": "another"}, "failed", "opening_value", at),
        ({**row, "salt": "00" * 32}, "failed", "opening_value", at),
        ({**row, "salt": "00"}, "failed", "opening_form", None),
        ({**row, "value": "e\u0301"}, "failed", "opening_form", None),
        ({**row, "value": None}, "failed", "opening_form", None),
        ({**row, "commitment": "x"}, "failed", "opening_form", None),
        (
            {**row, "commitment": commitment(bytes(32), "x"), "salt": "00" * 32, "value": "x"},
            "failed",
            "opening_unknown",
            None,
        ),
        ({**row, "salt": None, "value": None}, "not checked", "openings_erased", None),
    ]
    for changed, status, saying, index in cases:
        records = {**honest, "openings.jsonl": [honest["openings.jsonl"][0], changed]}
        verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey])
        check = verdict.check("openings")
        assert (check.status, check.saying, check.first_bad_index) == (status, saying, index)
        assert verdict.ok == (status != "failed")
    assert "not judged: erased: 1" in check.detail
    none = audit(write({**honest, "openings.jsonl": []}, tmp_path / "none.zip"), [LOG.vkey])
    assert none.check("openings").status == "not checked"


def test_an_anchor_counts_only_when_the_chain_itself_shows_it(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, honest, path = markets[5]

    def unreachable(anchor: dict[str, Any]) -> tuple[int, bytes]:
        raise ConnectionRefusedError("nobody answers")

    def silent(anchor: dict[str, Any]) -> tuple[int, bytes]:
        raise UnansweredError("no answer", field="rpc_url", rule="a node answers", remedy="try another")

    def another(anchor: dict[str, Any]) -> tuple[int, bytes]:
        return int(anchor["size"]), bytes(32)

    for reader, status, saying in (
        (None, "not checked", "anchors_unread"),
        (unreachable, "not checked", "anchors_unreachable"),
        (silent, "not checked", "anchors_unreachable"),
        (another, "failed", "anchor_chain"),
        (chain_of(market), "passed", "anchors_ok"),
    ):
        check = audit(path, [LOG.vkey], reader).check("anchors")
        assert (check.status, check.saying) == (status, saying)
    size = market.sizes[3]
    for member, value, saying, index in (
        ("root", "00" * 32, "anchor_root", 0),
        ("size", str(size - 1), "anchor_root", 0),
        ("size", str(market.edge.size + 1), "anchor_beyond", market.edge.size),
        ("tx", "0x00", "anchor_absent", None),
        ("size", "x", "anchor_form", None),
        ("root", "x", "anchor_form", None),
        ("tx", None, "anchor_form", None),
    ):
        records = deepcopy(honest)
        records["anchors.json"][0][member] = value
        verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey], chain_of(market))
        check = verdict.check("anchors")
        assert (check.status, check.saying, check.first_bad_index) == ("failed", saying, index)
        assert failed(verdict) == {"anchors"}
    # What was not yet final when it was told may be gone since, which accuses nobody and proves nothing.
    records = deepcopy(honest)
    records["anchors.json"][0] |= {"tx": "0x00", "state": "confirmed"}
    check = audit(write(records, tmp_path / "early.zip"), [LOG.vkey], chain_of(market)).check("anchors")
    assert (check.status, check.saying, check.unchecked) == ("not checked", "anchor_taken_back", 1)
    none = audit(write({**honest, "anchors.json": []}, tmp_path / "none.zip"), [LOG.vkey], chain_of(market))
    assert none.check("anchors").status == "not checked"


def test_a_manifest_that_claims_another_size_or_root_fails(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, honest, _ = markets[2]
    for size in (market.edge.size + 1, market.edge.size - 1):
        records = {**honest, "manifest.json": {**honest["manifest.json"], "size": str(size)}}
        assert refusal(write(records, tmp_path / "mutated.zip")).field.endswith("leaves.jsonl")
    records = {**honest, "manifest.json": {**honest["manifest.json"], "root": "00" * 32}}
    assert failed(audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey])) == {"manifest"}
    records = deepcopy(honest)
    records["manifest.json"]["origin"] = "exchange.example/other"
    assert "checkpoints" in failed(audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey]))


# What a reader may not see


def test_what_depends_on_undisclosed_bodies_is_not_checked_and_counted(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, _, _ = markets[6]
    size = market.edge.size
    hidden = {7, 9, size - 1}
    path = market.export(tmp_path / "some.zip", lambda index: index not in hidden)
    verdict = audit(path, [LOG.vkey], chain_of(market), held=market.notes)
    assert verdict.ok
    fold = ["accounts", "transfers", "double_entry", "account_rows", "transfer_rows"]
    assert (
        {"bodies", "witnesses", *fold}
        <= set(verdict.not_checked)
        <= {"bodies", "witnesses", *fold, "openings"}
    )
    assert (verdict.check("bodies").unchecked, verdict.check("bodies").facts["first"]) == (3, 7)
    assert verdict.check("account_rows").unchecked == size - 7
    assert verdict.balances == {}
    for name in ("checkpoints", "consistency", "signatures", "anchors", "time", "leaves", "held_checkpoints"):
        assert verdict.check(name).status == "passed"


def test_a_bundle_of_leaves_alone_still_proves_the_history(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, _, _ = markets[6]
    path = market.export(tmp_path / "none.zip", lambda index: False)
    assert audit(path, [LOG.vkey]).ok
    records = read(path)
    records["entries.jsonl"][4]["leaf"] = records["entries.jsonl"][5]["leaf"]
    verdict = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey])
    assert verdict.first_bad_index == batch_of(market, 4).start


def test_an_empty_log_is_judged_without_accusation(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "empty.zip", origin=ORIGIN, vkeys=[LOG.vkey], sandbox=True):
        pass
    verdict = audit(tmp_path / "empty.zip", [LOG.vkey])
    assert verdict.ok
    assert (verdict.size, verdict.root) == (0, root([]))


# Files that are no bundle


def refusal(path: Path) -> BundleError:
    with pytest.raises(BundleError) as refused:
        audit(path, [LOG.vkey])
    assert refused.value.rule
    assert refused.value.remedy
    return refused.value


def packed(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return path


@pytest.fixture
def members(markets: list[tuple[Market, Records, Path]]) -> dict[str, bytes]:
    with zipfile.ZipFile(markets[0][2]) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def resized(members: dict[str, bytes]) -> dict[str, bytes]:
    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {name: str(len(data)) for name, data in members.items() if name != "manifest.json"}
    return {**members, "manifest.json": json.dumps(manifest).encode()}


def test_a_file_cut_off_anywhere_is_refused_by_name(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    data = markets[0][2].read_bytes()
    for cut in range(0, len(data) - 1, max(1, len(data) // 60)):
        (tmp_path / "cut.zip").write_bytes(data[:cut])
        refusal(tmp_path / "cut.zip")


def test_a_file_with_any_byte_changed_is_refused_or_fails(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, _, path = markets[0]
    data = path.read_bytes()
    honest = audit(path, [LOG.vkey], chain_of(market))
    chance = random.Random(1)
    for _ in range(150):
        at = chance.randrange(len(data))
        changed = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        (tmp_path / "changed.zip").write_bytes(changed)
        try:
            verdict = audit(tmp_path / "changed.zip", [LOG.vkey], chain_of(market))
        except BundleError:
            continue
        # a bit of the container that says nothing of the content, such as a date
        assert verdict == honest


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere.zip").field == "bundle"
    assert refusal(tmp_path).field == "bundle"


def test_missing_unknown_and_doubled_members_are_refused_by_name(
    members: dict[str, bytes], tmp_path: Path
) -> None:
    for name in members:
        fewer = {other: data for other, data in members.items() if other != name}
        assert refusal(packed(tmp_path / "bundle.zip", fewer)).field == name
    assert refusal(packed(tmp_path / "bundle.zip", {**members, "more.txt": b""})).field == "more.txt"
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(packed(tmp_path / "bundle.zip", members), "a") as bundle,
    ):
        bundle.writestr("accounts.jsonl", b"")
    assert refusal(tmp_path / "bundle.zip").field == "accounts.jsonl"
    other = {**members, "segments/00000001/leaves.jsonl": b""}
    assert refusal(packed(tmp_path / "bundle.zip", resized(other))).field == "segments/00000001/leaves.jsonl"


@pytest.mark.parametrize(
    ("data", "saying"),
    [
        (b"{}\n{", "cut off"),
        (b"{}\n{\n", "line 2"),
        (b"[]\n", "no object"),
        (b'{"a":"\xff"}\n', "line 1"),
        (b'{"a":"\\ud800"}\n', "line 1"),
        (b"\n", "line 1"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"\n", "line 1"),
    ],
)
def test_lines_that_are_no_objects_are_refused_by_member_and_line(
    data: bytes, saying: str, members: dict[str, bytes], tmp_path: Path
) -> None:
    for name in (f"{SEGMENT_0}/transfers.jsonl", f"{SEGMENT_0}/checkpoints.jsonl", "openings.jsonl"):
        error = refusal(packed(tmp_path / "bundle.zip", resized({**members, name: data})))
        assert error.field == name
        assert saying in error.detail


def test_a_row_whose_sequence_is_no_number_belongs_to_no_entry(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    for wrong in (2, "02", "-2", "x", None, "9" * 30):
        records = deepcopy(markets[0][1])
        records["transfers.jsonl"][1]["sequence"] = wrong
        assert failed(audit(write(records, tmp_path / "odd.zip"), [LOG.vkey])) == {"transfer_rows"}


def test_a_zip_bomb_is_refused_before_it_is_read(members: dict[str, bytes], tmp_path: Path) -> None:
    bomb = resized({**members, f"{SEGMENT_0}/bodies.jsonl": b"{}\n" * (1 << 22)})
    assert "packed in" in refusal(packed(tmp_path / "bundle.zip", bomb)).detail
    noise = base64.b64encode(random.Random(1).randbytes(1 << 20))
    endless = resized({**members, "openings.jsonl": noise})
    assert "has no end" in refusal(packed(tmp_path / "bundle.zip", endless)).detail
    large = resized({**members, f"{SEGMENT_0}/salts.txt": noise})
    assert "at most" in refusal(packed(tmp_path / "bundle.zip", large)).rule
    large = {**members, "manifest.json": base64.b64encode(random.Random(1).randbytes(1 << 26))}
    assert refusal(packed(tmp_path / "bundle.zip", large)).field == "manifest.json"


def test_a_member_of_another_size_than_the_manifest_says_is_refused(
    members: dict[str, bytes], tmp_path: Path
) -> None:
    for name in ("accounts.jsonl", f"{SEGMENT_0}/leaves.jsonl"):
        changed = {**members, name: members[name] + b"{}\n"}
        assert refusal(packed(tmp_path / "bundle.zip", changed)).field == name


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("format", "data-asset-exchange-bundle@1"),
        ("start", "1"),
        ("peaks", ["x"]),
        ("party", 7),
        ("later", {"checkpoint": "x"}),
        ("origin", None),
        ("sandbox", "yes"),
        ("vkeys", "x"),
        ("vkeys", ["x"]),
        ("size", 5),
        ("root", "x"),
        ("members", None),
    ],
)
def test_a_malformed_manifest_is_refused(
    member: str, value: object, members: dict[str, bytes], tmp_path: Path
) -> None:
    manifest = {**json.loads(members["manifest.json"]), member: value}
    file = packed(tmp_path / "bundle.zip", {**members, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(BundleError) as refused:
        audit(file, None)
    assert refused.value.field in ("manifest.json", f"{SEGMENT_0}/leaves.jsonl")


def test_an_anchors_member_that_is_no_array_is_refused(members: dict[str, bytes], tmp_path: Path) -> None:
    assert (
        refusal(packed(tmp_path / "bundle.zip", resized({**members, "anchors.json": b"{}"}))).field
        == "anchors.json"
    )
    check = audit(packed(tmp_path / "b.zip", resized({**members, "anchors.json": b"[1]"})), [LOG.vkey]).check(
        "anchors"
    )
    assert check.saying == "anchor_form"


# What the judge says, and what it needs


def test_the_verdict_speaks_json_chinese_and_english(
    markets: list[tuple[Market, Records, Path]], tmp_path: Path
) -> None:
    market, honest, path = markets[4]
    good = audit(path, None, chain_of(market), held=market.notes, policy=POLICY)
    partly = audit(path, None)
    records = deepcopy(honest)
    records["accounts.jsonl"][0]["credits_posted"] = "1\x1b[2J"
    records["accounts.jsonl"][1]["code"] = "y"
    bad = audit(write(records, tmp_path / "mutated.zip"), [LOG.vkey])
    assert good.explain("en").startswith("Verdict: all passed")
    assert good.explain("zh").startswith("结论:全部通过")
    assert "2 not checked" not in good.explain("en")
    assert partly.explain("zh").startswith("结论:已核对的全部通过,4 项未核对")
    assert f"FAILED; the first fault is at index {bad.first_bad_index}" in bad.explain("en")
    assert "(and 1 more)" in bad.explain("en")
    assert "不通过" in bad.explain("zh")
    assert "\x1b" not in bad.explain("zh") + bad.explain("en")
    for verdict in (good, partly, bad):
        value = json.loads(json.dumps(verdict.to_json()))
        assert value["ok"] == verdict.ok
        assert [check["name"] for check in value["checks"]] == list(CHECKS)
        assert (
            len(verdict.explain("zh").splitlines())
            == len(verdict.explain("en").splitlines())
            == len(CHECKS) + 3
        )
    name, account = next(iter(market.accounts.items()))
    assert good.to_json()["balances"][name]["balance"] == str(account.balance)


def test_both_languages_state_the_same_facts() -> None:
    def slots(text: str) -> Iterator[str]:
        return (part.split("}")[0] for part in text.split("{")[1:])

    for name, (zh, en) in SAYINGS.items():
        assert set(slots(zh)) == set(slots(en)), name


def test_progress_runs_from_nothing_to_the_whole(tmp_path: Path) -> None:
    entries = [
        Entry.of({"kind": "a.b", "time": str(n), "act": {}}, sha256(b"%d" % n).digest()) for n in range(9000)
    ]
    leaves = [leaf_hash(entry.leaf) for entry in entries]
    with BundleWriter(tmp_path / "large.zip", origin=ORIGIN, vkeys=[LOG.vkey], sandbox=False) as bundle:
        for first in range(0, 9000, 4096):
            shown = [Shown(entry.leaf, entry.salt, entry.body) for entry in entries[first : first + 4096]]
            size = first + len(shown)
            bundle.segment(shown, [sign(Checkpoint(ORIGIN, size, root(leaves[:size])), LOG)], [])
    seen: list[tuple[int, int]] = []
    assert not failed(
        audit(tmp_path / "large.zip", [LOG.vkey], None, lambda done, total: seen.append((done, total)))
    )
    assert seen == [(0, 9000), (4096, 9000), (8192, 9000), (9000, 9000)]


def test_the_judge_loads_neither_server_nor_database_nor_chain() -> None:
    code = (
        "import sys, ledger.audit\n"
        "heavy = {'fastapi', 'sqlmodel', 'sqlalchemy', 'psycopg', 'web3', 'exchange', 'pricing', 'ledger.bundle'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
