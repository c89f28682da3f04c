"""Checkpoints and notes: written as C2SP says, opened by trusted keys only, and by nothing that was touched."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, Cosigner, Signer, Verifier, open_note, sign
from ledger.errors import NoteError

LOG = Signer("exchange.example/log", b"\x01" * 32)
OTHER = Signer("exchange.example/other", b"\x02" * 32)
WITNESS = Cosigner("witness.example/w1", b"\x03" * 32)
CHECKPOINT = Checkpoint("exchange.example/log", 20_852_163, bytes(range(32)))
lines = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=20)


def trust(*keys: Signer | Cosigner) -> list[Verifier]:
    return [Verifier.parse(key.vkey) for key in keys]


@given(lines, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(lines, max_size=3))
def test_a_checkpoint_is_read_back_as_it_was_written(
    origin: str, size: int, root: bytes, more: list[str]
) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(more))
    assert checkpoint == Checkpoint.parse(checkpoint.body())
    assert checkpoint == open_note(sign(checkpoint, LOG), trust(LOG)).checkpoint


def test_the_text_of_a_checkpoint_is_origin_size_and_root() -> None:
    lines = CHECKPOINT.body().split("\n")
    assert lines == [CHECKPOINT.origin, "20852163", b64encode(CHECKPOINT.root).decode(), ""]


def test_the_signature_is_plain_ed25519_over_the_text() -> None:
    text, _, line = sign(CHECKPOINT, LOG).rpartition("\n\n")
    dash, name, encoded = line.rstrip("\n").split(" ")
    assert (dash, name) == ("\u2014", LOG.name)
    material = b64decode(LOG.vkey.split("+", 2)[2])
    assert material[0] == 1
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(b64decode(encoded)[4:], (text + "\n").encode())


def test_a_cosignature_covers_a_header_the_time_and_the_text() -> None:
    line = WITNESS.cosign(CHECKPOINT.body(), 1_679_315_147)
    data = b64decode(line.split(" ")[2])
    material = b64decode(WITNESS.vkey.split("+", 2)[2])
    assert (material[0], data[4:12]) == (4, (1_679_315_147).to_bytes(8, "big"))
    message = "cosignature/v1\ntime 1679315147\n" + CHECKPOINT.body()
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(data[12:], message.encode())
    opened = open_note(sign(CHECKPOINT, LOG) + line, trust(LOG, WITNESS))
    assert opened.signed_by == (LOG.name, WITNESS.name)
    assert opened.cosigned == ((WITNESS.name, 1_679_315_147),)


def test_a_cosignature_of_another_time_does_not_hold() -> None:
    line = WITNESS.cosign(CHECKPOINT.body(), 1_679_315_147)
    data = b64decode(line.split(" ")[2])
    later = data[:4] + (1_679_315_148).to_bytes(8, "big") + data[12:]
    forged = f"\u2014 {WITNESS.name} {b64encode(later).decode()}\n"
    with pytest.raises(NoteError, match="does not hold"):
        open_note(sign(CHECKPOINT, LOG) + forged, trust(LOG, WITNESS))


def test_a_witness_signs_nothing_but_checkpoints() -> None:
    with pytest.raises(NoteError):
        WITNESS.cosign("any other text\n", 1)


def test_unknown_signatures_are_passed_over_and_known_ones_are_needed() -> None:
    note = sign(CHECKPOINT, OTHER, LOG)
    assert open_note(note, trust(LOG)).signed_by == (LOG.name,)
    assert open_note(note, trust(LOG, OTHER)).signed_by == (OTHER.name, LOG.name)
    with pytest.raises(NoteError, match="none of them trusted"):
        open_note(note, trust(WITNESS))


def test_a_key_of_the_same_name_but_another_id_is_unknown() -> None:
    impostor = Signer(LOG.name, b"\x09" * 32)
    with pytest.raises(NoteError, match="none of them trusted"):
        open_note(sign(CHECKPOINT, impostor), trust(LOG))


def test_a_known_key_with_a_bad_signature_spoils_the_whole_note() -> None:
    foreign = sign(Checkpoint(CHECKPOINT.origin, 1, bytes(32)), OTHER).rpartition("\n\n")[2]
    with pytest.raises(NoteError, match="does not hold"):
        open_note(sign(CHECKPOINT, LOG) + foreign, trust(LOG, OTHER))
    assert open_note(sign(CHECKPOINT, LOG) + foreign, trust(LOG)).signed_by == (LOG.name,)


@given(st.data())
def test_a_note_changed_in_any_place_is_refused(data: st.DataObject) -> None:
    note = sign(CHECKPOINT, LOG)
    place = data.draw(st.integers(0, len(note) - 1))
    character = data.draw(st.characters().filter(lambda char: char != note[place]))
    with pytest.raises(NoteError):
        open_note(note[:place] + character + note[place + 1 :], trust(LOG))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "origin\n1\n",
        "origin\n01\n{root}\n",
        "origin\n-1\n{root}\n",
        "origin\n٣\n{root}\n",
        "origin\n9223372036854775808\n{root}\n",
        "\n1\n{root}\n",
        "origin\n1\n{root}",
        "origin\n1\n{root}\n\n",
        "origin\n1\n{root} \n",
        "origin\n1\nAAAA\n",
        "origin\n1\n{loose}\n",
    ],
)
def test_a_text_that_no_checkpoint_would_write_is_refused(body: str) -> None:
    root = b64encode(bytes(32)).decode()
    loose = root[:-2] + "B="  # the same bytes, but with stray bits behind them
    with pytest.raises(NoteError):
        Checkpoint.parse(body.format(root=root, loose=loose))


def test_a_checkpoint_that_would_not_survive_its_format_cannot_be_made() -> None:
    for origin, size, root, more in (
        ("", 1, bytes(32), ()),
        ("two\nlines", 1, bytes(32), ()),
        ("origin", -1, bytes(32), ()),
        ("origin", 2**63, bytes(32), ()),
        ("origin", 1, bytes(31), ()),
        ("origin", 1, bytes(32), ("",)),
        ("\ud800", 1, bytes(32), ()),
    ):
        with pytest.raises(NoteError):
            Checkpoint(origin, size, root, more)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        "text\n",
        "text\n\n",
        "text\n\n\u2014 name AAAA\n",
        "text\n\n- name AAAAAAAA\n",
        "te\txt\n\n\u2014 n AAAAAAAA\n",
    ],
)
def test_a_malformed_note_is_refused_by_name(note: str) -> None:
    with pytest.raises(NoteError):
        open_note(note, trust(LOG))


def test_a_note_has_limits() -> None:
    line = sign(CHECKPOINT, OTHER).rpartition("\n\n")[2]
    assert open_note(sign(CHECKPOINT, LOG) + line * 99, trust(LOG))
    with pytest.raises(NoteError, match="101 signatures"):
        open_note(sign(CHECKPOINT, LOG) + line * 100, trust(LOG))
    with pytest.raises(NoteError, match="too long"):
        open_note("x" * 70_000 + sign(CHECKPOINT, LOG), trust(LOG))


@pytest.mark.parametrize("key", [LOG, WITNESS])
def test_a_verifier_key_is_read_back_and_checks_its_own_id(key: Signer | Cosigner) -> None:
    name, key_id, material = key.vkey.split("+", 2)
    assert Verifier.parse(key.vkey).vkey == key.vkey
    wrong = "00000000" if key_id != "00000000" else "00000001"
    for vkey in (
        f"{name}+{wrong}+{material}",
        f"other+{key_id}+{material}",
        f"{name}+{key_id}",
        f"{name}+{key_id}+",
        f"{name}+{key_id.upper()}X+{material}",
        f"+{key_id}+{material}",
        f"{name}+{key_id}+{b64encode(bytes([2]) + bytes(32)).decode()}",
        f"{name}+{key_id}+{b64encode(bytes([1]) + bytes(31)).decode()}",
    ):
        with pytest.raises(NoteError):
            Verifier.parse(vkey)


def test_key_names_hold_no_space_and_no_plus() -> None:
    for name in ("", "a b", "a+b", "a\u3000b", "a\nb", "\ud800"):
        with pytest.raises(NoteError):
            Signer(name, bytes(32))
    with pytest.raises(NoteError, match="31 bytes"):
        Signer("name", bytes(31))
