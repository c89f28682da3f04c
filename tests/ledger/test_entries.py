"""Entries: one form for every body, leaves that tell nothing of it, receipts that prove it."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any
from unicodedata import normalize

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, Signer, Verifier, sign
from ledger.entries import (
    BODY_LIMIT,
    WHOLE_LIMIT,
    Entry,
    Receipt,
    canonical,
    commitment,
    parse_body,
    parse_leaf,
    receipt_from_json,
    receipt_to_json,
    verify_receipt,
)
from ledger.errors import CanonicalError, LedgerError, NoteError, ProofError
from ledger.merkle import Edge, append_with_proofs, leaf_hash

text = st.text(max_size=12).map(lambda value: normalize("NFC", value))
values = st.recursive(
    st.none() | st.booleans() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
SALT = bytes(range(32))
LOG = Signer("exchange.example/log", b"\x01" * 32)
TRUSTED = [Verifier.parse(LOG.vkey)]


def body(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "kind": "auctions.bid",
        "time": str(1_700_000_000_000_000 + number),
        "act": {"price_fen": "100"},
        **more,
    }


@given(values)
def test_the_canonical_form_is_that_of_rfc_8785(value: Any) -> None:
    assert rfc8785.dumps(value) == canonical(value)


@given(st.dictionaries(text, values, max_size=6))
def test_a_canonical_body_is_read_back(value: dict[str, Any]) -> None:
    assert value == parse_body(canonical(value))


def test_member_names_beyond_the_basic_plane_sort_as_utf_16() -> None:
    assert list(json.loads(canonical({"\uff01": "", "\U0001f600": ""}))) == ["\U0001f600", "\uff01"]
    assert list(json.loads(canonical({"a": [{"\uff01": "", "\U0001f600": ""}]}))["a"][0]) == [
        "\U0001f600",
        "\uff01",
    ]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"a": 1}, "$.a"),
        ({"a": [{"b": 1.5}]}, "$.a[0].b"),
        ({"a": "e\u0301"}, "$.a"),
        ({"e\u0301": "a"}, "$"),
        ({1: "a"}, "$"),
        ({"a": b"bytes"}, "$.a"),
        ({"a": {"b": {"c"}}}, "$.a.b"),
        ({"a": "\ud800"}, "$"),
        ({"\ud800": "a"}, "$"),
    ],
)
def test_what_has_no_canonical_form_is_refused_by_its_path(value: Any, field: str) -> None:
    with pytest.raises(CanonicalError) as refusal:
        canonical(value)
    assert refusal.value.field == field


def test_depth_and_size_are_bounded() -> None:
    deep: Any = "x"
    for _ in range(31):
        deep = [deep]
    canonical(deep)
    with pytest.raises(CanonicalError, match="32 levels"):
        canonical([deep])
    canonical("x" * (WHOLE_LIMIT - 2))
    with pytest.raises(CanonicalError, match="4194304 bytes"):
        canonical("x" * (WHOLE_LIMIT - 1))


def test_one_entry_is_read_up_to_65_535_bytes() -> None:
    padding = "x" * (BODY_LIMIT - len(canonical({"a": ""})))
    assert {"a": padding} == parse_body(canonical({"a": padding}))
    with pytest.raises(CanonicalError, match="65535 bytes"):
        parse_body(canonical({"a": padding + "x"}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"x"',
        b'{"b":"","a":""}',
        b'{"a": ""}',
        b'{"a":"","a":""}',
        b'{"a":1}',
        b'{"a":"\\u0041"}',
        b"\xff",
        b"{" * 5000,
    ],
)
def test_a_body_that_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        parse_body(data)


@given(
    st.from_regex(r"[a-z][a-z0-9]*([._-][a-z0-9]+)*", fullmatch=True).filter(lambda kind: len(kind) <= 64),
    st.integers(0, 2**63 - 1),
)
def test_a_leaf_is_canonical_and_read_back(kind: str, time_us: int) -> None:
    entry = Entry(kind, time_us, SALT, b"{}")
    digest = sha256(SALT + b"{}").digest()
    assert rfc8785.dumps({"kind": kind, "time": str(time_us), "digest": digest.hex()}) == entry.leaf
    assert (kind, time_us, digest) == parse_leaf(entry.leaf)
    assert digest == entry.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda leaf: leaf + b"\n",
        lambda leaf: leaf.replace(b'","', b'", "'),
        lambda leaf: leaf.replace(b'"time":"', b'"time":"0'),
        lambda leaf: leaf.replace(b"bid", b"Bid"),
        lambda leaf: leaf.replace(b'{"digest":"', b'{"digest":"A')[:-1] + b"}",
        lambda leaf: leaf.replace(b'"time":"17', b'"time":"99999'),
        lambda leaf: b"",
    ],
)
def test_a_leaf_in_any_other_spelling_is_refused(change: Any) -> None:
    with pytest.raises(CanonicalError):
        parse_leaf(change(Entry.of(body(), SALT).leaf))


def test_an_entry_outside_its_bounds_is_refused_by_field() -> None:
    for field, arguments in {
        "kind": ("Auctions Bid", 1, SALT, b"{}"),
        "time_us": ("auctions.bid", -1, SALT, b"{}"),
        "salt": ("auctions.bid", 1, SALT[:-1], b"{}"),
        "body": ("auctions.bid", 1, SALT, b"x" * (BODY_LIMIT + 1)),
    }.items():
        with pytest.raises(CanonicalError) as refusal:
            Entry(*arguments)
        assert refusal.value.field == field
    Entry("auctions.bid", 1, SALT, b"x" * BODY_LIMIT)


def test_an_entry_takes_kind_and_time_from_its_body() -> None:
    entry = Entry.of(body(7), SALT)
    assert (entry.kind, entry.time_us) == ("auctions.bid", 1_700_000_000_000_007)
    for wrong in ({"time": "1"}, {"kind": "a.b"}, {"kind": "a.b", "time": 1}, {"kind": "a.b", "time": "01"}):
        with pytest.raises(CanonicalError):
            Entry.of(wrong, SALT)


def test_a_commitment_hides_and_binds() -> None:
    assert commitment(SALT, "廖") == sha256(SALT + "廖".encode()).hexdigest()
    assert commitment(SALT, "a") != commitment(SALT[::-1], "a")
    for salt, value in ((SALT[:-1], "a"), (SALT, "e\u0301"), (SALT, "\ud800")):
        with pytest.raises(CanonicalError):
            commitment(salt, value)


def receipts(count: int) -> list[Receipt]:
    entries = [Entry.of(body(number), bytes([number]) * 32) for number in range(count)]
    edge, proofs = append_with_proofs(Edge.empty(), [leaf_hash(entry.leaf) for entry in entries])
    note = sign(Checkpoint("exchange.example/log", count, edge.root()), LOG)
    return [
        Receipt(index, count, entry.leaf, entry.salt, entry.body, proof, note)
        for index, (entry, proof) in enumerate(zip(entries, proofs, strict=True))
    ]


@given(st.integers(1, 40), st.data())
def test_every_receipt_verifies_and_survives_json(count: int, data: st.DataObject) -> None:
    receipt = data.draw(st.sampled_from(receipts(count)))
    again = receipt_from_json(json.loads(json.dumps(receipt_to_json(receipt))))
    assert receipt == again
    assert verify_receipt(again, TRUSTED).size == count


def test_a_receipt_with_any_member_of_another_is_refused() -> None:
    first, second = (receipt_to_json(receipt) for receipt in receipts(5)[:2])
    other = receipt_to_json(receipts(6)[0])
    for member in ("index", "leaf", "salt", "body", "proof"):
        with pytest.raises(LedgerError):
            verify_receipt(receipt_from_json({**first, member: second[member]}), TRUSTED)
    with pytest.raises(ProofError):
        verify_receipt(receipt_from_json({**first, "checkpoint": other["checkpoint"]}), TRUSTED)


def test_a_receipt_of_another_size_than_its_checkpoint_is_refused() -> None:
    last = receipts(5)[0]
    with pytest.raises(ProofError, match="size 4 under a checkpoint of 5"):
        verify_receipt(replace(last, size=4), TRUSTED)


def test_a_receipt_whose_leaf_misstates_its_body_is_refused() -> None:
    honest = Entry.of(body(), SALT)
    lying = Entry("auctions.close", honest.time_us, SALT, honest.body)
    edge = Edge.empty().append([leaf_hash(lying.leaf)])
    note = sign(Checkpoint("exchange.example/log", 1, edge.root()), LOG)
    with pytest.raises(ProofError, match=r"auctions\.close"):
        verify_receipt(Receipt(0, 1, lying.leaf, SALT, honest.body, (), note), TRUSTED)


def test_a_receipt_under_an_untrusted_key_is_refused() -> None:
    with pytest.raises(NoteError, match="none of them trusted"):
        verify_receipt(receipts(1)[0], [Verifier.parse(Signer("other.example", b"\x05" * 32).vkey)])


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("index", 0),
        ("index", "-1"),
        ("leaf", "?"),
        ("leaf", "é"),
        ("salt", "xyz"),
        ("body", None),
        ("proof", "AAAA"),
        ("proof", [1]),
        ("proof", ["?"]),
        ("checkpoint", None),
        ("checkpoint", "nothing signed"),
    ],
)
def test_a_malformed_receipt_is_refused_by_name(member: str, value: Any) -> None:
    with pytest.raises(LedgerError):
        receipt_from_json({**receipt_to_json(receipts(1)[0]), member: value})
