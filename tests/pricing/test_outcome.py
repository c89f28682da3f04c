"""The canonical result: the root of the book as the RFC defines it, one digest in every process."""

import os
import subprocess
import sys
from hashlib import sha256

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pricing.outcome import EMPTY_BOOK, Bid, bids_root

printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
bids = st.builds(
    Bid,
    code=printable,
    bid_id=printable,
    price_fen=st.integers(1, 2**63 - 1),
    sequence=st.integers(0, 2**63 - 1),
    at_us=st.integers(0, 2**63 - 1),
)


def merkle_tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + merkle_tree_hash(leaves[:k]) + merkle_tree_hash(leaves[k:])).digest()


@given(bids)
def test_a_row_is_rfc_8785_with_numbers_as_text(bid: Bid) -> None:
    assert bid.row() == rfc8785.dumps(
        {
            "code": bid.code,
            "bid_id": bid.bid_id,
            "price_fen": str(bid.price_fen),
            "sequence": str(bid.sequence),
            "at_us": str(bid.at_us),
        }
    )


@given(st.lists(bids, max_size=20))
def test_the_root_is_the_merkle_tree_hash_of_rfc_6962(book: list[Bid]) -> None:
    assert bids_root(book) == merkle_tree_hash([bid.row() for bid in book]).hex()


def test_an_empty_book_has_the_root_of_the_empty_tree() -> None:
    assert bids_root([]) == EMPTY_BOOK == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_other_processes_with_other_hash_seeds_come_to_the_same_digest() -> None:
    program = """
from pricing.auctions import AscendingRules, Bid, award
rules = AscendingRules(100, 10, 0, 1000, 30, 30)
codes = {"甲", "乙", "丙", "丁"}
book = {Bid(code, f"bid-{i}", 100 + 10 * i, i, i) for i, code in enumerate(sorted(codes))}
print(award(rules, book).digest, award(rules, list(book)[::-1]).digest)
"""
    answers = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("0", "7", "31337")
    ]
    assert len({digest for answer in answers for digest in answer}) == 1
