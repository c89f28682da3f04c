"""The public log over HTTP: checkpoint, tiles, proofs, live heads, and the regulator's bundle."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from ledger.audit import audit
from ledger.checkpoint import Verifier, open_note
from ledger.entries import parse_leaf, receipt_from_json, verify_receipt
from ledger.merkle import leaf_hash, root, verify_consistency, verify_inclusion
from ledger.proof import TlogProof
from ledger.tiles import decode_entries
from tests.exchange._notes import ANNA, Note, jots
from tests.exchange.conftest import House
from tests.exchange.floor import Floor, played

pytestmark = pytest.mark.anyio


async def grow(house: House, count: int) -> None:
    size = await house.log_size()
    await asyncio.gather(
        *(house.gate.perform(jots, Note("n"), caller=ANNA, key=f"g{size}-{n}") for n in range(count))
    )


def verifier(house: House) -> Verifier:
    return Verifier.parse(house.gate.signer.vkey)


async def get(house: House, path: str) -> Any:
    response = await house.call(None, "GET", path)
    assert response.status_code == 200, response.text
    return response


async def test_a_client_of_the_tile_standard_rebuilds_the_checkpoints_root(house: House) -> None:
    await grow(house, 600)
    response = await get(house, "/checkpoint")
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["cache-control"] == "no-cache"
    checkpoint = open_note(response.text, [verifier(house)]).checkpoint
    assert checkpoint.size == 601
    hashes: list[bytes] = []
    for path, width in (("000", 256), ("001", 256), ("002.p/89", 89)):
        tile = await get(house, f"/tile/0/{path}")
        assert "immutable" in tile.headers["cache-control"]
        assert len(tile.content) == 32 * width
        leaves = decode_entries((await get(house, f"/tile/entries/{path}")).content)
        assert b"".join(leaf_hash(leaf) for leaf in leaves) == tile.content
        hashes += [tile.content[n : n + 32] for n in range(0, len(tile.content), 32)]
    assert root(hashes) == checkpoint.root
    upper = (await get(house, "/tile/1/000.p/2")).content
    assert upper == root(hashes[:256]) + root(hashes[256:512])


NO_TILES: list[str] = [
    "0/000",
    "0/000.p/12",
    "0/001",
    "0/000.p/0",
    "0/000.p/256",
    "1/000.p/1",
    "0/00",
    "0/x000",
    "x/000",
    "64/000",
    "entries/000.p/12",
    "entries/001.p/1",
    "0/x001/000.p/1",
    "0/" + "x999/" * 7 + "999",
    "-1/000",
    "0/000.p/",
    "",
]


async def test_a_tile_beyond_the_log_or_out_of_form_is_not_there(house: House) -> None:
    await grow(house, 10)  # with the opening, 11 entries
    for path in NO_TILES:
        await house.problem(None, "GET", f"/tile/{path}", status=404, code="tile.unknown")
        assert (await house.call(None, "GET", "/tile/0/000.p/11")).status_code == 200


async def test_any_leaf_and_any_two_sizes_are_proven(house: House) -> None:
    await grow(house, 300)
    roots = {}
    for index in (0, 1, 255, 256, 300):
        found = (await get(house, f"/v1/log/{index}")).json()
        checkpoint = open_note(found["checkpoint"], [verifier(house)]).checkpoint
        proof = [b64decode(node) for node in found["proof"]]
        verify_inclusion(index, checkpoint.size, leaf_hash(b64decode(found["leaf"])), proof, checkpoint.root)
        roots[checkpoint.size] = checkpoint.root
    await grow(house, 20)
    checkpoint = open_note((await get(house, "/checkpoint")).text, [verifier(house)]).checkpoint
    roots[checkpoint.size] = checkpoint.root
    found = (await get(house, "/v1/consistency?old=301&new=321")).json()
    proof = [b64decode(node) for node in found["proof"]]
    verify_consistency(301, 321, proof, roots[301], roots[321])


async def test_any_leaf_is_proven_in_any_tree_that_held_it(house: House) -> None:
    await grow(house, 299)
    leaves: list[bytes] = []
    for path in ("000", "001.p/44"):
        tile = (await get(house, f"/tile/0/{path}")).content
        leaves += [tile[at : at + 32] for at in range(0, len(tile), 32)]
    for size in (1, 2, 255, 256, 257, 300):
        for index in sorted({0, size // 2, size - 1}):
            found = (await get(house, f"/v1/log/{index}?size={size}")).json()
            assert (found["index"], found["size"], "checkpoint" in found) == (str(index), str(size), False)
            assert leaf_hash(b64decode(found["leaf"])) == leaves[index]
            proof = [b64decode(node) for node in found["proof"]]
            verify_inclusion(index, size, leaves[index], proof, root(leaves[:size]))
    for old, new in ((1, 2), (2, 255), (255, 256), (256, 257), (100, 300), (300, 300)):
        found = (await get(house, f"/v1/consistency?old={old}&new={new}")).json()
        proof = [b64decode(node) for node in found["proof"]]
        verify_consistency(old, new, proof, root(leaves[:old]), root(leaves[:new]))


async def test_the_place_of_an_entry_is_served_as_a_file_that_stands_alone(house: House) -> None:
    await grow(house, 20)
    for index in (0, 7, 20):
        response = await get(house, f"/v1/log/{index}/proof")
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert f'filename="entry-{index}.tlog-proof"' in response.headers["content-disposition"]
        leaf = b64decode((await get(house, f"/v1/log/{index}")).json()["leaf"])
        proof = TlogProof.parse(response.text)
        assert (proof.index, proof.extra) == (index, b"")
        assert proof.verify(leaf_hash(leaf), verifier(house)).size == 21


async def test_bundles_are_compressed_for_whoever_asks(house: House) -> None:
    await grow(house, 30)
    path = "/tile/entries/000.p/31"
    plain = await house.call(None, "GET", path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(decode_entries(plain.content)) == 31
    for wanted, given in (
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0, br", False),
        ("xgzip", False),
    ):
        answer = await house.call(None, "GET", path, headers={"Accept-Encoding": wanted})
        assert (answer.headers.get("content-encoding") == "gzip") == given, wanted
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.content == plain.content
        assert (int(answer.headers["content-length"]) < len(plain.content)) == given


async def test_what_is_cacheable_says_so_to_get_and_to_head(house: House) -> None:
    await grow(house, 299)
    octets, forever = "application/octet-stream", "public, max-age=31536000, immutable"
    for path, media, caching in (
        ("/checkpoint", "text/plain; charset=utf-8", "no-cache"),
        ("/tile/0/000", octets, forever),
        ("/tile/0/001.p/44", octets, forever),
        ("/tile/1/000.p/1", octets, forever),
        ("/tile/entries/000", octets, forever),
        ("/tile/entries/001.p/1", octets, forever),
    ):
        for method in ("GET", "HEAD"):
            answer = await house.call(None, method, path)
            headers = (answer.headers["content-type"], answer.headers["cache-control"])
            assert (answer.status_code, *headers) == (200, media, caching), path
        assert (await house.call(None, "POST", path)).status_code == 405


NOT_THERE: list[tuple[str, int]] = [
    ("/v1/log/11", 404),
    ("/v1/log/5?size=5", 404),
    ("/v1/log/5?size=12", 404),
    ("/v1/log/5?size=0", 400),
    (f"/v1/log/5?size={2**70}", 400),
    ("/v1/log/11/proof", 404),
    ("/v1/log/x/proof", 400),
    ("/v1/log/-1", 400),
    ("/v1/log/x", 400),
    (f"/v1/log/{2**80}", 400),
    ("/v1/consistency?old=0&new=1", 400),
    ("/v1/consistency?old=2&new=1", 404),
    ("/v1/consistency?old=1&new=12", 404),
    (f"/v1/consistency?old=1&new={2**70}", 404),
    ("/v1/consistency?old=1", 400),
    ("/v1/log?limit=0", 400),
    ("/v1/log?limit=201", 400),
    ("/v1/log?before=-1", 400),
]


async def test_what_the_log_does_not_have_is_said_so(house: House) -> None:
    await grow(house, 10)
    for path, status in NOT_THERE:
        response = await house.call(None, "GET", path)
        assert response.status_code == status, response.text
        assert response.json()["status"] == status


async def test_the_newest_leaves_come_first_and_page_backwards(house: House) -> None:
    await grow(house, 60)
    first = (await get(house, "/v1/log?limit=25")).json()
    assert [int(e["index"]) for e in first] == list(range(60, 35, -1))
    rest = (await get(house, "/v1/log?before=36&limit=200")).json()
    assert [int(e["index"]) for e in rest] == list(range(35, -1, -1))
    assert (await get(house, "/v1/log?before=0")).json() == []
    assert (await get(house, f"/v1/log?before={2**70}&limit=1")).json() == first[:1]
    leaf = parse_leaf(b64decode((await get(house, "/v1/log/60")).json()["leaf"]))
    assert first[0] == {
        "index": "60", "kind": "jot", "time_us": str(leaf.time_us), "digest": leaf.digest.hex(),
    }  # fmt: skip


async def test_a_receipt_is_given_again_to_whom_it_belongs(house: House) -> None:
    floor = await Floor.open(house)
    credited, stranger = floor.buyers
    body = {"party": credited.party, "amount_fen": "5", "bank_reference": "r"}
    first = (await house.call(floor.bank, "POST", "/v1/top-ups", body)).json()
    index = first["receipt"]["index"]
    for caller in (floor.bank, floor.regulator, credited):
        again = (await house.call(caller, "GET", f"/v1/receipts/{index}")).json()
        assert again == first["receipt"]
        verify_receipt(receipt_from_json(again), [verifier(house)])
    hidden, absent = [
        await house.problem(stranger, "GET", f"/v1/receipts/{at}", status=404, code="entry.unknown")
        for at in (index, 99999)
    ]
    assert {**hidden, "detail": hidden["detail"].replace(index, "99999")} == absent
    await house.problem(floor.regulator, "GET", "/v1/receipts/99999", status=404, code="entry.unknown")


async def test_a_loser_fetches_the_receipt_of_its_deposits_return(house: House) -> None:
    floor = await played(house)
    (index,) = [i for i, b in await floor.bodies() if b["kind"] == "deposit_released"]
    receipt = receipt_from_json((await house.call(floor.buyers[1], "GET", f"/v1/receipts/{index}")).json())
    verify_receipt(receipt, [verifier(house)])
    assert [t["kind"] for t in receipt.said()["transfers"]] == ["void_pending"]


async def test_anchors_are_public(house: House) -> None:
    assert (await get(house, "/v1/anchors")).json() == []


async def test_the_regulator_downloads_a_bundle_that_passes(house: House, tmp_path: Path) -> None:
    floor = await played(house)
    response = await house.call(floor.regulator, "GET", "/v1/audit/bundle")
    assert response.headers["content-type"] == "application/zip"
    size = await house.log_size()
    assert f"bundle-0-{size}.zip" in response.headers["content-disposition"]
    path = tmp_path / "bundle.zip"
    path.write_bytes(response.content)
    verdict = audit(path, [house.gate.signer.vkey])
    assert verdict.ok, verdict.explain("en")
    assert verdict.size == size
    listed = (await house.call(floor.regulator, "GET", "/v1/parties")).json()
    assert floor.seller.party in {p["id"] for p in listed}
