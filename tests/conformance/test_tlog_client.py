"""A client of c2sp.org/tlog-tiles that shares no code with the log follows it over HTTP as it grows.

It builds its own addresses, hashes by the recursive definition of RFC 6962 §2.1, reads the signed note and the
verifier key by itself, and fetches every tile and bundle that the standard says a tree of that size has.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger import log
from ledger.entries import Entry
from tests.exchange.conftest import House, house

__all__ = ["house"]  # the fixture

pytestmark = pytest.mark.anyio


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1 over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(n: int, width: int) -> str:
    """`<N>[.p/<W>]`."""
    digits = str(n)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([*("x" + group for group in groups[:-1]), groups[-1]]) + (
        "" if width == 256 else f".p/{width}"
    )


def tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, n, width) of all tiles of a tree: the full ones, and floor(s / 256**l) mod 256 of the partial one."""
    level = 0
    while size // 256**level:
        hashes = size // 256**level
        for n in range(hashes // 256):
            yield level, n, 256
        if hashes % 256:
            yield level, hashes // 256, hashes % 256
        level += 1


class Client:
    """Knows the log's prefix, origin and key, and all leaves that it has verified."""

    def __init__(self, http: httpx.AsyncClient, vkey: str) -> None:
        self.http = http
        self.origin, self.key_id, material = vkey.split("+", 2)
        key = base64.b64decode(material)
        assert key[0] == 1
        named = hashlib.sha256(self.origin.encode() + b"\n" + key).digest()
        assert named[:4].hex() == self.key_id
        self.key = Ed25519PublicKey.from_public_bytes(key[1:])
        self.leaves: list[bytes] = []
        self.served: dict[tuple[int, int], bytes] = {}
        self.levels: set[int] = set()

    async def get(self, where: str, media: str) -> bytes:
        response = await self.http.get(where)
        assert response.status_code == 200, (where, response.text)
        assert media == response.headers["content-type"], where
        return response.content

    async def checkpoint(self) -> tuple[int, bytes]:
        note = (await self.get("/checkpoint", "text/plain; charset=utf-8")).decode()
        text, _, signatures = note.partition("\n\n")
        origin, size, root = text.split("\n")
        assert origin == self.origin
        signed = False
        for line in signatures.splitlines():
            dash, name, blob = line.split(" ")
            raw = base64.b64decode(blob)
            if (dash, name, raw[:4].hex()) == ("—", self.origin, self.key_id):
                self.key.verify(raw[4:], (text + "\n").encode())
                signed = True
        assert signed
        return int(size), base64.b64decode(root)

    async def follow(self) -> int:
        """Fetch the whole log anew, hold it to its checkpoint and to what was served before; its size."""
        size, root = await self.checkpoint()
        octets = "application/octet-stream"
        leaves: list[bytes] = []
        for _, n, width in (tile for tile in tiles(size) if tile[0] == 0):
            bundle = await self.get(f"/tile/entries/{path(n, width)}", octets)
            at = count = 0
            while at < len(bundle):
                end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
                leaves.append(leaf(bundle[at + 2 : end]))
                at, count = end, count + 1
            assert (at, count) == (len(bundle), width)
        assert root == mth(leaves)
        assert self.leaves == leaves[: len(self.leaves)], "the log rewrote what it had published"
        for level, n, width in tiles(size):
            tile = await self.get(f"/tile/{level}/{path(n, width)}", octets)
            step = 256**level
            first = n * 256
            expected = [mth(leaves[i * step : (i + 1) * step]) for i in range(first, first + width)]
            assert tile == b"".join(expected), (level, n, width)
            before = self.served.get((level, n), b"")
            assert before == tile[: len(before)], "a tile changed"
            self.served[level, n] = tile
            self.levels.add(level)
        self.leaves = leaves
        return size


def note_entry(number: int, time_us: int) -> Entry:
    body = b'{"kind":"note","n":"%d","time":"%d"}' % (number, time_us)
    return Entry("note", time_us, hashlib.sha256(b"%d" % number).digest(), body)


async def grow(house: House, size: int) -> None:
    """Append up to `size` leaves, 250 at a time, as the gate would."""
    connection = await house.gate.database.connect()
    try:
        head = await log.read_head(connection)
        while head.edge.size < size:
            numbers = range(head.edge.size, min(head.edge.size + 250, size))
            appended = log.append(head, [note_entry(n, head.time_us) for n in numbers], head.time_us)
            for statement, values in appended.statements:
                await connection.execute(statement.encode(), values)
            head = appended.head
        await connection.commit()
    finally:
        await connection.close()


async def write_tiles(house: House) -> None:
    connection = await house.gate.database.connect()
    try:
        await log.write_full_tiles(connection)
        await connection.commit()
    finally:
        await connection.close()


async def test_a_client_with_its_own_code_follows_the_log_through_its_growth(house: House) -> None:
    client = Client(house.http, house.gate.signer.vkey)
    for size in (1, 2, 255, 256, 257, 511, 513, 900):
        await grow(house, size)
        assert size == await client.follow()
        if size in (257, 900):
            await write_tiles(house)
            assert size == await client.follow(), "what is stored is what was made"
    assert client.levels == {0, 1}


async def test_the_client_follows_past_the_third_level_of_tiles(house: House) -> None:
    client = Client(house.http, house.gate.signer.vkey)
    await grow(house, 65_700)
    await write_tiles(house)
    assert await client.follow() == 65_700
    assert client.levels == {0, 1, 2}


def test_the_client_counts_tiles_as_the_specification_does(vectors: Path) -> None:
    examples = json.loads((vectors / "checkpoints" / "c2sp_spec_examples.json").read_text())
    for size, name in ((70_000, "tile_shape_size_70000"), (256, "tile_shape_size_256")):
        shape: dict[str, int] = {}
        for level, _, width in tiles(size):
            if width == 256:
                shape[f"full_l{level}"] = shape.get(f"full_l{level}", 0) + 1
            else:
                shape[f"partial_l{level}"] = width
        assert examples[name] == shape
    for index, expected in examples["tile_index_path"].items():
        assert expected == path(int(index), 256)
