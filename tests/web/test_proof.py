"""The proof script of the console judges others' vectors as they say, in a real browser."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from ledger.checkpoint import Checkpoint, Signer, sign
from ledger.chunks import entries_of
from ledger.entries import Entry, canonical

pytestmark = pytest.mark.browser

JUDGE = """async ({ call, args }) => {
  const proof = await import("/static/proof.js");
  const read = (value) =>
    typeof value === "object" && value !== null && "b64" in value ? proof.unbase64(value.b64)
    : typeof value === "object" && value !== null && "int" in value ? BigInt(value.int)
    : Array.isArray(value) ? value.map(read) : value;
  try {
    const answer = await proof[call](...args.map(read));
    return { refused: null, answer: JSON.parse(JSON.stringify(answer ?? null, (_, v) => typeof v === "bigint" ? String(v) : v)) };
  } catch (error) {
    if (!(error instanceof proof.ProofError)) throw error;
    return { refused: error.code };
  }
}"""


def b64(data: bytes | str) -> dict[str, str]:
    return {"b64": data if isinstance(data, str) else b64encode(data).decode()}


def whole(value: int) -> dict[str, str]:
    return {"int": str(value)}


@pytest.fixture
def judge(visit: Callable[..., Page]) -> Callable[..., Any]:
    page = visit("/zh/log")

    def ask(call: str, *args: Any) -> Any:
        return page.evaluate(JUDGE, {"call": call, "args": list(args)})

    return ask


def test_every_merkle_probe_of_others_is_accepted_or_refused_as_it_says(
    judge: Callable[..., Any], vectors: Path
) -> None:
    outcomes = set()
    for file in sorted((vectors / "merkle" / "testdata").rglob("*.json")):
        probe = json.loads(file.read_text())
        path = [b64(sibling) for sibling in probe["proof"] or []]
        if "leafIdx" in probe:
            sizes = whole(probe["leafIdx"]), whole(probe["treeSize"])
            said = judge("verifyInclusion", *sizes, b64(probe["leafHash"]), path, b64(probe["root"]))
        else:
            sizes = whole(probe["size1"]), whole(probe["size2"])
            said = judge("verifyConsistency", *sizes, path, b64(probe["root1"]), b64(probe["root2"]))
        assert probe["wantErr"] == (said["refused"] is not None), (file, said)
        outcomes.add(("leafIdx" in probe, probe["wantErr"]))
    assert len(outcomes) == 4


def test_checkpoints_of_another_log_open_and_a_changed_character_is_refused(
    judge: Callable[..., Any], vectors: Path
) -> None:
    vkey = json.loads((vectors / "checkpoints" / "tessera-vkey.json").read_text())["vkey"]
    for size in (0, 1, 7, 15):
        note = (vectors / "checkpoints" / "tessera-log" / f"checkpoint.{size}").read_text()
        opened = judge("openCheckpoint", note, vkey)
        assert opened["refused"] is None
        assert (opened["answer"]["signed"], opened["answer"]["size"]) == (True, str(size))
    for position in range(0, len(note), 5):
        changed = note[:position] + ("A" if note[position] != "A" else "B") + note[position + 1 :]
        assert judge("openCheckpoint", changed, vkey)["refused"] in {"bad_signature", "bad_note"}, position


def test_a_note_of_another_key_and_a_key_with_a_false_id_are_refused(judge: Callable[..., Any]) -> None:
    ours, other = Signer("log.example", b"a" * 32), Signer("log.example", b"b" * 32)
    note = sign(Checkpoint("log.example", 3, bytes(32)), ours)
    assert judge("openCheckpoint", note, ours.vkey)["refused"] is None
    assert judge("openCheckpoint", note, other.vkey)["refused"] == "bad_signature"
    name, identifier, material = ours.vkey.split("+", 2)
    false_id = f"{name}+{'0' * 8 if identifier != '0' * 8 else '1' * 8}+{material}"
    assert judge("openCheckpoint", note, false_id)["refused"] == "bad_key"
    assert judge("openCheckpoint", note.replace("\n\n", "\n"), ours.vkey)["refused"] == "bad_note"


def test_a_body_opens_its_leaf_and_no_other(judge: Callable[..., Any]) -> None:
    body = {"act": {"price": "一万"}, "kind": "bid", "time": "1790000000000000"}
    entry = Entry.of(body, bytes(range(32)))
    leaf = judge("parseLeaf", b64(entry.leaf))["answer"]
    assert leaf == {"digest": entry.digest.hex(), "kind": "bid", "timeUs": "1790000000000000"}
    text = entry.body.decode()
    assert judge("verifyOpening", leaf, b64(entry.salt), text)["refused"] is None
    assert judge("verifyOpening", leaf, b64(bytes(32)), text)["refused"] == "bad_opening"
    assert judge("verifyOpening", leaf, b64(entry.salt), text.replace("一", "二"))["refused"] == "bad_opening"
    assert judge("verifyOpening", {**leaf, "kind": "sale"}, b64(entry.salt), text)["refused"] == "bad_opening"
    for wrong in (entry.leaf + b"\n", entry.leaf.replace(b'":"', b'": "'), b"\xff" + entry.leaf, b"{}"):
        assert judge("parseLeaf", b64(wrong))["refused"] == "bad_leaf"


def test_a_long_body_is_the_whole_that_its_head_states(judge: Callable[..., Any]) -> None:
    body = canonical({"act": {"text": '长"\\é😀' * 9000}, "kind": "told", "time": "7"})
    head, *_ = entries_of("told", 7, body, 3, bytes)
    leaf = judge("parseLeaf", b64(head.leaf))["answer"]
    text, whole = head.body.decode(), body.decode()

    def refused(*beside: str) -> Any:
        return judge("verifyOpening", leaf, b64(head.salt), text, *beside)["refused"]

    assert refused(whole) is None
    assert refused() == "bad_opening"
    for other in (whole + " ", whole.replace("é", "e", 1), text):
        assert refused(other) == "bad_opening"
    short = Entry.of({"act": {}, "kind": "told", "time": "7"}, bytes(32))
    beside = judge("parseLeaf", b64(short.leaf))["answer"]
    assert (
        judge("verifyOpening", beside, b64(short.salt), short.body.decode(), whole)["refused"]
        == "bad_opening"
    )
