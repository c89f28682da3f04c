"""Long bodies: split over entries and put together again, and nothing else taken for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit.entry import Assembly, read_body
from ledger.checkpoint import Checkpoint, Signer, Verifier, sign
from ledger.chunks import CHUNK, count_behind, entries_of, join, split
from ledger.entries import (
    BODY_LIMIT,
    WHOLE_LIMIT,
    Entry,
    Receipt,
    canonical,
    is_head,
    parse_body,
    receipt_from_json,
    receipt_to_json,
    verify_receipt,
)
from ledger.errors import CanonicalError, LedgerError, ProofError
from ledger.merkle import Edge, append_with_proofs, leaf_hash

KIND, TIME_US, HEAD = "test.act", 1_700_000_000_000_000, 1000
SALT = bytes(32)
LOG = Signer("exchange.example/log", b"\x01" * 32)


def long_body(text: str = "", *, of: int = 200_000) -> bytes:
    """A canonical body of more than `of` bytes in which `text` is said again and again."""
    said = text * (of // len(text.encode()) + 1) if text else "x" * of
    return canonical({"act": {"said": said}, "kind": KIND, "time": str(TIME_US)})


WHOLE = long_body('"quoted" \\ back \n line, 数据 \U0001f600 ')
PARTS = split(KIND, TIME_US, WHOLE, HEAD)

pieces = st.text(st.sampled_from('a"\\\n\x01é数\U0001f600'), min_size=1, max_size=30).map(
    lambda value: normalize("NFC", value)
)


@settings(max_examples=40, deadline=None)
@given(pieces, st.integers(BODY_LIMIT, 300_000))
def test_what_was_split_joins_to_the_same_bytes(text: str, size: int) -> None:
    body = long_body(text, of=size)
    parts = split(KIND, TIME_US, body, HEAD)
    assert body == join(parts, HEAD)
    assert len(parts) - 1 == count_behind(parts[0])
    assert max(map(len, parts)) <= BODY_LIMIT


def test_the_judge_puts_the_same_whole_together() -> None:
    assembly = Assembly(HEAD, read_body(PARTS[0]))
    for part, body in enumerate(PARTS[1:], 1):
        assembly.add(HEAD + part, read_body(body))
    assert assembly.complete
    assert assembly.whole() == parse_body(WHOLE, WHOLE_LIMIT)


@given(st.data())
def test_a_missing_doubled_or_moved_chunk_is_refused(data: st.DataObject) -> None:
    chunks = list(PARTS[1:])
    at = data.draw(st.integers(0, len(chunks) - 1))
    match data.draw(st.sampled_from(["missing", "doubled", "moved"])):
        case "missing":
            del chunks[at]
        case "doubled":
            chunks.insert(at, chunks[at])
        case _:
            to = data.draw(st.integers(0, len(chunks) - 1).filter(lambda to: to != at))
            chunks.insert(to, chunks.pop(at))
    with pytest.raises(ProofError):
        join([PARTS[0], *chunks], HEAD)


@pytest.mark.parametrize(
    "change",
    [
        {"of": "999"},
        {"time": "1"},
        {"part": "2"},
        {"kind": "other"},
        {"more": ""},
        {"text": None},
        {"text": "y"},
    ],
    ids=str,
)
def test_a_foreign_chunk_is_refused(change: dict[str, Any]) -> None:
    foreign = canonical({**parse_body(PARTS[1]), **change})
    with pytest.raises(ProofError):
        join([PARTS[0], foreign, *PARTS[2:]], HEAD)


def test_chunks_of_another_index_are_refused() -> None:
    with pytest.raises(ProofError) as refused:
        join(PARTS, HEAD + 1)
    assert refused.value.field == "chunks"


@pytest.mark.parametrize(
    "change",
    [{"bytes": "70000"}, {"digest": "0" * 64}, {"count": "2"}, {"more": ""}],
    ids=str,
)
def test_a_head_that_states_something_else_is_refused(change: dict[str, str]) -> None:
    head = parse_body(PARTS[0])
    lying = canonical({**head, "chunks": {**head["chunks"], **change}})
    with pytest.raises(ProofError):
        join([lying, *PARTS[1:]], HEAD)


def test_a_whole_of_another_kind_than_its_head_is_refused() -> None:
    lying = split("other.act", TIME_US, WHOLE, HEAD)
    with pytest.raises(ProofError):
        join(lying, HEAD)


def test_a_short_body_takes_one_entry_and_one_byte_more_takes_three() -> None:
    envelope = len(long_body(of=1)) - 1
    fits, longer = long_body(of=BODY_LIMIT - envelope), long_body(of=BODY_LIMIT - envelope + 1)
    assert [Entry(KIND, TIME_US, SALT, fits)] == entries_of(KIND, TIME_US, fits, HEAD, bytes)
    assert [e.kind for e in entries_of(KIND, TIME_US, longer, HEAD, bytes)] == [KIND, CHUNK, CHUNK]


def test_every_entry_of_a_long_body_has_a_salt_of_its_own() -> None:
    salts = iter(range(100))
    entries = entries_of(KIND, TIME_US, WHOLE, HEAD, lambda n: next(salts).to_bytes(n, "big"))
    assert len(entries) == len({entry.salt for entry in entries})


def test_the_largest_whole_is_4_mib() -> None:
    envelope = len(long_body(of=1)) - 1
    largest = long_body(of=WHOLE_LIMIT - envelope)
    assert largest == join(split(KIND, TIME_US, largest, HEAD), HEAD)
    with pytest.raises(CanonicalError):
        long_body(of=WHOLE_LIMIT - envelope + 1)
    with pytest.raises(CanonicalError):
        split(KIND, TIME_US, largest + b" ", HEAD)


def test_no_act_has_the_kind_of_a_chunk() -> None:
    with pytest.raises(CanonicalError) as refused:
        entries_of(CHUNK, TIME_US, b"{}", HEAD, bytes)
    assert refused.value.field == "kind"


def test_only_a_head_is_taken_for_one() -> None:
    assert is_head(PARTS[0])
    assert not any(map(is_head, [*PARTS[1:], WHOLE]))


def receipt_of(parts: list[bytes], whole: bytes | None) -> Receipt:
    entry = Entry(KIND, TIME_US, SALT, parts[0])
    edge, proofs = append_with_proofs(Edge(0, ()), [leaf_hash(entry.leaf)])
    note = sign(Checkpoint(LOG.name, 1, edge.root()), LOG)
    return Receipt(0, 1, entry.leaf, SALT, parts[0], proofs[0], note, whole)


def test_a_receipt_of_a_long_body_carries_the_whole_and_verifies() -> None:
    receipt = receipt_of(PARTS, WHOLE)
    verify_receipt(receipt, [Verifier.parse(LOG.vkey)])
    assert receipt == receipt_from_json(receipt_to_json(receipt))
    assert receipt.said()["act"] == parse_body(WHOLE, WHOLE_LIMIT)["act"]


def test_a_receipt_without_the_whole_with_another_or_with_one_too_many_is_refused() -> None:
    honest = receipt_of(PARTS, WHOLE)
    short = canonical({"act": {}, "kind": KIND, "time": str(TIME_US)})
    for lying in (
        replace(honest, whole=None),
        replace(honest, whole=long_body("other")),
        replace(honest, whole=WHOLE[:-1] + b" }"),
        receipt_of([short], short),
    ):
        with pytest.raises(LedgerError) as refused:
            verify_receipt(lying, [Verifier.parse(LOG.vkey)])
        assert refused.value.field == "whole"
