"""The regulator's story: halt a bidder, take the whole record home, and judge it there."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import orjson
import pytest

from exchange.client import Forbidden, Refused
from exchange.replay import from_bundle
from tests.stories.conftest import (
    INCREMENT_FEN,
    START_FEN,
    Department,
    Venue,
)

JUDGE = """
import json, sys
from ledger.audit import audit
verdict = audit(sys.argv[1], [sys.argv[2]], None)
print(json.dumps(verdict.to_json()))
"""


def judge(bundle: Path, vkey: str) -> dict[str, object]:
    """The verdict of a process that has neither database nor server, only the bundle and a key."""
    finished = subprocess.run(
        [sys.executable, "-c", JUDGE, str(bundle), vkey], capture_output=True, check=True
    )
    verdict: dict[str, object] = orjson.loads(finished.stdout)
    return verdict


def test_a_regulator_halts_a_bidder_and_judges_the_record_at_home(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    honest, other = (venue.admit("buyer", fen=50_000_00) for _ in range(2))
    for member in (honest, other):
        member.client.join_lot(lot)
    other.client.place_bid(lot, START_FEN)

    halted = regulator.client.set_party_state(other.id, "suspended", "an inquiry was opened")
    with pytest.raises(Refused) as refused:
        other.client.place_bid(lot, START_FEN + INCREMENT_FEN)
    assert refused.value.code == "bid.suspended"
    assert refused.value.done.index > halted.index
    honest.client.place_bid(lot, START_FEN + INCREMENT_FEN)
    regulator.client.set_party_state(other.id, "active", "the inquiry was closed")
    other.client.place_bid(lot, START_FEN + 2 * INCREMENT_FEN)
    venue.close(lot)

    # The regulator never trades, and nobody else takes more than the own record.
    with pytest.raises(Forbidden):
        regulator.client.join_lot(lot)
    for member in (owner, honest):
        with pytest.raises(Forbidden):
            member.client.audit_bundle(tmp_path / "not-yours.zip", party=other.id)
        with pytest.raises(Forbidden):
            member.client.set_party_state(other.id, "suspended", "a rival")
    assert regulator.client.receipt(halted.index) == halted.receipt

    bundle = tmp_path / "record.zip"
    before = regulator.client.checkpoint().size  # the worker may write more at any moment
    regulator.client.audit_bundle(bundle)
    assert [path.name for path in tmp_path.glob("*.zip*")] == ["record.zip"]
    verdict = judge(bundle, venue.vkey)
    assert verdict["ok"] is True, verdict
    assert before <= int(str(verdict["size"])) <= regulator.client.checkpoint().size

    # Deciding everything again from the bodies gives what the log says.
    again = from_bundle(bundle)
    assert again.differences == []
    assert again.lots[lot].settled
    assert again.judged["bids"] == 4

    # A row changed behind the ledger's back is found, with the entry that it belongs to.
    forged = tmp_path / "forged.zip"
    index = refused.value.done.index
    with zipfile.ZipFile(bundle) as honest_copy, zipfile.ZipFile(forged, "w") as copy:
        for name in honest_copy.namelist():
            content = honest_copy.read(name)
            if name.endswith("bodies.jsonl"):
                rows = content.splitlines()
                rows[index] = rows[index].replace(
                    str(START_FEN + INCREMENT_FEN).encode(), str(START_FEN + 9 * INCREMENT_FEN).encode()
                )
                content = b"\n".join(rows) + b"\n"
            elif name == "manifest.json":
                # The length may have changed: the mutator says so.
                manifest = orjson.loads(content)
                manifest["members"]["segments/00000000/bodies.jsonl"] = str(
                    copy.getinfo("segments/00000000/bodies.jsonl").file_size
                )
                content = orjson.dumps(manifest)
            copy.writestr(name, content)
    verdict = judge(forged, venue.vkey)
    assert verdict["ok"] is False
    assert str(verdict["first_bad_index"]) == str(index)
