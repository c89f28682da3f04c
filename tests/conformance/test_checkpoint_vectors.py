"""Others' checkpoints, notes and tiles are read as their writers meant them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.checkpoint import Verifier, open_note
from ledger.errors import NoteError
from ledger.merkle import inclusion_proof, leaf_hash, root, verify_inclusion
from ledger.tiles import (
    TILE,
    decode_entries,
    encode_entries,
    entries_path,
    node_reader,
    parse_tile_path,
    tile_path,
)


@pytest.fixture
def log(vectors: Path) -> Path:
    return vectors / "checkpoints" / "tessera-log"


@pytest.fixture
def verifier(vectors: Path) -> Verifier:
    return Verifier.parse(json.loads((vectors / "checkpoints" / "tessera-vkey.json").read_text())["vkey"])


@pytest.fixture
def examples(vectors: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((vectors / "checkpoints" / "c2sp_spec_examples.json").read_text())
    return value


def test_all_sixteen_checkpoints_of_another_log_verify_and_cover_its_entries(
    log: Path, verifier: Verifier
) -> None:
    for size in range(16):
        opened = open_note((log / f"checkpoint.{size}").read_text(), [verifier])
        assert (verifier.name,) == opened.signed_by
        checkpoint = opened.checkpoint
        assert ("example.com/log/testdata", size) == (checkpoint.origin, checkpoint.size)
        if size:
            bundle = (log / entries_path(0, size)).read_bytes()
            tile = (log / tile_path(0, 0, size)).read_bytes()
            leaves = [leaf_hash(entry) for entry in decode_entries(bundle)]
            assert b"".join(leaves) == tile
            assert encode_entries(decode_entries(bundle)) == bundle
            assert checkpoint.root == root(leaves)
        else:
            assert checkpoint.root == root([])


def test_proofs_read_from_another_logs_tiles_hold_under_its_checkpoint(log: Path, verifier: Verifier) -> None:
    for size in range(1, 16):
        checkpoint = open_note((log / f"checkpoint.{size}").read_text(), [verifier]).checkpoint
        node = node_reader(lambda level, n, width: (log / tile_path(level, n, width)).read_bytes(), size)
        for index in range(size):
            proof = inclusion_proof(index, size, node)
            verify_inclusion(index, size, node(0, index), proof, checkpoint.root)


def test_a_checkpoint_of_another_log_with_one_character_changed_is_refused(
    log: Path, verifier: Verifier
) -> None:
    note = (log / "checkpoint.15").read_text()
    for position, character in enumerate(note):
        changed = note[:position] + ("A" if character != "A" else "B") + note[position + 1 :]
        with pytest.raises(NoteError):
            open_note(changed, [verifier])


def test_the_example_note_of_the_specification_opens_with_its_key_only(examples: dict[str, Any]) -> None:
    note, vkey = examples["signed_note"]["note"], examples["signed_note"]["vkey"]
    opened = open_note(note, [Verifier.parse(vkey)])
    assert (opened.body, opened.signed_by) == ("This is an example message.\n", ("example.com/foo",))
    assert vkey == Verifier.parse(vkey).vkey
    with pytest.raises(NoteError, match="none of them trusted"):
        open_note(note, [])
    with pytest.raises(NoteError, match="checkpoint"):
        _ = opened.checkpoint


def test_tile_paths_are_those_of_the_specification(examples: dict[str, Any]) -> None:
    for index, path in examples["tile_index_path"].items():
        assert f"tile/0/{path}" == tile_path(0, int(index))
        assert (0, int(index), TILE) == parse_tile_path(f"tile/0/{path}")
