"""The holders' commands: keys stay private, nothing opens before the close, and a lot opens with t of n files."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.errors import Conflict, Malformed, Misconfigured
from pricing.canonical import canonical
from pricing.errors import SealError
from pricing.sealed_bids import Ceremony, Committee, Context, SealedLot, SealedPrice, seal

HOUR_US = 3_600_000_000


def say(*words: object) -> str:
    result = CliRunner().invoke(app, ["holder", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return str(result.stdout)


@pytest.fixture
def committee(tmp_path: Path) -> Committee:
    """Three holders' keys in files, two of which open."""
    holders = []
    for name in ("supplier", "regulator", "venue"):
        line = json.loads(say("keygen", "--name", name, "--out", tmp_path / f"{name}.key"))
        holders.append((line["name"], bytes.fromhex(line["public"])))
    return Committee(2, tuple(holders))


def lot_in(tmp_path: Path, committee: Committee, closed_us: int) -> Path:
    """A lot of two sealed bids that closed so many microseconds ago."""
    opens_us = time.time_ns() // 1000 - closed_us
    bids = tuple(
        seal(SealedPrice(price), Context("lot-1", code, "b1"), committee, code.encode() * 16)
        for code, price in (("A1", 10_050), ("B2", 99))
    )
    path = tmp_path / "lot.json"
    lot = SealedLot("lot-1", committee, Ceremony(opens_us, opens_us + HOUR_US), bids)
    path.write_bytes(canonical(lot.to_json()))
    return path


def test_two_of_three_holders_open_a_lot_and_one_does_not(tmp_path: Path, committee: Committee) -> None:
    lot = lot_in(tmp_path, committee, 1_000_000)
    opened = []
    for name in ("supplier", "venue"):
        opened.append(tmp_path / f"{name}.opened")
        assert "2 shares, 0 disputes" in say(
            "open", lot, "--key", tmp_path / f"{name}.key", "--out", opened[-1]
        )
    found = json.loads(say("combine", lot, *opened, "--json"))
    assert [(b["code"], b["price_fen"], b["faults"]) for b in found["bids"]] == [
        ("A1", "10050", []),
        ("B2", "99", []),
    ]
    assert "100.50" in say("combine", lot, *opened)
    result = CliRunner().invoke(app, ["holder", "combine", str(lot), str(opened[0]), "--lang", "zh"])
    assert result.exit_code == 1
    assert "等待 regulator, venue" in result.stdout.replace("\n", "")


def test_a_holder_who_forges_a_share_is_named(tmp_path: Path, committee: Committee) -> None:
    lot = lot_in(tmp_path, committee, 1_000_000)
    opened = []
    for name in ("supplier", "regulator", "venue"):
        opened.append(tmp_path / f"{name}.opened")
        say("open", lot, "--key", tmp_path / f"{name}.key", "--out", opened[-1])
    forged = json.loads(opened[1].read_text())
    for one in forged["submissions"].values():
        one["value"] = "01" + "00" * 31
    opened[1].write_text(json.dumps(forged))
    found = json.loads(say("combine", lot, *opened, "--json"))
    assert [b["state"] for b in found["bids"]] == ["opened", "opened"]
    assert {fault["holder"] for b in found["bids"] for fault in b["faults"]} == {"regulator"}


def test_nothing_is_opened_before_the_close(tmp_path: Path, committee: Committee) -> None:
    lot = lot_in(tmp_path, committee, -HOUR_US)
    with pytest.raises(Conflict) as refused:
        say("open", lot, "--key", tmp_path / "venue.key", "--out", tmp_path / "out")
    assert refused.value.code == "holder.before_close"
    assert not (tmp_path / "out").exists()


def test_a_key_is_private_and_replaces_none(tmp_path: Path, committee: Committee) -> None:
    key = tmp_path / "venue.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with pytest.raises(Misconfigured) as refused:
        say("keygen", "--name", "venue", "--out", key)
    assert refused.value.field == "--out"
    os.chmod(key, 0o644)
    with pytest.raises(Misconfigured) as refused:
        say("open", lot_in(tmp_path, committee, 1), "--key", key, "--out", tmp_path / "out")
    assert refused.value.code == "holder.permissions"


def test_files_that_are_something_else_are_refused_by_name(tmp_path: Path, committee: Committee) -> None:
    lot = lot_in(tmp_path, committee, 1_000_000)
    strange = tmp_path / "strange"
    for text in (
        "",
        "{",
        "[]",
        "{}",
        '{"format": "holder-key@1"}',
        '{"format": "holder-opened@1", "lot": "x"}',
    ):
        strange.write_text(text)
        strange.chmod(0o600)
        with pytest.raises((Malformed, SealError)):
            say("open", strange, "--key", tmp_path / "venue.key", "--out", tmp_path / "out")
        with pytest.raises(Malformed):
            say("open", lot, "--key", strange, "--out", tmp_path / "out")
        with pytest.raises(Malformed):
            say("combine", lot, strange)
    stranger = tmp_path / "stranger.key"
    say("keygen", "--name", "stranger", "--out", stranger)
    with pytest.raises(SealError) as refused:
        say("open", lot, "--key", stranger, "--out", tmp_path / "out")
    assert refused.value.field == "key"
