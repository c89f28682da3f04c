"""The bundle's writer: whole or not at all, in order, and the same bytes for the same log."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.bundle import SEGMENT, BundleWriter, Row, Shown
from ledger.entries import Entry
from ledger.errors import BundleError
from ledger.merkle import leaf_hash, root
from ledger.postings import Account, Transfer

ENTRIES = [
    Entry.of({"kind": "a.b", "time": str(number), "text": "数据"}, bytes([number]) * 32)
    for number in range(3)
]

LEAF = Shown(ENTRIES[0].leaf, None, None)


def writer(path: Path) -> BundleWriter:
    return BundleWriter(path, origin="exchange.example/log", vkeys=["key"], sandbox=False)


def fill(path: Path) -> Path:
    with writer(path) as bundle:
        bundle.segment(
            [*(Shown(e.leaf, e.salt, e.body) for e in ENTRIES[:2]), Shown(ENTRIES[2].leaf, None, None)],
            ["note\n"],
            [Row(Transfer("t", "pending", "a", "b", 5, "CNY", "sale", timeout_us=7), 1, 2, "posted")],
        )
        bundle.accounts([Account("a", "CNY", "cash", "none", 1, 2, 3, 4, 9)])
        bundle.anchor(chain_id=7, contract="0xc0", tx="0xf0", size=3, root=bytes(32), block=12, state="final")
    return path


def test_every_member_says_what_was_added(tmp_path: Path) -> None:
    with zipfile.ZipFile(fill(tmp_path / "b.zip")) as bundle:
        members = {name.removeprefix("segments/00000000/"): bundle.read(name) for name in bundle.namelist()}
    assert members["leaves.jsonl"].splitlines() == [entry.leaf for entry in ENTRIES]
    assert members["bodies.jsonl"].split(b"\n") == [ENTRIES[0].body, ENTRIES[1].body, b"", b""]
    assert members["salts.txt"].decode().split("\n") == ["00" * 32, "01" * 32, "", ""]
    lines = {
        name: [json.loads(line) for line in data.splitlines()]
        for name, data in members.items()
        if name.endswith(".jsonl") and name != "bodies.jsonl"
    }
    assert lines["checkpoints.jsonl"] == [{"note": "note\n"}]
    assert lines["openings.jsonl"] == []
    assert lines["accounts.jsonl"] == [
        {
            "id": "a",
            "ledger": "CNY",
            "code": "cash",
            "limit": "none",
            "debits_pending": "1",
            "debits_posted": "2",
            "credits_pending": "3",
            "credits_posted": "4",
            "sequence": "9",
            "closed": False,
        }
    ]
    transfer = {
        "id": "t",
        "kind": "pending",
        "debit": "a",
        "credit": "b",
        "amount": "5",
        "ledger": "CNY",
        "code": "sale",
        "pending": None,
        "linked": False,
        "timeout": "7",
    }
    assert lines["transfers.jsonl"] == [
        {"index": "2", "sequence": "1", "state": "posted", "transfer": transfer}
    ]
    manifest = json.loads(members["manifest.json"])
    assert (manifest["start"], manifest["peaks"], manifest["size"]) == ("0", [], "3")
    assert manifest["root"] == root([leaf_hash(entry.leaf) for entry in ENTRIES]).hex()
    sizes = {name.removeprefix("segments/00000000/"): size for name, size in manifest["members"].items()}
    assert sizes == {n: str(len(data)) for n, data in members.items() if n != "manifest.json"}
    anchor = {
        "chain_id": "7",
        "contract": "0xc0",
        "tx": "0xf0",
        "size": "3",
        "root": "00" * 32,
        "block": "12",
        "state": "final",
    }
    assert json.loads(members["anchors.json"]) == [anchor]


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    assert fill(tmp_path / "one.zip").read_bytes() == fill(tmp_path / "two.zip").read_bytes()


def after_the_tables(bundle: BundleWriter) -> None:
    bundle.openings([])
    bundle.segment([LEAF], [], [])


def behind_a_partial_one(bundle: BundleWriter) -> None:
    bundle.segment([LEAF], [], [])
    bundle.segment([LEAF], [], [])


def too_long(bundle: BundleWriter) -> None:
    bundle.segment([LEAF] * (SEGMENT + 1), [], [])


def of_nothing(bundle: BundleWriter) -> None:
    bundle.segment([], [], [])


def a_table_twice(bundle: BundleWriter) -> None:
    bundle.accounts([])
    bundle.accounts([])


@pytest.mark.parametrize(
    "misuse", [after_the_tables, behind_a_partial_one, too_long, of_nothing, a_table_twice]
)
def test_segments_and_tables_are_added_whole_and_in_their_order(
    misuse: Callable[[BundleWriter], None], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="order"), writer(tmp_path / "b.zip") as bundle:
        misuse(bundle)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_failed_leaves_the_one_before_untouched(tmp_path: Path) -> None:
    before = fill(tmp_path / "b.zip").read_bytes()
    with pytest.raises(BundleError, match="only one of salt and body"), writer(tmp_path / "b.zip") as bundle:
        bundle.segment([Shown(ENTRIES[0].leaf, ENTRIES[0].salt, None)], [], [])
    assert (tmp_path / "b.zip").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["b.zip"]
