"""Proofs that stand alone: one spelling each, and nothing proven that the log's key did not sign."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, Cosigner, Signer, Verifier, sign
from ledger.entries import Receipt
from ledger.errors import LedgerError, NoteError, ProofError
from ledger.merkle import Edge, append_with_proofs, leaf_hash
from ledger.proof import HEADER, TlogProof

ORIGIN = "log.example/market"
SIGNER = Signer(ORIGIN, b"\x01" * 32)
LOG = Verifier.parse(SIGNER.vkey)
COSIGNERS = [Cosigner(f"witness-{n}.example", bytes([n]) * 32) for n in (2, 3)]
WITNESSES = [Verifier.parse(cosigner.vkey) for cosigner in COSIGNERS]
ENTRIES = [b"entry %d" % n for n in range(13)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
EDGE, PROOFS = append_with_proofs(Edge.empty(), LEAVES)
NOTE = sign(Checkpoint(ORIGIN, EDGE.size, EDGE.root()), SIGNER)


def proof_of(index: int) -> TlogProof:
    return TlogProof(index, PROOFS[index], NOTE)


@pytest.mark.parametrize("index", range(len(ENTRIES)))
def test_every_entry_of_a_log_is_proven_by_its_file_alone(index: int) -> None:
    text = proof_of(index).text()
    assert text.startswith(f"{HEADER}\nindex {index}\n")
    assert text.endswith(f"\n\n{NOTE}")
    checkpoint = TlogProof.parse(text).verify(LEAVES[index], LOG)
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 13)


def test_a_file_is_laid_out_as_the_specification_draws_it() -> None:
    proof = TlogProof(7, (b"\x00" * 32, b"\xff" * 32), "checkpoint\n", b"more")
    assert proof.text() == (
        "c2sp.org/tlog-proof@v1\n"
        "extra bW9yZQ==\n"
        "index 7\n"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "//////////////////////////////////////////8=\n"
        "\n"
        "checkpoint\n"
    )
    assert proof == TlogProof.parse(proof.text())


def test_the_only_entry_of_a_log_needs_no_hashes() -> None:
    note = sign(Checkpoint(ORIGIN, 1, LEAVES[0]), SIGNER)
    text = TlogProof(0, (), note).text()
    assert text == f"{HEADER}\nindex 0\n\n{note}"
    TlogProof.parse(text).verify(LEAVES[0], LOG)


def test_a_receipt_becomes_a_file_that_shows_no_body() -> None:
    receipt = Receipt(4, 13, ENTRIES[4], b"s" * 32, b'{"secret":1}', PROOFS[4], NOTE)
    text = TlogProof.of(receipt).text()
    assert "secret" not in text
    TlogProof.parse(text).verify(LEAVES[4], LOG)


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(max_size=80),
)
def test_a_proof_is_read_back_as_it_was_written(index: int, hashes: list[bytes], extra: bytes) -> None:
    proof = TlogProof(index, tuple(hashes), NOTE, extra)
    assert proof == TlogProof.parse(proof.text())


HASH = b64encode(b"h" * 32).decode()
MALFORMED: list[tuple[str, str]] = [
    ("", "header"),
    ("c2sp.org/tlog-proof@v2\nindex 0\n\nx\n", "header"),
    (f" {HEADER}\nindex 0\n\nx\n", "header"),
    (f"{HEADER}\r\nindex 0\r\n\r\nx\r\n", "header"),
    (HEADER, "checkpoint"),
    (f"{HEADER}\nindex 0\n", "checkpoint"),
    (f"{HEADER}\nindex 0\n\n", "checkpoint"),
    (f"{HEADER}\n\nx\n", "index"),
    (f"{HEADER}\nindex\n\nx\n", "index"),
    (f"{HEADER}\nindex  0\n\nx\n", "index"),
    (f"{HEADER}\nindex -1\n\nx\n", "index"),
    (f"{HEADER}\nindex 01\n\nx\n", "index"),
    (f"{HEADER}\nindex ٣\n\nx\n", "index"),
    (f"{HEADER}\nindex {10**20}\n\nx\n", "index"),
    (f"{HEADER}\n{HASH}\nindex 0\n\nx\n", "index"),
    (f"{HEADER}\nextra bW9yZQ==\n\nx\n", "index"),
    (f"{HEADER}\nextra bW9yZQ==\nextra bW9yZQ==\nindex 0\n\nx\n", "index"),
    (f"{HEADER}\nextra \nindex 0\n\nx\n", "extra"),
    (f"{HEADER}\nextra bW9yZQ\nindex 0\n\nx\n", "extra"),
    (f"{HEADER}\nextra bW9yZR==\nindex 0\n\nx\n", "extra"),
    (f"{HEADER}\nindex 0\nextra bW9yZQ==\n\nx\n", "hashes"),
    (f"{HEADER}\nindex 0\nbW9yZQ==\n\nx\n", "hashes"),
    (f"{HEADER}\nindex 0\n {HASH}\n\nx\n", "hashes"),
    (f"{HEADER}\nindex 0\n{HASH[:-1]}\n\nx\n", "hashes"),
    (f"{HEADER}\nindex 0\n" + f"{HASH}\n" * 64 + "\nx\n", "hashes"),
    (f"{HEADER}\nindex 0\n\n" + "x" * 300_000, "text"),
]


@pytest.mark.parametrize(("text", "field"), MALFORMED)
def test_any_other_spelling_of_a_proof_is_refused_by_name(text: str, field: str) -> None:
    with pytest.raises(ProofError) as refused:
        TlogProof.parse(text)
    assert refused.value.field == field


@given(st.text() | st.text(alphabet=f"{HASH}\n 019").map(lambda rest: f"{HEADER}\nindex {rest}"))
def test_any_text_is_a_proof_in_its_one_spelling_or_is_refused(text: str) -> None:
    try:
        proof = TlogProof.parse(text)
    except ProofError:
        return
    assert text == proof.text()
    with pytest.raises(LedgerError):
        proof.verify(LEAVES[0], LOG)


def test_another_entry_index_log_or_key_is_not_proven() -> None:
    proof = proof_of(5)
    with pytest.raises(ProofError, match="another root"):
        proof.verify(LEAVES[6], LOG)
    with pytest.raises(ProofError, match="another root"):
        replace(proof, index=4).verify(LEAVES[5], LOG)
    with pytest.raises(ProofError, match="not in a tree"):
        replace(proof, index=13).verify(LEAVES[5], LOG)
    with pytest.raises(ProofError, match="shorter"):
        replace(proof, hashes=proof.hashes[:-1]).verify(LEAVES[5], LOG)
    with pytest.raises(NoteError, match="none of them trusted"):
        proof.verify(LEAVES[5], Verifier.parse(Signer(ORIGIN, b"\x09" * 32).vkey))
    elsewhere = sign(Checkpoint("log.example/other", EDGE.size, EDGE.root()), SIGNER)
    with pytest.raises(ProofError, match=r"a checkpoint of 'log\.example/other'"):
        replace(proof, checkpoint=elsewhere).verify(LEAVES[5], LOG)


def test_a_quorum_counts_witnesses_and_never_the_log() -> None:
    body = Checkpoint(ORIGIN, EDGE.size, EDGE.root()).body()
    seen = replace(proof_of(5), checkpoint=NOTE + COSIGNERS[0].cosign(body, 1_700_000_000))
    seen.verify(LEAVES[5], LOG, WITNESSES, quorum=1)
    with pytest.raises(ProofError, match="1 of 2 witnesses cosigned, 2 are asked for"):
        seen.verify(LEAVES[5], LOG, WITNESSES, quorum=2)
    with pytest.raises(ProofError, match="0 of 2 witnesses"):
        proof_of(5).verify(LEAVES[5], LOG, WITNESSES, quorum=1)
    unsigned = body + "\n" + COSIGNERS[0].cosign(body, 1_700_000_000)
    with pytest.raises(NoteError, match="none of them trusted"):
        replace(seen, checkpoint=unsigned).verify(LEAVES[5], LOG, WITNESSES, quorum=1)
