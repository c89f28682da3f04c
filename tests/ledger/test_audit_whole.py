"""The judge over many segments, from where it stopped, for one party, and in several processes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import pytest

from ledger.audit import State, audit, audit_on
from ledger.audit.disclosed import bodies
from ledger.bundle import BundleWriter, Row, Shown
from ledger.checkpoint import Checkpoint, sign
from ledger.entries import Entry, canonical
from ledger.errors import BundleError
from ledger.merkle import Edge, leaf_hash
from ledger.postings import Account, Posted, Transfer, account_to_json, decide, transfer_to_json
from ledger.verdict import Verdict
from tests.ledger.logbook import (
    LOG,
    ORIGIN,
    WITNESS,
    Market,
    failed,
    read,
    wholes,
    write,
)


def judged(path: Path) -> Verdict:
    return audit(path, [LOG.vkey, WITNESS.vkey], processes=1)


# Honest logs are never accused


@pytest.mark.usefixtures("short_segments")
def test_an_honest_log_of_many_segments_is_never_accused(tmp_path: Path) -> None:
    ends, closed, large = set(), 0, 0
    for seed in range(30):
        market = Market(random.Random(f"honest {seed}"), large=0.02).run(40)
        verdict = judged(market.export(tmp_path / "b.zip"))
        assert not failed(verdict), (seed, verdict.explain("en"))
        assert set(verdict.not_checked) <= {"held_checkpoints", "anchors", "witnesses"}
        assert verdict.root == market.edge.root()
        assert verdict.balances == dict(sorted(market.accounts.items()))
        disclosed = list(bodies(tmp_path / "b.zip"))
        assert disclosed == list(wholes(read(tmp_path / "b.zip")))
        ends |= {hold.state for hold in market.pendings.values()}
        closed += sum(hold.closes is not None for hold in market.pendings.values())
        large += len(disclosed) < len(market.entries)
    assert ends == {"pending", "posted", "voided", "expired"}
    assert min(closed, large) > 5


@pytest.mark.usefixtures("short_segments")
def test_going_on_from_any_checkpoint_is_the_same_as_judging_the_whole(tmp_path: Path) -> None:
    for seed in range(6):
        chance = random.Random(f"on {seed}")
        market = Market(chance, large=0.02)
        state: State | None = None
        done = 0
        for _ in range(4):
            market.run(chance.randrange(1, 12))
            path = market.export(tmp_path / "on.zip", start=done)
            verdict, state = audit_on(path, [LOG.vkey], state, processes=1)
            assert state is not None, verdict.explain("en")
            assert verdict.start == (market.sizes[done - 1] if done else 0)
            state = State.from_bytes(state.to_bytes())
            done = len(market.sizes)
            whole, all_at_once = audit_on(
                market.export(tmp_path / "whole.zip"), [LOG.vkey], None, processes=1
            )
            assert verdict.balances == whole.balances == dict(sorted(market.accounts.items()))
            assert all_at_once is not None
            assert state.to_bytes() == State.from_bytes(all_at_once.to_bytes()).to_bytes()


def test_a_bundle_that_does_not_go_on_from_what_is_remembered_is_refused(tmp_path: Path) -> None:
    market = Market(random.Random(1)).run(9)
    _, state = audit_on(market.export(tmp_path / "b.zip"), [LOG.vkey], None)
    assert state is not None
    market.run(3)
    for start in (0, 4, 11):
        with pytest.raises(BundleError, match="what is remembered"):
            audit_on(market.export(tmp_path / "b.zip", start=start), [LOG.vkey], state)
    other = Market(random.Random(2)).run(9)
    with pytest.raises(BundleError, match="what is remembered"):
        audit_on(other.run(3).export(tmp_path / "b.zip", start=9), [LOG.vkey], state)


def test_what_is_remembered_stays_as_it_was_whatever_is_judged_on_top_of_it(tmp_path: Path) -> None:
    market = Market(random.Random(6)).run(9)
    _, state = audit_on(market.export(tmp_path / "b.zip"), [LOG.vkey], None)
    assert state is not None
    before = state.to_bytes()
    records = read(market.run(5).export(tmp_path / "b.zip", start=9))
    for member in ("1", "2"):
        records["accounts.jsonl"][0]["credits_posted"] = member
        verdict, after = audit_on(write(records, tmp_path / "m.zip"), [LOG.vkey], state)
        assert (failed(verdict), after) == ({"account_rows"}, None)
    assert state.to_bytes() == before


def test_a_transfer_of_before_is_not_done_again_in_a_later_period(tmp_path: Path) -> None:
    market = Market(random.Random(3)).run(12)
    _, state = audit_on(market.export(tmp_path / "b.zip"), [LOG.vkey], None)
    again = market.rows[0][0]
    market.run(4)
    records = read(market.export(tmp_path / "b.zip", start=12))
    line = records["entries.jsonl"][0]
    line["body"] = canonical({**json.loads(line["body"]), "transfers": [transfer_to_json(again)]}).decode()
    verdict, after = audit_on(write(records, tmp_path / "m.zip"), [LOG.vkey], state)
    assert after is None
    assert not verdict.ok


def test_a_period_alone_proves_its_entries_and_says_that_money_was_not_checked(tmp_path: Path) -> None:
    market = Market(random.Random(4)).run(20)
    verdict = judged(market.export(tmp_path / "b.zip", start=7))
    assert not failed(verdict)
    assert (verdict.start, verdict.size, verdict.root) == (
        market.sizes[6],
        market.edge.size,
        market.edge.root(),
    )
    for name in ("accounts", "transfers", "double_entry", "account_rows", "transfer_rows"):
        assert verdict.check(name).saying == "fold_without_past"
    for name in ("leaves", "bodies", "checkpoints", "consistency", "signatures"):
        assert verdict.check(name).status == "passed"


def test_a_period_with_one_entry_less_is_found(tmp_path: Path) -> None:
    market = Market(random.Random(5)).run(20)
    honest = read(market.export(tmp_path / "b.zip", start=7))
    for at in range(len(honest["entries.jsonl"])):
        records = deepcopy(honest)
        del records["entries.jsonl"][at]
        records["manifest.json"]["size"] = str(market.edge.size - 1)
        assert "checkpoints" in failed(judged(write(records, tmp_path / "m.zip")))


@pytest.mark.parametrize("damage", [b"", b"x", b"0" * 64 + b"\n{}\n"])
def test_a_damaged_memory_is_refused(damage: bytes, tmp_path: Path) -> None:
    _, state = audit_on(Market(random.Random(1)).run(5).export(tmp_path / "b.zip"), [LOG.vkey], None)
    assert state is not None
    whole = state.to_bytes()
    for data in (damage, whole[:-5], whole.replace(b'"CNY"', b'"EUR"')):
        with pytest.raises(BundleError, match="state"):
            State.from_bytes(data)


# One party


def party(market: Market) -> tuple[list[str], Callable[[int], bool]]:
    """Two accounts, and the entries that a party with these accounts sees."""
    own = sorted(market.accounts)[1:3]
    touched = {index for transfer, _, index in market.rows if transfer.debit in own or transfer.credit in own}
    return own, lambda index: index in touched


@pytest.mark.usefixtures("short_segments")
def test_a_bundle_for_one_party_proves_its_balances(tmp_path: Path) -> None:
    for seed in range(10):
        market = Market(random.Random(f"party {seed}")).run(30)
        own, visible = party(market)
        verdict = judged(market.export(tmp_path / "b.zip", visible, own=own))
        assert not failed(verdict), verdict.explain("en")
        assert verdict.party == "party-1"
        assert verdict.check("account_rows").saying == "party_balances_ok"
        assert verdict.check("transfer_rows").saying == "party_rows_ok"
        assert verdict.check("bodies").status == "not checked"
        assert "party-1" in verdict.explain("zh")


@pytest.mark.usefixtures("short_segments")
def test_a_row_withheld_from_a_party_or_changed_is_found(tmp_path: Path) -> None:
    cases = 0
    for seed in range(12):
        market = Market(random.Random(f"party {seed}")).run(30)
        own, visible = party(market)
        honest = read(market.export(tmp_path / "b.zip", visible, own=own))
        if len(honest["transfers.jsonl"]) < 2:
            continue
        cases += 1
        at = random.Random(seed).randrange(len(honest["transfers.jsonl"]))
        left_out = deepcopy(honest)
        del left_out["transfers.jsonl"][at]
        changed = deepcopy(honest)
        changed["transfers.jsonl"][at]["amount"] = "77777"
        balance = deepcopy(honest)
        balance["accounts.jsonl"][0]["credits_posted"] = "99999999"
        # The body that bears a row out, withheld together with the row: only the balance shows it.
        hidden = deepcopy(honest)
        index = int(hidden["transfers.jsonl"][at]["index"])
        hidden["transfers.jsonl"] = [r for r in hidden["transfers.jsonl"] if r["index"] != str(index)]
        hidden["entries.jsonl"][index] |= {"body": None, "salt": None}
        assert "transfer_rows" in failed(judged(write(left_out, tmp_path / "m.zip", 16)))
        assert "transfer_rows" in failed(judged(write(changed, tmp_path / "m.zip", 16)))
        assert failed(judged(write(balance, tmp_path / "m.zip", 16))) == {"account_rows"}
        assert failed(judged(write(hidden, tmp_path / "m.zip", 16))) & {"account_rows", "transfer_rows"}
    assert cases > 6


@pytest.mark.usefixtures("short_segments")
def test_a_row_invented_for_a_party_is_found_although_its_balance_fits(tmp_path: Path) -> None:
    """Its entry is disclosed and carries another transfer, or the row stands among others out of its order."""
    for seed in range(12):
        market = Market(random.Random(f"party {seed}")).run(30)
        own, visible = party(market)
        honest = read(market.export(tmp_path / "b.zip", visible, own=own))
        rows = honest["transfers.jsonl"]
        payee = next(account for account in honest["accounts.jsonl"] if account["id"] == own[0])
        if not rows:
            continue
        payee["credits_posted"] = str(int(payee["credits_posted"]) + 7)
        last = rows[-1]
        paid: dict[str, object] = {
            "id": "transfer-x",
            "kind": "post",
            "pending": None,
            "amount": "7",
            "credit": own[0],
        }
        paid |= {"debit": "account-0", "ledger": "CNY", "code": "sale", "linked": False, "state": "posted"}
        for sequence in (int(last["sequence"]) + 1, int(last["sequence"])):
            payee["sequence"] = str(sequence)
            records = {
                **honest,
                "transfers.jsonl": [*rows, {**paid, "index": last["index"], "sequence": str(sequence)}],
            }
            check = judged(write(records, tmp_path / "m.zip", 16)).check("transfer_rows")
            assert (check.status, check.saying) == ("failed", "transfer_row_unknown")


@pytest.mark.usefixtures("short_segments")
def test_rows_of_a_party_that_are_out_of_order_are_found(tmp_path: Path) -> None:
    cases = 0
    for seed in range(12):
        market = Market(random.Random(f"party {seed}")).run(30)
        own, visible = party(market)
        records = read(market.export(tmp_path / "b.zip", visible, own=own))
        rows = records["transfers.jsonl"]
        for at, (row, after) in enumerate(pairwise(rows)):
            if (
                row["kind"] == after["kind"] == "post"
                and int(row["index"]) // 16 == int(after["index"]) // 16
            ):
                changed = {**records, "transfers.jsonl": [*rows[:at], after, row, *rows[at + 2 :]]}
                check = judged(write(changed, tmp_path / "m.zip", 16)).check("transfer_rows")
                assert (check.status, check.saying) == ("failed", "transfer_row_unknown")
                cases += 1
    assert cases > 6


def heads(market: Market) -> list[int]:
    """The head of each entry: itself, but where it is a chunk."""
    return [
        int(body["of"]) if body["kind"] == "chunk" else index
        for index, body in enumerate(json.loads(entry.body) for entry in market.entries)
    ]


@pytest.mark.usefixtures("short_segments")
def test_a_large_body_that_lies_in_two_segments_is_borne_out_to_a_party_too(tmp_path: Path) -> None:
    cases = 0
    for seed in range(20):
        market = Market(random.Random(f"large {seed}"), large=0.1).run(15)
        own, head = sorted(market.accounts)[:2], heads(market)
        verdict = judged(market.export(tmp_path / "b.zip", own=own))
        assert not failed(verdict), (seed, verdict.explain("en"))
        assert verdict.check("transfer_rows").saying == "party_rows_ok"
        split = [at for at in range(16, len(head), 16) if head[at] < at]
        moved = [
            i for t, _, i in market.rows if {t.debit, t.credit} & set(own) and i in [head[a] for a in split]
        ]
        if not moved:
            continue
        cases += 1
        records = read(tmp_path / "b.zip")
        at = next(n for n, row in enumerate(records["transfers.jsonl"]) if row["index"] == str(moved[0]))
        changed, left_out = deepcopy(records), deepcopy(records)
        changed["transfers.jsonl"][at]["id"] = "transfer-x"
        del left_out["transfers.jsonl"][at]
        for wrong in (changed, left_out):
            check = judged(write(wrong, tmp_path / "m.zip", 16)).check("transfer_rows")
            assert (check.status, check.first_bad_index) == ("failed", moved[0])
    assert cases > 3


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("whole", [True, False], ids=["for all", "for a party"])
def test_a_large_body_of_which_a_part_is_withheld_is_not_judged(whole: bool, tmp_path: Path) -> None:
    for seed in range(20):
        market = Market(random.Random(f"ragged {seed}"), large=0.2).run(20)
        chance = random.Random(seed)
        hidden = {index for index in range(len(market.entries)) if chance.random() < 0.2}
        own = None if whole else sorted(market.accounts)[:2]
        shown = set(range(len(market.entries))) - hidden
        path = market.export(tmp_path / "b.zip", shown.__contains__, own=own)
        verdict = judged(path)
        assert not failed(verdict), (seed, verdict.explain("en"))
        assert verdict.check("bodies").saying == "bodies_withheld"
        if whole:  # from the first entry that is not all there nothing can be folded
            head = heads(market)
            assert verdict.check("accounts").facts["index"] == min(
                head[index] for index in hidden if head[index] not in hidden or head[index] == index
            )
        assert {index for index, _ in bodies(path)} == set(heads(market)) - {
            heads(market)[index] for index in hidden
        }


# Several processes


def large(path: Path, entries: int) -> Path:
    """A log of plain transfers over three real segments, written fast."""
    chance = random.Random(1)
    accounts = {name: Account(name, "CNY", "cash", "none" if name == "a0" else "debits_must_not_exceed_credits")
                for name in (f"a{n}" for n in range(50))}  # fmt: skip
    edge, sequence, time_us = Edge.empty(), 1, 1_700_000_000_000_000
    with BundleWriter(path, origin=ORIGIN, vkeys=[LOG.vkey], sandbox=True) as bundle:
        for first in range(0, entries, 4096):
            shown, rows, notes = [], [], []
            for index in range(first, min(entries, first + 4096)):
                body: dict[str, object] = {
                    "act": {"n": str(index)},
                    "kind": "paid",
                    "time": str(time_us + index),
                }
                if not index:
                    body["accounts"] = [account_to_json(a) for a in accounts.values()]
                else:
                    debit, credit = chance.sample(sorted(accounts), 2)
                    debit = "a0" if credit != "a0" and chance.random() < 0.5 else debit
                    transfer = Transfer(
                        f"t{index}", "post", debit, credit, chance.randrange(1, 50), "CNY", "x"
                    )
                    decision = decide(accounts, {}, {}, [transfer], sequence, 0)
                    if isinstance(decision.outcomes[0], Posted):
                        accounts |= decision.accounts
                        body["transfers"] = [transfer_to_json(transfer)]
                        rows.append(Row(transfer, sequence, index, "posted"))
                        sequence += 1
                entry = Entry.of(body, chance.randbytes(32))
                shown.append(Shown(entry.leaf, entry.salt, entry.body))
            for at in range(0, len(shown), 256):
                edge = edge.append([leaf_hash(e.leaf) for e in shown[at : at + 256]])
                notes.append(sign(Checkpoint(ORIGIN, edge.size, edge.root()), LOG))
            bundle.segment(shown, notes, rows)
        bundle.accounts(accounts.values())
    return path


def test_any_number_of_processes_gives_the_same_verdict(tmp_path: Path) -> None:
    path = large(tmp_path / "large.zip", 9000)
    alone = audit(path, [LOG.vkey], processes=1)
    assert not failed(alone), alone.explain("en")
    assert len(alone.balances) == 50
    assert audit(path, [LOG.vkey], processes=2) == audit(path, [LOG.vkey], processes=5) == alone
    records = read(path)
    records["transfers.jsonl"][5000]["amount"] = "51"
    records["accounts.jsonl"][7]["code"] = "y"
    verdicts = [audit(write(records, tmp_path / "m.zip"), [LOG.vkey], processes=n) for n in (1, 3)]
    assert verdicts[0] == verdicts[1]
    assert failed(verdicts[0]) == {"account_rows", "transfer_rows"}
    assert (
        str(verdicts[0].check("transfer_rows").first_bad_index) == records["transfers.jsonl"][5000]["index"]
    )


def test_a_broken_segment_is_refused_from_another_process_too(tmp_path: Path) -> None:
    records = read(large(tmp_path / "large.zip", 9000))
    records["checkpoints.jsonl"][20] = b"[1]"
    with pytest.raises(BundleError) as refused:
        audit(write(records, tmp_path / "m.zip"), [LOG.vkey], processes=2)
    assert refused.value.field.endswith("checkpoints.jsonl")
