"""The bundle's writer: whole or not at all, in order, and the same bytes for the same log."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from ledger.bundle import LINES, BundleWriter
from ledger.entries import Entry
from ledger.errors import BundleError
from ledger.merkle import leaf_hash, root
from ledger.postings import Account, Transfer

ENTRIES = [
    Entry.of({"kind": "a.b", "time": str(number), "text": "数据"}, bytes([number]) * 32)
    for number in range(3)
]


def writer(path: Path) -> BundleWriter:
    return BundleWriter(path, origin="exchange.example/log", vkeys=["key"], sandbox=False)


def fill(path: Path) -> Path:
    with writer(path) as bundle:
        bundle.checkpoint("note\n")
        for entry in ENTRIES[:2]:
            bundle.entry(entry.leaf, entry.salt, entry.body)
        bundle.entry(ENTRIES[2].leaf, None, None)
        bundle.account(Account("a", "CNY", "cash", "none", 1, 2, 3, 4, 9))
        bundle.transfer(
            Transfer("t", "pending", "a", "b", 5, "CNY", "sale"), sequence=1, index=2, state="posted"
        )
        bundle.anchor(chain_id=7, contract="0xc0", tx="0xf0", size=3, root=bytes(32), block=12)
    return path


def test_every_member_says_what_was_added(tmp_path: Path) -> None:
    with zipfile.ZipFile(fill(tmp_path / "b.zip")) as bundle:
        members = {name: bundle.read(name) for name in bundle.namelist()}
    assert list(members) == [*LINES, "anchors.json", "manifest.json"]
    lines = {name: [json.loads(line) for line in members[name].splitlines()] for name in LINES}
    assert lines["checkpoints.jsonl"] == [{"note": "note\n"}]
    assert [line["index"] for line in lines["entries.jsonl"]] == ["0", "1", "2"]
    assert lines["entries.jsonl"][1]["body"] == ENTRIES[1].body.decode()
    assert (lines["entries.jsonl"][2]["salt"], lines["entries.jsonl"][2]["body"]) == (None, None)
    assert lines["openings.jsonl"] == []
    assert lines["accounts.jsonl"][0]["credits_posted"] == "4"
    assert lines["transfers.jsonl"][0] == {
        "sequence": "1",
        "id": "t",
        "index": "2",
        "kind": "pending",
        "debit": "a",
        "credit": "b",
        "amount": "5",
        "ledger": "CNY",
        "code": "sale",
        "pending": None,
        "state": "posted",
    }
    manifest = json.loads(members["manifest.json"])
    assert manifest["size"] == "3"
    assert manifest["root"] == root([leaf_hash(entry.leaf) for entry in ENTRIES]).hex()
    assert manifest["members"] == {n: str(len(data)) for n, data in members.items() if n != "manifest.json"}
    anchor = {
        "chain_id": "7",
        "contract": "0xc0",
        "tx": "0xf0",
        "size": "3",
        "root": "00" * 32,
        "block": "12",
    }
    assert json.loads(members["anchors.json"]) == [anchor]


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    assert fill(tmp_path / "one.zip").read_bytes() == fill(tmp_path / "two.zip").read_bytes()


def test_members_are_added_in_their_order_only(tmp_path: Path) -> None:
    def backwards() -> None:
        with writer(tmp_path / "b.zip") as bundle:
            bundle.opening("00" * 32, None, None)
            bundle.checkpoint("note\n")

    with pytest.raises(BundleError, match="order"):
        backwards()
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_failed_leaves_the_one_before_untouched(tmp_path: Path) -> None:
    before = fill(tmp_path / "b.zip").read_bytes()
    with pytest.raises(BundleError, match="only one of salt and body"), writer(tmp_path / "b.zip") as bundle:
        bundle.entry(ENTRIES[0].leaf, ENTRIES[0].salt, None)
    assert (tmp_path / "b.zip").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["b.zip"]
