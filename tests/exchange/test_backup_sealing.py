"""Sealed objects: what was sealed comes back, and nothing else does."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.backup.sealing import seal, unseal
from exchange.errors import Conflict, Misconfigured

KEY = bytes(range(32))
SALT = b"s" * 32
NAME = "wal/000000010000000000000001"
HEADER = 69
CHUNK = 65_536 + 16


def sealed(plain: bytes, name: str = NAME) -> bytes:
    return b"".join(seal([plain], KEY, name, SALT))


def opened(data: bytes, name: str = NAME, key: bytes = KEY) -> bytes:
    return b"".join(unseal([data], key, name))


def noise(size: int) -> bytes:
    """Bytes that no compressor makes smaller, so that chunks can be counted."""
    return random.Random(size).randbytes(size)


def in_pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


@given(st.binary(max_size=300_000), st.lists(st.integers(0, 90_000)), st.lists(st.integers(0, 90_000)))
def test_what_was_sealed_comes_back_however_it_is_cut_into_pieces(
    plain: bytes, written: list[int], read: list[int]
) -> None:
    data = b"".join(seal(in_pieces(plain, written), KEY, NAME, SALT))
    assert b"".join(unseal(in_pieces(data, read), KEY, NAME)) == plain


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_536, 131_072, 200_000])
def test_sizes_around_a_chunk_come_back(size: int) -> None:
    assert opened(sealed(noise(size))) == noise(size)


def test_a_chunk_that_is_full_to_the_last_byte_is_still_the_last_one() -> None:
    # The packed form grows with the plain one, so some size fills two chunks exactly.
    full = next(size for size in range(130_900, 131_100) if (len(sealed(noise(size))) - HEADER) == 2 * CHUNK)
    assert opened(sealed(noise(full))) == noise(full)


def test_long_runs_are_small_and_come_back_a_little_at_a_time() -> None:
    data = sealed(bytes(64 << 20))
    assert len(data) < 1 << 20
    pieces = [len(piece) for piece in unseal([data], KEY, NAME)]
    assert sum(pieces) == 64 << 20
    assert max(pieces) <= 1 << 20


@given(st.data())
def test_an_object_that_was_cut_anywhere_does_not_open(data: st.DataObject) -> None:
    whole = sealed(noise(200_000))
    cut = data.draw(st.integers(0, len(whole) - 1) | st.sampled_from([HEADER + n * CHUNK for n in range(4)]))
    with pytest.raises(Conflict) as caught:
        opened(whole[:cut])
    assert caught.value.code == "backup.damaged"
    assert NAME in caught.value.detail


def test_an_object_that_was_cut_between_two_chunks_fails_at_the_one_that_now_is_the_last() -> None:
    whole = sealed(noise(300_000))
    for count in range(1, 5):
        with pytest.raises(Conflict, match=f"chunk {count - 1} is not the one"):
            opened(whole[: HEADER + count * CHUNK])


@given(st.integers(0, HEADER + 3 * CHUNK), st.integers(0, 7))
def test_a_changed_bit_anywhere_is_found(at: int, bit: int) -> None:
    whole = bytearray(sealed(noise(200_000)))
    whole[at] ^= 1 << bit
    with pytest.raises((Conflict, Misconfigured)):  # in the key's name it looks like another key
        opened(bytes(whole))


def test_chunks_that_were_swapped_repeated_or_added_are_found() -> None:
    whole = sealed(noise(300_000))
    head, chunks = whole[:HEADER], [whole[at : at + CHUNK] for at in range(HEADER, len(whole), CHUNK)]
    assert len(chunks) == 5
    for order in ([1, 0, 2, 3, 4], [0, 1, 1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 2, 3, 4, 4], [4], [0, 1, 2, 3]):
        with pytest.raises(Conflict, match="damaged"):
            opened(head + b"".join(chunks[n] for n in order))
    with pytest.raises(Conflict, match="damaged"):
        opened(whole + b"x")


def test_an_object_under_another_name_does_not_open() -> None:
    with pytest.raises(Conflict, match="chunk 0 is not the one"):
        opened(sealed(b"an old segment", "wal/000000010000000000000009"))


def test_a_wrong_key_is_told_from_damage() -> None:
    with pytest.raises(Misconfigured) as caught:
        opened(sealed(b"secret"), key=b"another key of 32 bytes in all!!")
    assert caught.value.code == "backup.wrong_key"
    assert "backup.key" in str(caught.value.remedy)


def test_nothing_of_the_content_or_of_the_key_can_be_read() -> None:
    data = sealed(b"a name that stays in the vault " * 100)
    assert b"name" not in data
    assert KEY[:8] not in data
    assert sealed(b"x") != b"".join(seal([b"x"], KEY, NAME, b"t" * 32))
