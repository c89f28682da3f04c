"""What leaves for a store is sealed: compressed, encrypted and authenticated in chunks, bound to its name.

    sealed  = header ‖ chunk₀ ‖ chunk₁ ‖ …
    header  = "data-asset-exchange/sealed@1\\n" ‖ key id (8 bytes) ‖ salt (32 bytes)
    chunkᵢ  = AES-256-GCM(file key, nonce = i in 11 bytes ‖ 1 where it is the last one, else 0,
              associated data = header ‖ name; 65,536 bytes of plain text, in the last chunk what is left)

The file key is HKDF-SHA256 (RFC 5869) of the backup key under the fresh salt, so no nonce is ever used twice. The
last-chunk flag in the nonce is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-
Encryption and its Nonce-Reuse Misuse-Resistance, CRYPTO 2015), laid out as in age's payload: an object that was
cut, reordered, lengthened, altered or renamed does not open. The key id tells a wrong key from a damaged object.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.errors import Conflict, Misconfigured

SALT_BYTES: Final = 32

_MAGIC: Final = b"data-asset-exchange/sealed@1\n"
_KEY_ID_BYTES: Final = 8
_HEADER_BYTES: Final = len(_MAGIC) + _KEY_ID_BYTES + SALT_BYTES
_CHUNK: Final = 65_536
_TAG: Final = 16
_PIECE: Final = 1 << 20  # at most this much comes out of the decompressor at a time


def seal(plain: Iterable[bytes], key: bytes, name: str, salt: bytes) -> Iterator[bytes]:
    """The sealed form of `plain`, in pieces as it arrives and in constant memory.

    `salt` is 32 fresh bytes of the system's random source, never used before under this key.
    """
    header = _MAGIC + _key_id(key) + salt
    cipher, bound = _cipher(key, salt), header + name.encode()
    yield header
    packed, waiting, count = zlib.compressobj(1), bytearray(), 0
    for piece in plain:
        waiting += packed.compress(piece)
        while len(waiting) > _CHUNK:
            yield cipher.encrypt(_nonce(count, last=False), bytes(waiting[:_CHUNK]), bound)
            del waiting[:_CHUNK]
            count += 1
    waiting += packed.flush()
    while len(waiting) > _CHUNK:
        yield cipher.encrypt(_nonce(count, last=False), bytes(waiting[:_CHUNK]), bound)
        del waiting[:_CHUNK]
        count += 1
    yield cipher.encrypt(_nonce(count, last=True), bytes(waiting), bound)


def unseal(sealed: Iterable[bytes], key: bytes, name: str) -> Iterator[bytes]:
    """What was sealed under `name`, in pieces of at most 1 MiB; each piece was authenticated before it is given.

    That nothing is missing at the end shows at the end: until the iterator is exhausted nothing may be relied on.

    Raises `Misconfigured` where another key sealed it, `Conflict` where it is not, whole, what was sealed.
    """
    waiting, pieces = bytearray(), iter(sealed)
    while len(waiting) < _HEADER_BYTES:
        piece = next(pieces, None)
        if piece is None:
            raise damaged(name, "it ends within its header")
        waiting += piece
    header = bytes(waiting[:_HEADER_BYTES])
    del waiting[:_HEADER_BYTES]
    if not header.startswith(_MAGIC):
        raise damaged(name, "it does not begin like a sealed object")
    if header[len(_MAGIC) : -SALT_BYTES] != _key_id(key):
        raise Misconfigured(
            "backup.wrong_key",
            f"{name} was sealed under another key",
            field="backup.key",
            rule="a store is opened by the backup key that filled it",
            remedy="put the exchange's own keys/backup.key back, from its copy or with `exchange keys join`",
        )
    cipher, bound = _cipher(key, header[-SALT_BYTES:]), header + name.encode()
    unpacked = zlib.decompressobj()
    count = 0
    for piece in itertools.chain([b""], pieces):
        waiting += piece
        while len(waiting) > _CHUNK + _TAG:  # more follows, so this one is not the last
            chunk = _opened(cipher, count, waiting[: _CHUNK + _TAG], bound, name, last=False)
            del waiting[: _CHUNK + _TAG]
            count += 1
            yield from _inflated(unpacked, chunk, name)
    yield from _inflated(unpacked, _opened(cipher, count, waiting, bound, name, last=True), name)
    if rest := unpacked.flush():  # what one limited call left inside the decompressor
        yield rest
    if not unpacked.eof or unpacked.unused_data:
        raise damaged(name, "its content is not whole")


def damaged(name: str, detail: str) -> Conflict:
    """The refusal of an object that is not what was put there."""
    return Conflict(
        "backup.damaged",
        f"{name} in the store is damaged: {detail}",
        rule="an object of a backup opens whole, under its own name, or is not used",
        remedy="use an earlier backup (`exchange backup list`); look at the disk or store that holds this one",
    )


def _opened(cipher: AESGCM, count: int, chunk: bytearray, bound: bytes, name: str, *, last: bool) -> bytes:
    try:
        return cipher.decrypt(_nonce(count, last=last), bytes(chunk), bound)
    except InvalidTag:
        raise damaged(name, f"chunk {count} is not the one that was sealed there") from None


def _inflated(unpacked: zlib._Decompress, chunk: bytes, name: str) -> Iterator[bytes]:
    try:
        while chunk:
            piece = unpacked.decompress(chunk, _PIECE)
            chunk = unpacked.unconsumed_tail
            if piece:
                yield piece
    except zlib.error as error:
        raise damaged(name, str(error)) from error


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, b"data-asset-exchange/sealed@1 file key").derive(key))


def _key_id(key: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_ID_BYTES, None, b"data-asset-exchange/sealed@1 key id").derive(key)


def _nonce(count: int, *, last: bool) -> bytes:
    return count.to_bytes(11) + bytes([last])
